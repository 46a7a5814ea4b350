"""Batches of records: drawn by step, put into model inputs without any set of pictures in memory.

A step's batch is a function of the seed and its number, so that a training that was killed goes on with the very losses
of an undisturbed one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL
from oryx.processing import chat
from oryx.processing.collate import collate
from oryx.processing.processor import OryxProcessor
from oryx.processing.sizes import Partition, Resolution
from oryx.train.records import Record, naming

WINDOW = 16
"""Steps whose records are sorted together where lengths are known."""


@dataclass
class RecordBatches:
    """``draw``, ``collate`` and ``targets`` of :class:`oryx.train.loop.StepBatches` for records.

    Every epoch takes all records in an order of its own. What is supervised is as in the public training code, see
    :mod:`oryx.processing.chat`. Pictures are opened when a step asks for them.

    Args:
        limit: most tokens of one record; None: no limit.
        video: as for :class:`oryx.processing.visuals.Video`.
        resolution: at what size pictures and frames enter; "native": by the processor's own rules.
        sides: kind of record -> side of the compressor's regions, or several, of which each record has one by lot; for
            others the processor's own.
        lengths: in tokens, of every record where they are known: records of like length then share a step.
    """

    records: Sequence[Record]
    processor: OryxProcessor
    size: int
    seed: int
    limit: int | None = None
    video: dict[str, Any] = field(default_factory=dict)
    resolution: str | Resolution | Partition = "native"
    sides: Mapping[str | None, int | Sequence[int]] = field(default_factory=dict)
    lengths: Sequence[int] = ()
    _orders: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def draw(self, step: int) -> list[Record]:
        """The records of a step; where lengths are known the shortest first, so that processes get equal shares."""
        places, total = range(step * self.size, (step + 1) * self.size), len(self.records)
        chosen = [int(self._order(place // total)[place % total]) for place in places]
        if len(self.lengths):
            chosen.sort(key=self.lengths.__getitem__)
        return [self.records[number] for number in chosen]

    def _order(self, epoch: int) -> np.ndarray:
        """The records of an epoch as they come; only the last orders are kept."""
        if epoch not in self._orders:
            rng, total = np.random.default_rng([self.seed, epoch]), len(self.records)
            order = rng.permutation(total)
            if len(self.lengths):  # steps that two epochs share stay as they are
                head = min(-epoch * total % self.size, total)
                head, body, tail = np.split(order, [head, total - (total - head) % self.size])
                steps, lengths, window = [], np.asarray(self.lengths), WINDOW * self.size
                for part in np.split(body, range(window, len(body), window)):
                    steps.extend(part[np.argsort(lengths[part], kind="stable")].reshape(-1, self.size))
                order = np.concatenate([head, *(steps[number] for number in rng.permutation(len(steps))), tail])
            self._orders = {e: kept for e, kept in self._orders.items() if e >= epoch - 1} | {epoch: order}
        return self._orders[epoch]

    def collate(self, records: Sequence[Record]) -> dict[str, Any]:
        """Model inputs with labels, and ``tokens``: how many the language model reads."""
        made, lengths = zip(*map(self.inputs, records), strict=True)
        return {**collate(made, self.processor.pad_id), "tokens": sum(lengths)}

    def inputs(self, record: Record) -> tuple[Any, int]:
        """Model inputs of one record and its length in tokens, visuals expanded.

        Raises InputError, naming the record, for a visual that cannot be read, a conversation that the model's prompt
        does not take, or one longer than ``limit``, whose end would be lost.
        """
        record = record.placed(**self.video)
        prepared = record.prepare(self.processor, self.resolution, self.side(record), **self.video)
        with naming(f"{record.name}: conversations"):
            made, length, visual = self.processor.counted(record.conversation, prepared)
        if length > (self.limit or length):
            raise InputError(
                f"{record.name}: expected at most {self.limit} tokens, got {length}, {visual} of them visual: use "
                "fewer frames or smaller pictures"
            )
        with naming(record.name):
            return self.processor.drawn(made, prepared), length

    def side(self, record: Record) -> int | None:
        """The side of the compressor's regions for a record: of several a function of the seed and its id alone."""
        sides = self.sides.get(record.kind)
        if not isinstance(sides, Sequence):
            return sides
        return sides[crc32(f"{self.seed}/{record.id}".encode()) % len(sides)]

    def targets(self, record: Record) -> int:
        """Supervised tokens of a record; no visual is opened for it."""
        turns = chat.move_marks_first(record.conversation)
        labels = chat.tokenize(self.processor.tokenizer, turns, self.processor.prompt).labels
        return sum(label != IGNORED_LABEL for label in labels[1:])
