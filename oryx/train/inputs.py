"""Pictures as a model's inputs: at one resolution or by dynamic partition, as patches or as kept features.

Whether a picture is drawn on the fly or read from disk does not matter here: an item is anything with a picture, a
question and an answer (:class:`PictureItem`).
"""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Protocol, Self

import torch
from PIL import Image
from torch import Tensor

from oryx.errors import InputError, SettingsError
from oryx.grids import Grid, Size, compressed_grid
from oryx.layout import Layout, visual_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT
from oryx.processing.patches import to_patches
from oryx.processing.sizes import Partition, Resolution
from oryx.train import device
from oryx.train.device import Compute
from oryx.train.text import answer_targets, text_batch

ENCODE_BATCH = 64
"""Pictures that are encoded together."""

Progress = Callable[[int, int], None]


class PictureItem(Protocol):
    """One question about one picture (RGB)."""

    id: str
    picture: Image.Image
    question: str
    answer: str

    @property
    def size(self) -> Size:
        """(height, width) of the picture."""

    @property
    def fields(self) -> dict:
        """What a row of results says about the item beside its answer."""


@torch.inference_mode()
def encoded(tower: OryxViT, pictures: Sequence[tuple[Tensor, Grid]], compute: Compute) -> list[Tensor]:
    """The features (h·w, C) of pictures given as (patches, grid), encoded together on the device, on the CPU."""
    # equal lengths side by side share one attention call
    order = sorted(range(len(pictures)), key=lambda i: len(pictures[i][0]))
    packed = torch.cat([pictures[i][0] for i in order]).to(compute.device)
    with compute.autocast():
        maps = tower(packed, [pictures[i][1] for i in order]).maps()
    ordered = dict(zip(order, maps, strict=True))
    return [ordered[i].float().cpu() for i in range(len(pictures))]


def kept(features: Tensor) -> Tensor:
    """Features in half precision, as they are kept; raises InputError if half precision cannot hold them."""
    half = features.to(torch.float16)
    if not half.isfinite().all():
        raise InputError(f"features reach {features.abs().max():g}, more than half precision can keep")
    return half


class PictureInputs:
    """The visual inputs of a list of items at one resolution.

    With ``encoder`` (frozen then) its features are computed once, on the device, and kept in half precision; without,
    the patches are kept and the model encodes them anew in every step. ``resolution`` None stands for no picture at
    all.
    """

    layout = Layout.ONE_VIEW

    def __init__(
        self,
        items: Sequence[PictureItem],
        resolution: Resolution | None,
        patch: int,
        encoder: OryxForConditionalGeneration | None = None,
        progress: Progress = lambda done, total: None,
        compute: Compute | None = None,
    ):
        self.items, self.view, self.patch, self.side = items, resolution, patch, 1
        self.compute = compute or device.compute()
        self.name = "pixel_patches" if encoder is None else "vision_features"
        self.grids: list[Grid] = []
        self.parts: list[Tensor] = []
        if resolution is None:
            self.grids = [(0, 0)] * len(items)
            return
        if encoder is not None:
            self.compute.place(encoder)
        for start in range(0, len(items), ENCODE_BATCH):
            self._add(items[start : start + ENCODE_BATCH], None if encoder is None else encoder.vision_tower)
            progress(min(start + ENCODE_BATCH, len(items)), len(items))

    def _add(self, items: Sequence[PictureItem], tower: OryxViT | None) -> None:
        cut = [to_patches(self.view.apply(item.picture, self.patch), self.patch) for item in items]
        self.grids += [grid for _, grid in cut]
        self.parts += [patches for patches, _ in cut] if tower is None else map(kept, encoded(tower, cut, self.compute))

    def __len__(self) -> int:
        return len(self.items)

    def at_side(self, side: int) -> Self:
        """The same items with their maps compressed in regions of ``side`` x ``side`` tokens; nothing is encoded."""
        found = copy(self)
        found.side = side
        return found

    def views(self, index: int) -> tuple[Grid, ...]:
        """The grids of item ``index``'s maps in the model: one, or two where there is a view of all of it before."""
        return (self.grids[index],)

    def sizes(self, index: int) -> list[list[int]]:
        """[height, width] in pixels of each view that the model saw of item ``index``."""
        return [[rows * self.patch, columns * self.patch] for rows, columns in self.views(index)]

    def visual_tokens(self, index: int) -> int:
        """How many tokens the projector emits for item ``index``, newlines and separators included."""
        grids = [compressed_grid(grid, self.side) for grid in self.views(index)]
        return visual_token_count(self.layout, grids) if self.parts else 0

    def length(self, index: int) -> int:
        """Tokens of item ``index`` in the language model: picture, question and answer (one byte a token)."""
        item = self.items[index]
        return self.visual_tokens(index) + len(item.question) + len(item.answer)

    def targets(self, index: int) -> int:
        """Supervised tokens of item ``index``."""
        return answer_targets(self.items[index].answer)

    def sort_key(self, index: int) -> tuple[int, int]:
        """By which to sort a batch: items that share attention calls, in tower and language model, come together."""
        rows, columns = self.grids[index]
        return (0 if self.name == "vision_features" else rows * columns), self.length(index)

    def batch(self, indices: Sequence[int], answers: bool = True, visual: bool = True) -> dict[str, Tensor]:
        """Model inputs for these items, on the CPU; with ``answers`` also labels.

        ``visual=False`` leaves the pictures out.
        """
        visual = visual and bool(self.parts)
        items = [self.items[i] for i in indices]
        batch = text_batch([i.question for i in items], [i.answer for i in items] if answers else None, visual)
        if visual:
            batch |= {
                self.name: torch.cat([self.parts[i] for i in indices]).float(),
                "image_grids": torch.tensor([grid for i in indices for grid in self.views(i)]),
                "visual_spec": torch.tensor([[self.layout, len(self.views(i)), self.side] for i in indices]),
            }
        return batch


