"""Several outputs of the processor as one batch: texts padded to one length, packed patches one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL, VISUAL_INPUTS, VISUAL_TOKEN_ID, read_spec, spec_token_counts

TEXT = ("input_ids", "attention_mask", "labels")


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
    padding, rows, visual = dict(zip(TEXT, (pad_id, 0, IGNORED_LABEL), strict=True)), [], {}
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
    batch = {name: pad_sequence([row[name] for row in rows], True, padding[name], side) for name in rows[0]}
    return BatchFeature(batch | {name: torch.cat(values) for name, values in visual.items()})


class Collator:
    """What transformers' Trainer takes as ``data_collator``, and TRL's SFTTrainer.

    It takes outputs of the processor, or examples with ``messages`` as chat templates have them, their images and
    videos inside or beside them as ``images`` and ``videos``; labels are then those of the prompt's form. Every visual
    has as many marks as it will have tokens, so that logits and labels of a batch stand side by side.

    Args:
        processor: an ``OryxProcessor``.
        side: on which side shorter texts are padded; logits fit labels if it is ``config.tokenizer_padding_side``.
        loss_only: see the model's ``forward``; for training: there are no logits then that metrics could read.
    """

    def __init__(self, processor: Any, side: str = "right", loss_only: bool = False):
        self.processor, self.side, self.loss_only = processor, side, loss_only

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> BatchFeature:
        read = [self._read(one) if "messages" in one else one for one in items]
        batch = collate([spread(one) for one in read], self.processor.pad_id, self.side)
        return BatchFeature({**batch, "loss_only": True} if self.loss_only else batch)

    def _read(self, example: Mapping[str, Any]) -> BatchFeature:
        given, options = {name: example.get(name) or None for name in ("images", "videos")}, {"return_labels": True}
        if any(given.values()):
            return self.processor(self.processor.apply_chat_template(example["messages"]), **given, **options)
        return self.processor.apply_chat_template(
            example["messages"], tokenize=True, return_dict=True, processor_kwargs=options
        )


def spread(item: Mapping[str, Any]) -> dict[str, Any]:
    """An output of the processor for one text, with one mark for every visual token instead of one for every visual."""
    ids = torch.as_tensor(item["input_ids"]).flatten()
    marks = ids == VISUAL_TOKEN_ID
    if item.get("visual_spec") is None or not marks.any():
        return dict(item)
    grids, visuals = torch.as_tensor(item["image_grids"]).tolist(), torch.as_tensor(item["visual_spec"]).tolist()
    repeats = torch.ones_like(ids)
    repeats[marks] = torch.tensor(spec_token_counts(read_spec(visuals), grids))
    text = [name for name in TEXT if name in item]
    longer = {name: torch.as_tensor(item[name]).flatten().repeat_interleave(repeats)[None] for name in text}
    return {**item, **longer}
