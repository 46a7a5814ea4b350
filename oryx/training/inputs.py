"""Pictures at an arm's resolution, kept as patches or as a frozen encoder's features, and batches of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from oryx.data.items import Item
from oryx.grids import image_token_count
from oryx.model.layout import Layout
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.resolution import Resolution
from oryx.training.batches import text_batch, to_patches

ENCODE_BATCH = 64


class PictureInputs:
    """The visual inputs of a list of items at one resolution.

    With ``encoder`` its features are computed once and kept in half precision (the encoder is frozen then); without,
    the patches are kept and the model encodes them anew in every step. ``resolution`` None stands for no picture at
    all.
    """

    def __init__(
        self,
        items: Sequence[Item],
        resolution: Resolution | None,
        patch: int,
        encoder: OryxForConditionalGeneration | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ):
        self.items, self.patch = items, patch
        self.grids: list[tuple[int, int]] = []
        self.name = "pixel_patches" if encoder is None else "vision_features"
        self.parts: list[Tensor] = []
        if resolution is None:
            self.grids = [(0, 0)] * len(items)
            return
        device = None if encoder is None else encoder.device
        for start in range(0, len(items), ENCODE_BATCH):
            chunk = [to_patches(resolution.apply(i.picture, patch), patch) for i in items[start : start + ENCODE_BATCH]]
            grids = [grid for _, grid in chunk]
            self.grids += grids
            if encoder is None:
                self.parts += [patches for patches, _ in chunk]
                continue
            order = sorted(
                range(len(chunk)), key=lambda i: grids[i]
            )  # equal sizes side by side share one attention call
            with torch.inference_mode():
                packed = torch.cat([chunk[i][0] for i in order]).to(device)
                maps = encoder.vision_tower(packed, [grids[i] for i in order]).maps()
            ordered = dict(zip(order, maps, strict=True))
            self.parts += [ordered[i].to("cpu", torch.float16) for i in range(len(chunk))]
            progress(min(start + ENCODE_BATCH, len(items)), len(items))

    def __len__(self) -> int:
        return len(self.items)

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels that the model saw of item ``index``."""
        return self.grids[index][0] * self.patch, self.grids[index][1] * self.patch

    def visual_tokens(self, index: int) -> int:
        """How many tokens the projector emits for item ``index``, newlines and separators included."""
        return 0 if not self.parts else image_token_count(None, self.grids[index])

    def length(self, index: int) -> int:
        """Tokens of item ``index`` in the language model: picture, question and answer (one byte a token)."""
        item = self.items[index]
        return self.visual_tokens(index) + len(item.question) + len(item.answer)

    def batch(self, indices: Sequence[int], answers: bool, visual: bool = True, device=None) -> dict[str, Tensor]:
        """Model inputs for these items; with ``answers`` also labels. ``visual=False`` leaves the pictures out."""
        visual = visual and bool(self.parts)
        items = [self.items[i] for i in indices]
        batch = text_batch([i.question for i in items], [i.answer for i in items] if answers else None, visual)
        if visual:
            batch |= {
                self.name: torch.cat([self.parts[i] for i in indices]).float(),
                "image_grids": torch.tensor([self.grids[i] for i in indices]),
                "visual_spec": torch.tensor([[Layout.ONE_VIEW, 1, 1]] * len(indices)),
            }
        return {name: value.to(device) for name, value in batch.items()} if device is not None else batch