class PartitionInputs(PictureInputs):
    """As :class:`PictureInputs`, each item seen as thumbnail and tiles; the encoder is frozen."""

    layout = Layout.TWO_VIEW

    def _add(self, items: Sequence[PictureItem], tower: OryxViT | None) -> None:
        if tower is None:
            raise SettingsError("dynamic partition: expected a frozen encoder, got one that is trained")
        squares = [self.view.squares(item.picture) for item in items]
        cut = [to_patches(square, self.patch) for each in squares for square in each]
        features = map(kept, encoded(tower, cut, self.compute))
        for item, each in zip(items, squares, strict=True):
            thumbnail, tiles = next(features), [next(features) for _ in each[1:]]
            cells = self.view.cells(item.size, self.patch)
            self.grids.append(cells[2:])
            canvas = joined(tiles, self.view.canvas(item.size), self.view.side // self.patch, cells)
            self.parts.append(torch.cat([thumbnail, canvas]))

    def views(self, index: int) -> tuple[Grid, ...]:
        """The thumbnail's grid, then that of the joined tiles."""
        cells = self.view.side // self.patch
        return (cells, cells), self.grids[index]


def joined(tiles: Sequence[Tensor], canvas: Grid, cells: int, kept: tuple[int, int, int, int]) -> Tensor:
    """One map (rows·columns, C) from tiles (cells², C), rows first, of a canvas; ``kept``: :meth:`Partition.cells`."""
    top, left, rows, columns = kept
    whole = torch.stack(list(tiles)).view(*canvas, cells, cells, -1).transpose(1, 2)
    whole = whole.reshape(canvas[0] * cells, canvas[1] * cells, -1)
    return whole[top : top + rows, left : left + columns].reshape(rows * columns, -1)


def picture_inputs(
    items: Sequence[PictureItem],
    view: Resolution | Partition | None,
    patch: int,
    encoder: OryxForConditionalGeneration | None = None,
    progress: Progress = lambda done, total: None,
    compute: Compute | None = None,
) -> PictureInputs:
    """The inputs of ``items`` at one resolution, or by partition (which needs a frozen ``encoder``)."""
    kind = PartitionInputs if isinstance(view, Partition) else PictureInputs
    return kind(items, view, patch, encoder, progress, compute)
