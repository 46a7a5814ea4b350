"""How visuals become sequences, and how those are spliced into text. Only integers in here.

Layouts: reference file ``oryx/model/multimodal_projector/builder.py``. Splicing: reference file
``oryx/model/oryx_arch.py``; :mod:`oryx.model.modeling` gathers the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import islice

import numpy as np

from oryx.errors import InputError
from oryx.grids import Grid, compressed_grid, row_tokens

VISUAL_TOKEN_ID = -200  # marks one visual in ``input_ids`` (reference: IMAGE_TOKEN_INDEX)
IGNORED_LABEL = -100  # a label that takes no part in the loss (reference: IGNORE_INDEX)
FEATURES = ("pixel_patches", "vision_features", "compressed_features")
VISUAL_INPUTS = (*FEATURES, "image_grids", "visual_spec")
"""The model's visual inputs, see :class:`oryx.model.modeling.OryxForConditionalGeneration`."""


class Layout(IntEnum):
    """The layouts of visual tokens; the numbers are stored in ``visual_spec``."""

    ONE_VIEW = 0  # begin, rows, end
    TWO_VIEW = 1  # begin, rows(low), separator, rows(high), end; maps are (low, high)
    VIDEO = 2  # begin, then rows(frame), separator per frame, then end; for videos of any length, and for scenes
    TEXT = 3  # a text sample's dummy: no placeholder stands for it, it takes no place in the sequence


@dataclass(frozen=True)
class Visual:
    """One visual: its layout, the number of its maps (views or frames) and the side of its compressed regions."""

    layout: Layout
    maps: int
    side: int

    def __post_init__(self):
        visual = f"visual with layout {self.layout.name}"
        expected = {Layout.ONE_VIEW: "1 map", Layout.TWO_VIEW: "2 maps", Layout.VIDEO: "1 or more maps"}
        fits = {Layout.ONE_VIEW: self.maps == 1, Layout.TWO_VIEW: self.maps == 2, Layout.VIDEO: self.maps >= 1}
        if not fits.get(self.layout, self.maps >= 0):
            raise InputError(f"{visual}: expected {expected[self.layout]}, got {self.maps}")
        if self.side < 1:
            raise InputError(f"{visual}: expected a region side >= 1, got {self.side}")


def read_spec(spec: Sequence[Sequence[int]]) -> list[Visual]:
    """Visuals from the rows ``[layout, number of maps, side]`` of ``visual_spec``.

    Raises:
        InputError: a row of another length, an unknown layout, a count that does not fit the layout.
    """
    visuals = []
    for row in spec:
        if len(row) != 3 or row[0] not in list(Layout):
            raise InputError(
                f"visual_spec: expected rows [layout 0..{len(Layout) - 1}, number of maps, side], got {list(row)}"
            )
        visuals.append(Visual(Layout(row[0]), int(row[1]), int(row[2])))
    return visuals


# Rows of the table that arrange() indexes: the four vectors first, then the visual's own tokens.
NEWLINE, BEGIN, END, SEPARATOR, FIRST_TOKEN = range(5)


@lru_cache(maxsize=4096)
def arrange(layout: Layout, grids: tuple[Grid, ...]) -> np.ndarray:
    """The sequence of one visual as indices: 0 newline, 1 begin, 2 end, 3 separator, 4 + i its i-th token.

    Args:
        layout: how the maps are laid out.
        grids: the (h, w) of its maps after compression; their tokens are numbered through, rows first.

    Returns:
        int64, read-only; empty for :attr:`Layout.TEXT`.
    """
    parts, first = [np.array([BEGIN])], FIRST_TOKEN
    for number, (rows, columns) in enumerate(grids):
        cells = np.full((rows, columns + 1), NEWLINE)
        cells[:, :columns] = np.arange(first, first + rows * columns).reshape(rows, columns)
        parts.append(cells.ravel())
        # a separator follows every frame, the last included, but stands only between two views
        if layout == Layout.VIDEO or number + 1 < len(grids):
            parts.append(np.array([SEPARATOR]))
        first += rows * columns
    sequence = np.concatenate([*parts, [END]]) if layout != Layout.TEXT else np.empty(0, dtype=np.int64)
    sequence.setflags(write=False)
    return sequence


def spec_token_counts(visuals: Sequence[Visual], grids: Sequence[Grid]) -> list[int]:
    """:func:`visual_token_count` of every visual, for the ``grids`` of their maps before compression."""
    remaining = iter(grids)
    return [
        visual_token_count(one.layout, [compressed_grid(grid, one.side) for grid in islice(remaining, one.maps)])
        for one in visuals
    ]


def visual_token_count(layout: Layout, grids: Sequence[Grid]) -> int:
    """Length of a visual's sequence for the compressed ``grids``, newlines and separators included."""
    if layout == Layout.TEXT:
        return 0
    # begin and end, and a separator between maps; in a video one after the last too
    return sum(map(row_tokens, grids)) + len(grids) + 1 + (layout == Layout.VIDEO)


SIDES = {"image": 1, "video": 2, "video_long": 4}
"""The sides of compressed regions that the released models were trained with, by the public code's name of a modality
(reference file ``oryx/model/multimodal_resampler/perceiver.py``)."""


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
    the whole batch (by its next token where there are as many placeholders as all visuals have tokens); then each
    sample is cut to ``max_length`` (at its end, so an over-long video costs the question).

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
    ids = input_ids[mask]
    marks = ids == visual_token_id
    if marks.sum() != len(visual_lengths) and marks.sum() == sum(visual_lengths):
        visual_lengths = [1] * sum(visual_lengths)
    if marks.sum() != len(visual_lengths):
        raise InputError(
            f"input_ids hold {marks.sum()} visual placeholder(s) ({visual_token_id}), but {len(visual_lengths)} "
            "visual(s) came; expected one placeholder per visual"
        )
    # every real token, a mark too, becomes a run of rows that count on from its first
    runs, first, text = np.ones_like(ids), np.empty_like(ids), (~marks).sum()
    runs[marks] = visual_lengths
    first[~marks], first[marks] = np.arange(text), text + runs[marks].cumsum() - runs[marks]
    rows = np.repeat(first - (runs.cumsum() - runs), runs) + np.arange(runs.sum())
    supervised = np.repeat(np.where(marks, IGNORED_LABEL, labels[mask]), runs)
    ends = np.bincount(mask.nonzero()[0], runs, len(mask)).astype(int).cumsum()[:-1]
    whole, own = np.split(rows, ends), np.split(supervised, ends)
    cut = [row[:max_length] for row in whole]
    if not any(map(len, cut)):
        raise InputError("input_ids: expected at least one token that is not padding, got none")
    return Plan(
        text_ids=ids[~marks],
        rows=cut,
        labels=[row[:max_length] for row in own],
        zero_row=int(runs[marks].sum() + text),
        truncated=sum(len(short) < len(row) for short, row in zip(cut, whole, strict=True)),
    )
