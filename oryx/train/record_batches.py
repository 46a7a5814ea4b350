"""Batches of records: drawn by step, put into model inputs without any set of pictures in memory.

A step's batch is a function of the seed and its number, so that a training that was killed goes on with the very losses
of an undisturbed one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from oryx.errors import InputError, OryxError
from oryx.layout import IGNORED_LABEL
from oryx.processing import chat
from oryx.processing.collate import collate
from oryx.processing.processor import OryxProcessor
from oryx.processing.sizes import Partition, Resolution
from oryx.train.records import Record


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
    """

    records: Sequence[Record]
    processor: OryxProcessor
    size: int
    seed: int
    limit: int | None = None
    video: dict[str, Any] = field(default_factory=dict)
    resolution: str | Resolution | Partition = "native"
    sides: Mapping[str | None, int | Sequence[int]] = field(default_factory=dict)

    def draw(self, step: int) -> list[Record]:
        """The records of a step."""
        places, total = range(step * self.size, (step + 1) * self.size), len(self.records)
        orders = {e: np.random.default_rng([self.seed, e]).permutation(total) for e in {p // total for p in places}}
        return [self.records[orders[place // total][place % total]] for place in places]

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
        try:
            made = self.processor.assemble(record.conversation, prepared)
        except OryxError as error:
            raise InputError(f"{record.name}: conversations: {error}") from error
        visual = sum(one.visual_tokens(self.processor.patch) for one in prepared)
        length = made["input_ids"].shape[1] - len(prepared) + visual
        if length > (self.limit or length):
            raise InputError(
                f"{record.name}: expected at most {self.limit} tokens, got {length}, {visual} of them visual: use "
                "fewer frames or smaller pictures"
            )
        return made, length

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
