"""Pictures that are cut when a step asks for them and encoded in the step: nothing is held from one to the next.

For runs whose features would fill a machine: 200,000 pictures for a so400m tower are 236 GB in half precision, and
every arm has its own. Here a batch costs its own pictures and one more pass of a frozen tower. Its features are not
rounded to half precision, so a training differs from one on kept features by that rounding.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from oryx.layout import visual_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT
from oryx.processing.sizes import Partition, Resolution
from oryx.train.inputs import (
    ENCODE_BATCH,
    PictureInputs,
    answer_targets,
    cut_items,
    encoded,
    layout_of,
    maps_of,
    text_batch,
)
from oryx.train.loop import StepBatches, answer_loss

View = Resolution | Partition | None


class StreamedInputs(PictureInputs):
    """Inputs for evaluation whose features are made anew for every batch; the tower must be a frozen ``encoder``'s."""

    def __init__(self, items: Sequence[Any], view: View, patch: int, encoder: OryxForConditionalGeneration, **how: Any):
        super().__init__(items, view, patch, encoder, **how)
        self.encoder = encoder

    def _add(self, items: Sequence[Any], tower: OryxViT | None) -> None:
        self.maps += [maps_of(item.size, self.view, self.patch) for item in items]

    def features(self, indices: Sequence[int]) -> Tensor:
        """The features (N, C) of these items, encoded now."""
        cut = cut_items([self.items[i] for i in indices], self.view, self.patch)
        starts = range(0, len(cut.squares), ENCODE_BATCH)
        parts = (cut.squares[start : start + ENCODE_BATCH] for start in starts)
        tower = self.encoder.vision_tower
        return torch.cat([one for part in parts for one in encoded(tower, part, self.compute)])[torch.cat(cut.order)]


def streamed_batches(
    draw: Callable[[int], Sequence[Any]], view: View, patch: int, steps: int, workers: int = 0
) -> StepBatches:
    """The batches of a training whose items ``draw(step)`` makes; all but the encoding is done by the workers.

    ``draw`` is pickled for them and must depend on the step alone. The loss is :func:`streamed_loss`.
    """
    return StepBatches(partial(_drawn, draw, view, patch), partial(_collated, view, patch), steps, _targets, workers)


def _drawn(draw: Callable[[int], Sequence[Any]], view: View, patch: int, step: int) -> list[Any]:
    """The items of a step, those of like length side by side."""

    def length(item: Any) -> int:
        visual = visual_token_count(layout_of(view), maps_of(item.size, view, patch)) if view else 0
        return visual + len(item.question) + len(item.answer)

    return sorted(draw(step), key=length)


def _collated(view: View, patch: int, items: Sequence[Any]) -> dict[str, Tensor]:
    batch = text_batch([one.question for one in items], [one.answer for one in items], view is not None)
    if view is None:
        return batch
    cut = cut_items(items, view, patch)
    return batch | {
        "pixel_patches": torch.cat([patches for patches, _ in cut.squares]),
        "square_grids": torch.tensor([grid for _, grid in cut.squares]),
        "token_order": torch.cat(cut.order),
        "image_grids": torch.tensor([grid for maps in cut.maps for grid in maps]),
        "visual_spec": torch.tensor([[layout_of(view), len(maps), 1] for maps in cut.maps]),
    }


def _targets(item: Any) -> int:
    return answer_targets(item.answer)


def streamed_loss(model: OryxForConditionalGeneration, batch: dict[str, Tensor]) -> Tensor:
    """:func:`oryx.train.loop.answer_loss` of a batch of :func:`streamed_batches`, encoded here without gradients."""
    batch = dict(batch)
    if "square_grids" in batch:
        patches, grids = batch.pop("pixel_patches"), [tuple(grid) for grid in batch.pop("square_grids").tolist()]
        found, lengths = [], [rows * columns for rows, columns in grids]
        with torch.no_grad():
            for start in range(0, len(grids), ENCODE_BATCH):
                end = start + ENCODE_BATCH
                part = patches[sum(lengths[:start]) : sum(lengths[:end])]
                found.append(model.vision_tower(part, grids[start:end]).tokens)
        batch["vision_features"] = torch.cat(found)[batch.pop("token_order")]
    return answer_loss(model, batch)
