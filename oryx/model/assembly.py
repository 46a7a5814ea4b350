"""Splicing visual tokens into text: which source row goes to which place, with labels, mask and positions.

Rules: reference file ``oryx/model/oryx_arch.py``. Only integers in here; :mod:`oryx.model.modeling` gathers the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL


@dataclass(frozen=True)
class Plan:
    """The samples of a batch after expansion.

    Attributes:
        text_ids: (Nt,) the real text ids of the whole batch, one sample after the other.
        rows: of each sample its source rows: first the Nt text tokens, then all visual tokens in order.
        labels: of each sample, as long as its rows, -100 on visual tokens; all are -100 if none were given.
        zero_row: the number of the row after all these, which holds zeros.
        truncated: how many samples were cut.
    """

    text_ids: np.ndarray
    rows: list[np.ndarray]
    labels: list[np.ndarray]
    zero_row: int
    truncated: int


def plan_batch(
    input_ids: np.ndarray,
    attention_mask: np.ndarray | None,
    labels: np.ndarray | None,
    visual_lengths: Sequence[int],
    *,
    visual_token_id: int,
    max_length: int | None = None,
) -> Plan:
    """Plan the expansion of a batch.

    Padding is removed by the mask, every ``visual_token_id`` is replaced by the next visual's tokens, in order over
    the whole batch; then each sample is cut to ``max_length`` (at its end, so an over-long video costs the question).

    Args:
        input_ids: (B, L0); attention_mask, labels: (B, L0) or None.
        visual_lengths: tokens of every visual that has a placeholder.

    Raises:
        InputError: shapes that differ, no real token at all, or another number of placeholders than of visuals.
    """
    mask = np.ones_like(input_ids, dtype=bool) if attention_mask is None else attention_mask.astype(bool)
    labels = np.full_like(input_ids, IGNORED_LABEL) if labels is None else labels
    for name, array in (("attention_mask", mask), ("labels", labels)):
        if array.shape != input_ids.shape:
            raise InputError(f"{name}: expected the shape of input_ids {input_ids.shape}, got {array.shape}")
    placeholders = int(((input_ids == visual_token_id) & mask).sum())
    if placeholders != len(visual_lengths):
        raise InputError(
            f"input_ids hold {placeholders} visual placeholder(s) ({visual_token_id}), but {len(visual_lengths)} "
            "visual(s) came; expected one placeholder per visual"
        )
    text_ids = input_ids[mask & (input_ids != visual_token_id)]
    bounds = [len(text_ids), *(len(text_ids) + np.cumsum(visual_lengths, dtype=np.int64))]
    visuals = iter([np.arange(start, end) for start, end in pairwise(bounds)])
    rows, row_labels, next_text = [], [], 0
    for ids, own in ((input_ids[i][real], labels[i][real]) for i, real in enumerate(mask)):
        parts, part_labels = [], []
        marks = np.flatnonzero(ids == visual_token_id)
        for begin, end in zip([0, *(marks + 1)], [*marks, len(ids)], strict=True):
            parts.append(np.arange(next_text, next_text + end - begin))
            part_labels.append(own[begin:end])
            next_text += int(end - begin)
            if end < len(ids):
                parts.append(next(visuals))
                part_labels.append(np.full(len(parts[-1]), IGNORED_LABEL))
        rows.append(np.concatenate(parts))
        row_labels.append(np.concatenate(part_labels))
    cut = [row[:max_length] for row in rows]
    if not any(map(len, cut)):
        raise InputError("input_ids: expected at least one token that is not padding, got none")
    return Plan(
        text_ids=text_ids,
        rows=cut,
        labels=[own[:max_length] for own in row_labels],
        zero_row=int(bounds[-1]),
        truncated=sum(len(short) < len(row) for short, row in zip(cut, rows, strict=True)),
    )


@dataclass(frozen=True)
class Padded:
    """A :class:`Plan` padded to the length L of its longest sample; padding reads the row of zeros.

    Attributes:
        index, labels, attention_mask: (B, L): source rows; labels, -100 on padding; 1 on real tokens.
        position_ids: (B, L), counted from 0 at each sample's first real token; 0 on padding.
    """

    index: np.ndarray
    labels: np.ndarray
    attention_mask: np.ndarray
    position_ids: np.ndarray


def pad(plan: Plan, padding_side: str = "right") -> Padded:
    """Pad the samples of a plan on one side, "right" or "left"."""
    longest = max(map(len, plan.rows))
    index = np.full((len(plan.rows), longest), plan.zero_row, dtype=np.int64)
    mask, labels = np.zeros_like(index), np.full_like(index, IGNORED_LABEL)
    for sample, row in enumerate(plan.rows):
        place = slice(longest - len(row), None) if padding_side == "left" else slice(0, len(row))
        index[sample, place], labels[sample, place], mask[sample, place] = row, plan.labels[sample], 1
    return Padded(index, labels, mask, position_ids=(mask.cumsum(1) - 1).clip(min=0) * mask)


@dataclass(frozen=True)
class Pack:
    """A :class:`Plan` without padding: its samples one after the other, shortest first.

    Equal lengths are neighbours then, which share calls of attention.

    Attributes:
        index: (N,) source rows.
        lengths: tokens of each sample; samples without any are left out.
        read: (R,) the tokens whose outputs predict a supervised token, in the order of the batch.
        targets: (R,) the token that is to follow each.
    """

    index: np.ndarray
    lengths: list[int]
    read: np.ndarray
    targets: np.ndarray


def pack(plan: Plan) -> Pack:
    """Pack the samples of a plan."""
    order = sorted((i for i, row in enumerate(plan.rows) if len(row)), key=lambda i: len(plan.rows[i]))
    lengths = [len(plan.rows[i]) for i in order]
    starts = dict(zip(order, np.cumsum([0, *lengths[:-1]]), strict=True))
    following = {i: plan.labels[i][1:] for i in sorted(order)}
    return Pack(
        index=np.concatenate([plan.rows[i] for i in order]),
        lengths=lengths,
        read=np.concatenate([starts[i] + np.flatnonzero(own >= 0) for i, own in following.items()]),
        targets=np.concatenate([own[own >= 0] for own in following.values()]),
    )
