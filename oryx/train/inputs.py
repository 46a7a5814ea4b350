"""Questions and pictures as a model's inputs: text of bytes, pictures as patches or as kept features.

The text of small models is bytes (ids 0 to 255) and an end token (256), in the tersest prompt there is: the mark of the
visual, the question and a newline; the answer and the end token follow and are the only supervised part.
"""

from collections.abc import Callable, Sequence
from copy import copy
from itertools import takewhile
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from oryx.errors import InputError, SettingsError
from oryx.grids import Grid, Size, compressed_grid, token_count
from oryx.layout import IGNORED_LABEL, VISUAL_TOKEN_ID, Layout, visual_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT
from oryx.processing.images import to_patches
from oryx.processing.sizes import Partition, Resolution
from oryx.train import device
from oryx.train.device import Compute

ENCODE_BATCH = 64
"""Pictures that are encoded together."""

Progress = Callable[[int, int], None]

END = 256
VOCABULARY = 259

Question = tuple[str, str]
"""A question and its answer."""


def encode_prompt(question: str, visual: bool = True) -> list[int]:
    """Token ids of the prompt, with the mark of one visual in front unless ``visual`` is false."""
    return [VISUAL_TOKEN_ID] * visual + list(question.encode()) + [10]


def answer_targets(answer: str) -> int:
    """How many supervised tokens an answer has, its end included."""
    return len(answer.encode()) + 1


def decode(ids: Sequence[int]) -> str:
    """The text before the end token; bytes that are no UTF-8 are shown as replacement characters."""
    return bytes(takewhile(lambda token: token < END, map(int, ids))).decode("utf-8", errors="replace")


def text_batch(questions: Sequence[str], answers: Sequence[str] | None, visual: bool = True) -> dict[str, Tensor]:
    """``input_ids``, ``attention_mask`` and, with answers, ``labels``, each (B, L), padded on the right."""
    rows, labels = [], []
    for i, question in enumerate(questions):
        prompt = encode_prompt(question, visual)
        answer = [] if answers is None else [*answers[i].encode(), END]
        rows.append(prompt + answer)
        labels.append([IGNORED_LABEL] * len(prompt) + answer)
    batch = {"input_ids": _padded(rows, END), "attention_mask": _padded([[1] * len(row) for row in rows], 0)}
    return batch if answers is None else {**batch, "labels": _padded(labels, IGNORED_LABEL)}


def questions_batch(samples: Sequence[Sequence[Question]]) -> dict[str, Tensor]:
    """Several questions about each visual side by side, (B, S) each, padded on the right.

    ``text_ids``, ``text_labels``, ``text_question`` (the number of the question a token belongs to, -1 for padding) and
    ``text_place`` (the token's place within its question). Raises InputError for a sample without any question.
    """
    if not samples or not all(samples):
        raise InputError("expected at least one question for every sample")
    ids, labels, numbers, places = [], [], [], []
    for questions in samples:
        rows = [(encode_prompt(question, visual=False), [*answer.encode(), END]) for question, answer in questions]
        ids.append([token for prompt, answer in rows for token in prompt + answer])
        labels.append([label for prompt, answer in rows for label in [IGNORED_LABEL] * len(prompt) + answer])
        numbers.append([i for i, (prompt, answer) in enumerate(rows) for _ in prompt + answer])
        places.append([place for prompt, answer in rows for place in range(len(prompt) + len(answer))])
    columns = {"ids": (ids, END), "labels": (labels, IGNORED_LABEL), "question": (numbers, -1), "place": (places, 0)}
    return {f"text_{name}": _padded(rows, value) for name, (rows, value) in columns.items()}


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


@torch.inference_mode()
def encoded(tower: OryxViT, pictures: Sequence[tuple[Tensor, Grid]], compute: Compute) -> list[Tensor]:
    """The features (h·w, C) of pictures given as (patches, grid), encoded together on the device, on the CPU."""
    packed = torch.cat([patches for patches, _ in pictures]).to(compute.device)
    with compute.autocast():
        return [one.float().cpu() for one in tower(packed, [grid for _, grid in pictures]).maps()]


def kept(features: Tensor) -> Tensor:
    """Features in half precision, as they are kept; raises InputError if half precision cannot hold them."""
    half = features.to(torch.float16)
    if not half.isfinite().all():
        raise InputError(f"features reach {features.abs().max():g}, more than half precision can keep")
    return half


class Cut(NamedTuple):
    """Pictures as an encoder reads them.

    ``squares``: (patches, grid) of every picture or tile, one after the other; ``maps``: the grids of each item's maps;
    ``order``: of each item, which of all tokens that come out make up its maps.
    """

    squares: list[tuple[Tensor, Grid]]
    maps: list[tuple[Grid, ...]]
    order: list[Tensor]


