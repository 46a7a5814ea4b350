"""From the tensors and fields of an end-to-end case to the model's inputs."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oryx.layout import Layout, visual_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.images import image_views, open_image
from oryx.processing.options import PreprocessOptions

from ..pixels import pack_images, to_pixels
from .harness import GoldenCase
from .reference_forms import MODALITIES


@dataclass
class Batch:
    """What one case gives to the model: text, and every visual's maps with layout and region side."""

    input_ids: Tensor
    attention_mask: Tensor | None
    labels: Tensor | None
    visuals: list[tuple[Layout, list[Tensor], int]] = field(default_factory=list)

    def visual_inputs(self, patch: int) -> dict:
        """The model's visual arguments; empty without visuals."""
        if not self.visuals:
            return {}
        images = [image for _, maps, _ in self.visuals for image in maps]
        patches, grids = pack_images(images, patch)
        return {
            "pixel_patches": patches,
            "image_grids": torch.tensor(grids),
            "visual_spec": torch.tensor([[int(layout), len(maps), side] for layout, maps, side in self.visuals]),
        }

    def expanded_lengths(self, model: OryxForConditionalGeneration) -> list[int]:
        """Tokens of every sample after expansion, from sizes alone."""
        patch, lengths, visuals = model.config.vision_config.patch_size, [], list(self.visuals)
        mask = torch.ones_like(self.input_ids) if self.attention_mask is None else self.attention_mask
        for ids, real in zip(self.input_ids, mask.bool(), strict=True):
            marks = int((ids[real] == model.config.visual_token_id).sum())
            taken, visuals = visuals[: max(marks, 1)], visuals[max(marks, 1) :]
            length = int(real.sum()) - marks
            for layout, maps, side in taken:
                grids = [(-(-image.shape[1] // patch), -(-image.shape[2] // patch)) for image in maps]
                length += visual_token_count(layout, [(-(-h // side), -(-w // side)) for h, w in grids])
            lengths.append(length)
        return lengths


def read_batch(case: GoldenCase) -> Batch:
    """The inputs of a case; one with ``same_inputs_as`` takes what it lacks from that case.

    A video's frames are ONE visual. A sample without a mark takes up one visual, its dummy, if there is one for it.
    """
    sources = [case, *other_case(case)]

    def tensor(*names: str) -> Tensor | None:
        found = (source.tensor(name) for source in sources for name in names if source.has(name))
        return next(found, None)

    fields = {**sources[-1].fields, **case.fields}
    batch = Batch(tensor("input_ids"), tensor("attention_mask"), tensor("labels"))
    modalities = fields.get("modalities", [])
    modalities = [modalities] if isinstance(modalities, str) else modalities
    dummies = dummy_positions(batch, fields.get("visual_token_id", -200), len(modalities))
    for i, name in enumerate(modalities):
        (layout, side), maps = MODALITIES[name], []
        if layout == Layout.VIDEO:
            frames = tensor(f"frames/{i}", "frames", f"images_highres/{i}")
            maps = list(frames.reshape(-1, *frames.shape[-3:]))
        else:
            views = [tensor(f"images/{i}"), tensor(f"images_highres/{i}")]
            maps = [view.reshape(-1, *view.shape[-3:])[0] for view in views if view is not None]
            picture = tensor(f"input_u8/{i}", "input_u8")
            if not maps and picture is not None:
                maps = picture_views(picture)
            layout = Layout.ONE_VIEW if len(maps) == 1 else layout
        batch.visuals.append((Layout.TEXT if i in dummies else layout, maps, side))
    return batch


def other_case(case: GoldenCase) -> list[GoldenCase]:
    name = case.fields.get("same_inputs_as")
    if name is None:
        return []
    fields = next(other for other in case.file.document["cases"] if other["name"] == name)
    base = GoldenCase(name, fields, case.file, case.runner)
    return [base, *other_case(base)]


def dummy_positions(batch: Batch, mark: int, count: int) -> set[int]:
    """Which visuals belong to samples without a mark."""
    dummies, position = set(), 0
    for sample, ids in enumerate(batch.input_ids):
        real = ids if batch.attention_mask is None else ids[batch.attention_mask[sample].bool()]
        marks = int((real == mark).sum())
        if not marks and position < count:
            dummies.add(position)
        position += max(marks, 1)
    return dummies


def picture_views(picture: Tensor) -> list[Tensor]:
    """Low and high view of an (H, W, 3) uint8 picture by the preprocessing of the released scripts."""
    return [to_pixels(view) for view in image_views(open_image(picture.numpy()), PreprocessOptions())]
