"""Several outputs of the processor as one batch: texts padded to one length, packed patches one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL, VISUAL_INPUTS


def collate(items: Sequence[Mapping[str, Any]], pad_id: int, side: str = "right") -> BatchFeature:
    """One batch from several, in their order.

    Args:
        items: outputs of :class:`oryx.processing.processor.OryxProcessor`: of each ``input_ids`` (L,) or (b, L), and
            optionally ``attention_mask`` and ``labels`` of that shape and the visual inputs of the model; as tensors,
            arrays or lists.
        pad_id: the id of padding in ``input_ids``; ``attention_mask`` is 0 there, ``labels`` are -100.
        side: on which side shorter texts are padded, "right" (training) or "left" (generation).

    Raises:
        InputError: no items, an unknown name in one, shapes that differ, or labels for some items only.
    """
    if side not in ("left", "right"):
        raise InputError(f"side: expected 'left' or 'right', got {side!r}")
    if not items:
        raise InputError("collate: expected at least one item, got none")
    padding, rows, visual = {"input_ids": pad_id, "attention_mask": 0, "labels": IGNORED_LABEL}, [], {}
    for number, item in enumerate(items):
        if unknown := [name for name in item if name not in (*padding, *VISUAL_INPUTS)]:
            raise InputError(f"item {number}: expected outputs of the processor, got also {', '.join(unknown)}")
        if "input_ids" not in item or ("labels" in item) != ("labels" in items[0]):
            raise InputError(f"item {number}: expected input_ids, and labels in all items or in none, got {list(item)}")
        text = {name: torch.atleast_2d(torch.as_tensor(item[name])) for name in padding if name in item}
        text.setdefault("attention_mask", torch.ones_like(text["input_ids"]))
        shapes = {name: tuple(value.shape) for name, value in text.items()}
        if len(set(shapes.values())) > 1:
            raise InputError(f"item {number}: expected one shape for its text, got {shapes}")
        rows += [dict(zip(text, row, strict=True)) for row in zip(*text.values(), strict=True)]
        for name in VISUAL_INPUTS:
            if item.get(name) is not None:
                visual.setdefault(name, []).append(torch.as_tensor(item[name]))
    batch: dict[str, Tensor] = {
        name: pad_sequence([row[name] for row in rows], True, padding[name], side) for name in rows[0]
    }
    return BatchFeature(batch | {name: torch.cat(values) for name, values in visual.items()})


class Collator:
    """What transformers' Trainer takes as ``data_collator``: batches of a processor's outputs, see :func:`collate`.

    ``processor``: its ``pad_id`` is used. Without labels in the items there will be none in the batch.
    """

    def __init__(self, processor: Any, side: str = "right"):
        self.pad_id, self.side = processor.pad_id, side

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> BatchFeature:
        return collate(items, self.pad_id, self.side)
