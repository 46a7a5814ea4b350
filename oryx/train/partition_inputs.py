"""Pictures by dynamic partition, kept as a frozen encoder's features: a thumbnail's map, then the tiles' joined one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from oryx.errors import SettingsError
from oryx.grids import Grid
from oryx.layout import Layout
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.partition import Partition
from oryx.processing.resolution import Resolution
from oryx.train.batches import to_patches
from oryx.train.inputs import ENCODE_BATCH, PictureInputs, encoded
from workbook.data.items import Item


def joined(tiles: Sequence[Tensor], canvas: Grid, side: int, kept: tuple[int, int, int, int]) -> Tensor:
    """One map (rows·columns, C) from tiles (side², C), rows first, of a canvas; ``kept`` as :meth:`Partition.cells`."""
    top, left, rows, columns = kept
    whole = torch.stack(list(tiles)).view(*canvas, side, side, -1).transpose(1, 2)
    whole = whole.reshape(canvas[0] * side, canvas[1] * side, -1)
    return whole[top : top + rows, left : left + columns].reshape(rows * columns, -1)


class PartitionInputs(PictureInputs):
    """As :class:`PictureInputs`, each item seen as thumbnail and tiles; the encoder is frozen."""

    layout = Layout.TWO_VIEW

    def __init__(
        self,
        items: Sequence[Item],
        partition: Partition,
        patch: int,
        encoder: OryxForConditionalGeneration,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ):
        super().__init__(items, None, patch, encoder)
        self.cells = partition.side // patch
        self.grids = []
        for start in range(0, len(items), ENCODE_BATCH):
            chunk = items[start : start + ENCODE_BATCH]
            squares = [partition.squares(item.picture) for item in chunk]
            features = iter(encoded(encoder, [to_patches(square, patch) for each in squares for square in each]))
            for item, each in zip(chunk, squares, strict=True):
                thumbnail, tiles = next(features), [next(features) for _ in each[1:]]
                kept = partition.cells(item.size, patch)
                self.grids.append(kept[2:])
                self.parts.append(torch.cat([thumbnail, joined(tiles, partition.canvas(item.size), self.cells, kept)]))
            progress(min(start + ENCODE_BATCH, len(items)), len(items))

    def views(self, index: int) -> tuple[Grid, ...]:
        """The thumbnail's grid, then that of the joined tiles."""
        return (self.cells, self.cells), self.grids[index]


def picture_inputs(
    items: Sequence[Item],
    view: Resolution | Partition | None,
    patch: int,
    encoder: OryxForConditionalGeneration | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PictureInputs:
    """The inputs of ``items`` at one resolution, or by partition (which needs a frozen ``encoder``)."""
    if not isinstance(view, Partition):
        return PictureInputs(items, view, patch, encoder, progress)
    if encoder is None:
        raise SettingsError("dynamic partition: expected a frozen encoder, got one that is trained")
    return PartitionInputs(items, view, patch, encoder, progress)
