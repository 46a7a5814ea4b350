"""From text and visuals to the model's inputs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase

from oryx.errors import CheckpointError, InputError
from oryx.files import atomic_write_json
from oryx.grids import compressed_grid, patch_grid, token_count
from oryx.layout import SIDES, Layout, visual_token_count
from oryx.processing import chat
from oryx.processing.frames import ChosenFrames, choose_frames
from oryx.processing.images import frame_view, image_views, open_image
from oryx.processing.options import PreprocessOptions
from oryx.processing.patches import to_patches
from oryx.processing.sizes import Resolution
from oryx.processing.visuals import Images, Video, Views

CONFIG_FILE = "processor_config.json"


@dataclass(frozen=True)
class Prepared:
    """One visual at its final sizes.

    Attributes:
        layout, side: how it is laid out, and the side of the compressor's regions.
        maps: each view or frame as (H, W, 3) uint8 RGB: a quarter of what its pixels take as float32.
        frames: pictures, views or video frames it stands for.
    """

    layout: Layout
    side: int
    maps: list[np.ndarray]
    frames: int

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of every map in pixels."""
        return [one.shape[:2] for one in self.maps]


class OryxProcessor:
    """Tokenizer, preprocessing options and prompt form of a model.

    ``prompt`` is one of ``oryx.processing.chat.FORMS``; ``patch`` the model's patch side in pixels.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        options: PreprocessOptions | None = None,
        prompt: str = "qwen",
        patch: int = 16,
    ):
        if prompt not in chat.FORMS:
            raise InputError(f"prompt {prompt!r}: expected one of {', '.join(chat.FORMS)}")
        self.tokenizer, self.options, self.prompt, self.patch = tokenizer, options or PreprocessOptions(), prompt, patch

    def prepare(
        self, visual: Any, resolution: str | int | Resolution = "native", side: int | None = None
    ) -> list[Prepared]:
        """The visuals behind ``visual``: an image, ``Images``, ``Views`` or ``Video``.

        ``resolution``: "native", by the rules of the options; or S for an area of S² with the shape kept; or any
        ``Resolution``. The latter two have no second view. ``side``: region side k of the compressor (ratio k²); None:
        1 for images, 2 for views and videos up to ``options.short_video_frames`` frames, 4 beyond.
        Raises InputError for anything else, with what to wrap it in.
        """
        fixed = _fixed(resolution)
        if side is not None and (isinstance(side, bool) or not isinstance(side, int) or side < 1):
            raise InputError(f"side: expected None or a whole number of at least 1, got {side!r}")
        if isinstance(visual, (list, tuple)):
            raise InputError(
                "a bare list may mean several images, views of one scene or frames: wrap it in Images(...), Views(...) "
                "or Video(...)"
            )
        if isinstance(visual, Images):
            return [self._image(item, fixed, side) for item in visual.items]
        if isinstance(visual, Views):
            pictures = (open_image(item, self.options.max_pixels) for item in visual.items)
            return [self._frames(ChosenFrames(len(visual.items), pictures), fixed, side)]
        if isinstance(visual, Video):
            return [self._frames(choose_frames(visual, self.options), fixed, side)]
        return [self._image(visual, fixed, side)]

    def __call__(
        self,
        text: str | Sequence[dict],
        visual: Any = None,
        resolution: str | int | Resolution = "native",
        side: int | None = None,
    ) -> BatchFeature:
        """Model inputs for one question (or a conversation, then with labels) about a visual."""
        return self.assemble(text, [] if visual is None else self.prepare(visual, resolution, side))

    def assemble(self, text: str | Sequence[dict], prepared: Sequence[Prepared]) -> BatchFeature:
        """Model inputs from prepared visuals.

        A question without a mark gets one ``<image>`` line per visual in front. Raises InputError if marks and visuals
        differ in number.
        """
        conversation = chat.question(text) if isinstance(text, str) else chat.move_marks_first(chat.checked(text))
        first = conversation[0]["value"] or ""
        marks = sum((turn["value"] or "").count(chat.MARK) for turn in conversation if turn["from"] == "human")
        if marks == 0 and prepared:
            conversation = [{**conversation[0], "value": f"{chat.MARK}\n" * len(prepared) + first}, *conversation[1:]]
        elif marks != len(prepared):
            raise InputError(
                f"text has {marks} {chat.MARK} marks, {len(prepared)} visual(s) came; expected one mark each"
            )
        tokens = chat.tokenize(self.tokenizer, conversation, self._form(conversation))
        data = {
            "input_ids": torch.tensor([tokens.input_ids]),
            "attention_mask": torch.ones(1, len(tokens.input_ids), dtype=torch.long),
        }
        if not isinstance(text, str):
            data["labels"] = torch.tensor([tokens.labels])
        if prepared:
            grids = [patch_grid(size, self.patch) for one in prepared for size in one.sizes]
            patches = torch.empty(token_count(grids), 3 * self.patch**2)
            maps = (one for visual in prepared for one in visual.maps)
            for rows, one in zip(patches.split([token_count([grid]) for grid in grids]), maps, strict=True):
                rows.copy_(to_patches(one, self.patch)[0])
            data["pixel_patches"], data["image_grids"] = patches, torch.tensor(grids)
            data["visual_spec"] = torch.tensor([[one.layout, len(one.maps), one.side] for one in prepared])
        return BatchFeature(data)

    def prompt_ids(self, text: str, visuals: int = 1) -> list[int]:
        """Token ids of the prompt that asks ``text``, with one mark a visual in front of it."""
        conversation = chat.question(f"{chat.MARK}\n" * visuals + text)
        return chat.tokenize(self.tokenizer, conversation, self._form(conversation)).input_ids

    def seen(self, prepared: Sequence[Prepared]) -> dict:
        """What the model gets to see: sizes (height, width) of every map, frames, and visual tokens."""
        tokens = 0
        for one in prepared:
            grids = [compressed_grid(patch_grid(size, self.patch), one.side) for size in one.sizes]
            tokens += visual_token_count(one.layout, grids)
        return {
            "sizes": [size for one in prepared for size in one.sizes],
            "frames": sum(one.frames for one in prepared),
            "visual_tokens": tokens,
        }

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer and ``processor_config.json``."""
        self.tokenizer.save_pretrained(folder)
        config = {"options": self.options.to_dict(), "prompt": self.prompt, "patch": self.patch}
        atomic_write_json(Path(folder) / CONFIG_FILE, {"processor_class": type(self).__name__, **config})

    @classmethod
    def from_pretrained(cls, folder: str | Path, **kwargs) -> "OryxProcessor":
        """Read what :meth:`save_pretrained` wrote; keyword arguments go to the tokenizer.

        Raises CheckpointError for a missing or unreadable ``processor_config.json`` or tokenizer.
        """
        kwargs.pop("_from_auto", None)  # AutoProcessor's own
        made = cls.from_config(folder, None)
        try:
            made.tokenizer = AutoTokenizer.from_pretrained(folder, **kwargs)
        except Exception as error:  # of many kinds, and none names the folder
            raise CheckpointError(
                f"{folder}: its tokenizer cannot be loaded (a file missing or damaged?): {error}"
            ) from error
        return made

    @classmethod
    def from_config(cls, folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> "OryxProcessor":
        """What a folder's ``processor_config.json`` says, with a tokenizer from elsewhere; errors as above."""
        path = Path(folder) / CONFIG_FILE
        try:
            config = json.loads(path.read_text())
            options, prompt, patch = PreprocessOptions.from_dict(config["options"]), config["prompt"], config["patch"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: expected options, prompt and patch of a processor; {type(error).__name__}: {error}"
            ) from None
        return cls(tokenizer, options, prompt, patch)

    def _form(self, conversation: Sequence[dict]) -> str:
        asking = conversation[-1]["value"] is None
        return "template" if self.prompt == "qwen" and self.options.newlines == 1 and asking else self.prompt

    def _image(self, source: Any, fixed: Resolution | None, side: int | None) -> Prepared:
        picture = open_image(source, self.options.max_pixels)
        if fixed is None:
            views = [view for view in image_views(picture, self.options) if view is not None]
        else:
            views = [fixed.apply(picture, self.options.high.stride)]
        layout = Layout.TWO_VIEW if len(views) == 2 else Layout.ONE_VIEW
        return Prepared(layout, side or SIDES["image"], [np.asarray(view) for view in views], 1)

    def _frames(self, frames: ChosenFrames, fixed: Resolution | None, side: int | None) -> Prepared:
        long = frames.count > self.options.short_video_frames
        side, maps, size = side or SIDES["video_long" if long else "video"], [], None
        for picture in frames.pictures:  # one decoded frame at a time: a long video never lies in memory unscaled
            if fixed is None:
                view = frame_view(picture, self.options, side > SIDES["video"])
            else:
                view = fixed.apply(picture, self.patch * side)
            size = size or view.size
            if view.size != size:  # views of a scene may differ, their maps share one size
                view = picture.resize(size, Image.Resampling.BICUBIC)
            maps.append(np.asarray(view))
        return Prepared(Layout.VIDEO, side, maps, len(maps))


def _fixed(resolution: str | int | Resolution) -> Resolution | None:
    if isinstance(resolution, Resolution) or resolution == "native":
        return None if resolution == "native" else resolution
    if isinstance(resolution, bool) or not isinstance(resolution, int) or resolution < 1:
        raise InputError(
            f"resolution: expected 'native', a side S in pixels (area S²) or a Resolution, got {resolution!r}"
        )
    return Resolution("area", resolution)
