"""Fine-tuning on records of one's own: low-rank adapters (LoRA, by PEFT) in the ordinary loop.

The model stays as it was loaded, in whatever number format; what is trained are the adapters of the language model's
linear layers, and on demand the projector. A step's batch is a function of the seed and its number, so that a training
that was killed goes on with the very losses of an undisturbed one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.utils import set_seed
from torch import Tensor, nn

from oryx.errors import InputError, MissingResource, OryxError
from oryx.layout import IGNORED_LABEL
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing import chat
from oryx.processing.collate import collate
from oryx.processing.processor import OryxProcessor
from oryx.train.records import Record

LINEAR_LAYERS = r"language_model\..*_proj"
"""Names of the layers that get an adapter, as a regular expression: all linear ones of a Qwen2 or Llama."""


@dataclass
class RecordBatches:
    """``draw``, ``collate`` and ``targets`` of :class:`oryx.train.loop.StepBatches` for records.

    Every epoch takes all records in an order of its own. ``limit``: most tokens of one record, None: no limit;
    ``video``: as for :class:`oryx.processing.visuals.Video`.
    """

    records: Sequence[Record]
    processor: OryxProcessor
    size: int
    seed: int
    limit: int | None = None
    video: dict[str, Any] = field(default_factory=dict)

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
        prepared = record.prepare(self.processor, **self.video)
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

    def targets(self, record: Record) -> int:
        """Supervised tokens of a record; no visual is opened for it."""
        turns = chat.move_marks_first(record.conversation)
        labels = chat.tokenize(self.processor.tokenizer, turns, self.processor.prompt).labels
        return sum(label != IGNORED_LABEL for label in labels[1:])


@dataclass
class CountedLoss:
    """The loss of a batch of records; ``tokens``: how many were read so far, to tell the speed."""

    tokens: int = 0

    def __call__(self, model: nn.Module, batch: dict) -> Tensor:
        self.tokens += batch["tokens"]
        return model(**{name: value for name, value in batch.items() if name != "tokens"}, loss_only=True).loss


def add_adapters(
    model: OryxForConditionalGeneration, base: str, rank: int, projector: bool = False, seed: int = 0
) -> Any:
    """Put adapters into ``model``, the only parameters that are trained from then on; returns PEFT's model around it.

    ``base``: the model's name or folder, for the adapter's own file; ``projector``: is trained whole beside them.
    Raises MissingResource without PEFT.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingResource('fine-tuning needs PEFT: pip install -e ".[finetune]"') from error
    whole = ["projector"] if projector else None
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LINEAR_LAYERS, modules_to_save=whole)
    model.freeze_vision(True)
    set_seed(seed)
    tuned = get_peft_model(model, config)
    config.base_model_name_or_path = base  # PEFT would take it from the configuration, which does not know it
    for parameter in filter(lambda one: one.requires_grad, model.parameters()):
        parameter.data = parameter.data.float()  # what is trained stays float32, as everywhere
    return tuned


def save_adapters(tuned: Any, folder: Path, merged: Path | None = None) -> None:
    """Write the adapters as PEFT does, and with ``merged`` the whole model with them worked in, for ``oryx.load``."""
    tuned.save_pretrained(folder, save_embedding_layers=False)
    if merged is not None:
        model = tuned.merge_and_unload()
        model.to(model.get_input_embeddings().weight.dtype).save_pretrained(merged)
        model.processor.save_pretrained(merged)