def maps_of(size: Size, view: Resolution | Partition | None, patch: int) -> tuple[Grid, ...]:
    """The grids of the maps that a picture of ``size`` (height, width) becomes; one of nothing where none is shown."""
    if view is None:
        return ((0, 0),)
    if isinstance(view, Partition):
        return (view.side // patch,) * 2, view.cells(size, patch)[2:]
    height, width = view.target(size, patch)
    return ((height // patch, width // patch),)


def cut_items(items: Sequence[Any], view: Resolution | Partition, patch: int) -> Cut:
    """The pictures of items at their sizes, or as tiles whose tokens are put together again by ``order``."""
    found, first = Cut([], [], []), 0
    for item in items:
        tiled = isinstance(view, Partition)
        shown = view.squares(item.picture) if tiled else [view.apply(item.picture, patch)]
        cut = [to_patches(one, patch) for one in shown]
        order = torch.arange(first, first + sum(len(patches) for patches, _ in cut))
        first += len(order)
        if tiled:
            thumbnail, *tiles = order.view(len(cut), -1)
            whole = joined(tiles, view.canvas(item.size), view.side // patch, view.cells(item.size, patch))
            order = torch.cat([thumbnail, whole[:, 0]])
        found.squares.extend(cut)
        found.maps.append(maps_of(item.size, view, patch) if tiled else (cut[0][1],))
        found.order.append(order)
    return found


class PictureInputs:
    """The visual inputs of a list of items at one resolution, or by dynamic partition: as a thumbnail and tiles.

    Whether a picture is drawn on the fly or read from disk does not matter here: an item is anything with ``id``,
    ``picture`` (RGB), ``question``, ``answer``, ``size`` (height, width) and ``fields``, which is what a row of results
    says about it beside its answer.

    With ``encoder`` (frozen then; a partition needs one) its features are computed once, on the device, and kept in
    half precision; without, the patches are kept and the model encodes them anew in every step. ``view`` None stands
    for no picture at all.
    """

    def __init__(
        self,
        items: Sequence[Any],
        view: Resolution | Partition | None,
        patch: int,
        encoder: OryxForConditionalGeneration | None = None,
        progress: Progress = lambda done, total: None,
        compute: Compute | None = None,
    ):
        self.items, self.view, self.patch, self.side = items, view, patch, 1
        self.compute = compute or device.compute()
        # of a partition two maps: the thumbnail, and the tiles put together
        self.layout = Layout.TWO_VIEW if isinstance(view, Partition) else Layout.ONE_VIEW
        self.name = "pixel_patches" if encoder is None else "vision_features"
        self.maps: list[tuple[Grid, ...]] = []
        self.parts: list[Tensor] = []
        if view is None:
            self.maps = [((0, 0),)] * len(items)
            return
        if isinstance(view, Partition) and encoder is None:
            raise SettingsError("dynamic partition: expected a frozen encoder, got one that is trained")
        if encoder is not None:
            self.compute.place(encoder)
        for start in range(0, len(items), ENCODE_BATCH):
            self._add(items[start : start + ENCODE_BATCH], None if encoder is None else encoder.vision_tower)
            progress(min(start + ENCODE_BATCH, len(items)), len(items))

    def _add(self, items: Sequence[Any], tower: OryxViT | None) -> None:
        cut = cut_items(items, self.view, self.patch)
        self.maps += cut.maps
        if tower is None:
            self.parts += [patches for patches, _ in cut.squares]
        else:
            tokens = torch.cat(encoded(tower, cut.squares, self.compute))
            self.parts += [kept(tokens[order]) for order in cut.order]

    def at_side(self, side: int) -> Self:
        """The same items with their maps compressed in regions of ``side`` x ``side`` tokens; nothing is encoded."""
        found = copy(self)
        found.side = side
        return found

    def sizes(self, index: int) -> list[list[int]]:
        """[height, width] in pixels of each view that the model saw of item ``index``."""
        return [[rows * self.patch, columns * self.patch] for rows, columns in self.maps[index]]

    def visual_tokens(self, index: int) -> int:
        """How many tokens the projector emits for item ``index``, newlines and separators included."""
        grids = [compressed_grid(grid, self.side) for grid in self.maps[index]]
        return visual_token_count(self.layout, grids) if self.view else 0

    def length(self, index: int) -> int:
        """Tokens of item ``index`` in the language model: picture, question and answer (one byte a token)."""
        item = self.items[index]
        return self.visual_tokens(index) + len(item.question) + len(item.answer)

    def targets(self, index: int) -> int:
        """Supervised tokens of item ``index``."""
        return answer_targets(self.items[index].answer)

    def sort_key(self, index: int) -> tuple[int, int]:
        """By which to sort a batch: items that share attention calls, in tower and language model, come together."""
        return (0 if self.name == "vision_features" else token_count(self.maps[index])), self.length(index)

    def batch(self, indices: Sequence[int], answers: bool = True, visual: bool = True) -> dict[str, Tensor]:
        """Model inputs for these items, on the CPU; with ``answers`` also labels.

        ``visual=False`` leaves the pictures out.
        """
        visual = visual and self.view is not None
        items = [self.items[i] for i in indices]
        batch = text_batch([i.question for i in items], [i.answer for i in items] if answers else None, visual)
        if visual:
            batch |= {
                self.name: self.features(indices),
                "image_grids": torch.tensor([grid for i in indices for grid in self.maps[i]]),
                "visual_spec": torch.tensor([[self.layout, len(self.maps[i]), self.side] for i in indices]),
            }
        return batch

    def features(self, indices: Sequence[int]) -> Tensor:
        """The kept features, or the patches, of these items one after the other, (N, C) in float32."""
        return torch.cat([self.parts[i] for i in indices]).float()


def joined(tiles: Sequence[Tensor], canvas: Grid, cells: int, kept: tuple[int, int, int, int]) -> Tensor:
    """One map (rows·columns, C) from tiles (cells², C), rows first, of a canvas; ``kept``: :meth:`Partition.cells`."""
    top, left, rows, columns = kept
    whole = torch.stack(list(tiles)).view(*canvas, cells, cells, -1).transpose(1, 2)
    whole = whole.reshape(canvas[0] * cells, canvas[1] * cells, -1)
    return whole[top : top + rows, left : left + columns].reshape(rows * columns, -1)
