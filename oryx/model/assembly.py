"""Splicing visual tokens into text: which source row goes to which place, with labels, mask and positions.

Rules: reference file ``oryx/model/oryx_arch.py``. Only integers in here; :mod:`oryx.model.modeling` gathers the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oryx.errors import InputError
from oryx.model.config import IGNORED_LABEL


@dataclass(frozen=True)
class Plan:
    """A batch after expansion; L is the length of its longest sample.

    Attributes:
        text_ids: (Nt,) the real text ids of the whole batch, one sample after the other.
        index: (B, L) source rows: first the Nt text tokens, then all visual tokens in order, then one zero row.
        labels: (B, L), -100 on visual tokens and padding; None if none were given.
        attention_mask: (B, L), 1 on real positions.
        position_ids: (B, L), counted from 0 at each sample's first real token; 0 on padding.
        truncated: how many samples were cut.
    """

    text_ids: np.ndarray
    index: np.ndarray
    labels: np.ndarray | None
    attention_mask: np.ndarray
    position_ids: np.ndarray
    truncated: int


def plan_batch(
    input_ids: np.ndarray,
    attention_mask: np.ndarray | None,
    labels: np.ndarray | None,
    visual_lengths: Sequence[int],
    *,
    visual_token_id: int,
    max_length: int | None = None,
    padding_side: str = "right",
) -> Plan:
    """Plan the expansion of a batch.

    Padding is removed by the mask, every ``visual_token_id`` is replaced by the next visual's tokens, in order over
    the whole batch; then each sample is cut to ``max_length`` (at its end, so an over-long video costs the question),
    and the batch is padded on ``padding_side``.

    Args:
        input_ids: (B, L0); attention_mask, labels: (B, L0) or None.
        visual_lengths: tokens of every visual that has a placeholder.

    Raises:
        InputError: shapes that differ, no real token at all, or another number of placeholders than of visuals.
    """
    mask = np.ones_like(input_ids, dtype=bool) if attention_mask is None else attention_mask.astype(bool)
    for name, array in (("attention_mask", mask), ("labels", labels)):
        if array is not None and array.shape != input_ids.shape:
            raise InputError(f"{name}: expected the shape of input_ids {input_ids.shape}, got {array.shape}")
    placeholders = int(((input_ids == visual_token_id) & mask).sum())
    if placeholders != len(visual_lengths):
        raise InputError(
            f"input_ids hold {placeholders} visual placeholder(s) ({visual_token_id}), but {len(visual_lengths)} "
            "visual(s) came; expected one placeholder per visual"
        )
    is_text = mask & (input_ids != visual_token_id)
    text_ids = input_ids[is_text]
    starts = len(text_ids) + np.concatenate([[0], np.cumsum(visual_lengths)]).astype(np.int64)
    zero_row = int(starts[-1])
    rows, row_labels, next_text, next_visual = [], [], 0, 0
    for sample, real in enumerate(mask):
        parts, part_labels = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        ids = input_ids[sample][real]
        own = ids if labels is None else labels[sample][real]
        marks = np.flatnonzero(ids == visual_token_id)
        for begin, end in zip([0, *(marks + 1)], [*marks, len(ids)], strict=True):
            parts.append(np.arange(next_text, next_text + end - begin))
            part_labels.append(own[begin:end])
            next_text += int(end - begin)
            if end < len(ids):
                parts.append(np.arange(starts[next_visual], starts[next_visual + 1]))
                part_labels.append(np.full(len(parts[-1]), IGNORED_LABEL))
                next_visual += 1
        rows.append(np.concatenate(parts))
        row_labels.append(np.concatenate(part_labels))
    truncated = 0 if max_length is None else sum(len(row) > max_length for row in rows)
    rows = [row[:max_length] for row in rows]
    longest = max(map(len, rows), default=0)
    if longest == 0:
        raise InputError("input_ids: expected at least one token that is not padding, got none")
    index = np.full((len(rows), longest), zero_row, dtype=np.int64)
    new_mask, new_labels = np.zeros_like(index), np.full_like(index, IGNORED_LABEL)
    for sample, row in enumerate(rows):
        place = slice(longest - len(row), None) if padding_side == "left" else slice(0, len(row))
        index[sample, place] = row
        new_labels[sample, place] = row_labels[sample][: len(row)]
        new_mask[sample, place] = 1
    return Plan(
        text_ids=text_ids,
        index=index,
        labels=None if labels is None else new_labels,
        attention_mask=new_mask,
        position_ids=(new_mask.cumsum(1) - 1).clip(min=0) * new_mask,
        truncated=int(truncated),
    )


@dataclass(frozen=True)
class Pack:
    """The samples of a :class:`Plan` that have something to predict, one after the other, without padding.

    Shortest first, so that equal lengths are neighbours; each ends with the last token whose output is read.

    Attributes:
        index: (N,) source rows, as in the plan.
        lengths: tokens of each sample.
        tails: of each sample, how many tokens there are from the first whose output is read to its end.
        read: (R,) which of the outputs of all tails are read, in the order of the batch.
        targets: (R,) the token that is to follow each.
    """

    index: np.ndarray
    lengths: list[int]
    tails: list[int]
    read: np.ndarray
    targets: np.ndarray


def pack(plan: Plan) -> Pack | None:
    """Pack a plan that has labels; None if no sample has anything to predict."""
    samples = []
    for row, mask, labels in zip(plan.index, plan.attention_mask.astype(bool), plan.labels, strict=True):
        following = labels[mask][1:]
        read = np.flatnonzero(following >= 0)
        if len(read):
            samples.append((row[mask][: read[-1] + 1], read - read[0], following[read]))
    if not samples:
        return None
    order = sorted(range(len(samples)), key=lambda i: len(samples[i][0]))
    tails = [int(samples[i][1][-1]) + 1 for i in order]
    starts = dict(zip(order, np.concatenate([[0], np.cumsum(tails[:-1])]).astype(np.int64), strict=True))
    return Pack(
        index=np.concatenate([samples[i][0] for i in order]),
        lengths=[len(samples[i][0]) for i in order],
        tails=tails,
        read=np.concatenate([starts[i] + read for i, (_, read, _) in enumerate(samples)]),
        targets=np.concatenate([targets for _, _, targets in samples]),
    )
