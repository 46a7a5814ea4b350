"""Pictures at an arm's resolution, kept as patches or as a frozen encoder's features, and batches of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from oryx.grids import Grid
from oryx.layout import Layout, visual_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.resolution import Resolution
from oryx.train.batches import text_batch, to_patches
from workbook.data.items import Item

ENCODE_BATCH = 64


def encoded(encoder: OryxForConditionalGeneration, pictures: Sequence[tuple[Tensor, Grid]]) -> list[Tensor]:
    """The frozen encoder's features (h·w, C) of pictures given as (patches, grid), in half precision, on the CPU."""
    # equal lengths side by side share one attention call
    order = sorted(range(len(pictures)), key=lambda i: len(pictures[i][0]))
    with torch.inference_mode():
        packed = torch.cat([pictures[i][0] for i in order]).to(encoder.device)
        maps = encoder.vision_tower(packed, [pictures[i][1] for i in order]).maps()
    ordered = dict(zip(order, maps, strict=True))
    return [ordered[i].to("cpu", torch.float16) for i in range(len(pictures))]


class PictureInputs:
    """The visual inputs of a list of items at one resolution.

    With ``encoder`` its features are computed once and kept in half precision (the encoder is frozen then); without,
    the patches are kept and the model encodes them anew in every step. ``resolution`` None stands for no picture at
    all.
    """

    layout = Layout.ONE_VIEW

    def __init__(
        self,
        items: Sequence[Item],
        resolution: Resolution | None,
        patch: int,
        encoder: OryxForConditionalGeneration | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ):
        self.items, self.patch = items, patch
        self.grids: list[Grid] = []
        self.name = "pixel_patches" if encoder is None else "vision_features"
        self.parts: list[Tensor] = []
        if resolution is None:
            self.grids = [(0, 0)] * len(items)
            return
        for start in range(0, len(items), ENCODE_BATCH):
            chunk = [to_patches(resolution.apply(i.picture, patch), patch) for i in items[start : start + ENCODE_BATCH]]
            self.grids += [grid for _, grid in chunk]
            self.parts += [patches for patches, _ in chunk] if encoder is None else encoded(encoder, chunk)
            progress(min(start + ENCODE_BATCH, len(items)), len(items))

    def __len__(self) -> int:
        return len(self.items)

    def views(self, index: int) -> tuple[Grid, ...]:
        """The grids of item ``index``'s maps in the model: one, or two where there is a view of all of it before."""
        return (self.grids[index],)

    def sizes(self, index: int) -> list[list[int]]:
        """[height, width] in pixels of each view that the model saw of item ``index``."""
        return [[rows * self.patch, columns * self.patch] for rows, columns in self.views(index)]

    def visual_tokens(self, index: int) -> int:
        """How many tokens the projector emits for item ``index``, newlines and separators included."""
        return visual_token_count(self.layout, self.views(index)) if self.parts else 0

    def length(self, index: int) -> int:
        """Tokens of item ``index`` in the language model: picture, question and answer (one byte a token)."""
        item = self.items[index]
        return self.visual_tokens(index) + len(item.question) + len(item.answer)

    def sort_key(self, index: int) -> tuple[int, int]:
        """By which to sort a batch: items that share attention calls, in tower and language model, come together."""
        rows, columns = self.grids[index]
        return (0 if self.name == "vision_features" else rows * columns), self.length(index)

    def batch(self, indices: Sequence[int], answers: bool, visual: bool = True, device=None) -> dict[str, Tensor]:
        """Model inputs for these items; with ``answers`` also labels. ``visual=False`` leaves the pictures out."""
        visual = visual and bool(self.parts)
        items = [self.items[i] for i in indices]
        batch = text_batch([i.question for i in items], [i.answer for i in items] if answers else None, visual)
        if visual:
            batch |= {
                self.name: torch.cat([self.parts[i] for i in indices]).float(),
                "image_grids": torch.tensor([grid for i in indices for grid in self.views(i)]),
                "visual_spec": torch.tensor([[self.layout, len(self.views(i)), 1] for i in indices]),
            }
        return {name: value.to(device) for name, value in batch.items()} if device is not None else batch
