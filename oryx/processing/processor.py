"""From text and visuals to the model's inputs, and ``model.ask``: one question, and what was really seen for it."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase

from oryx.errors import CheckpointError, InputError
from oryx.files import atomic_write_json
from oryx.grids import check_whole, compressed_grid, patch_grid
from oryx.layout import SIDES, Layout, visual_token_count
from oryx.processing import chat
from oryx.processing.images import frame_view, image_views, open_image, to_patches
from oryx.processing.options import PreprocessOptions
from oryx.processing.sizes import Resolution
from oryx.processing.visuals import ChosenFrames, Images, Video, Views, choose_frames

CONFIG_FILE = "processor_config.json"


@dataclass(frozen=True)
class Prepared:
    """One visual at its final sizes.

    Attributes:
        layout, side: how it is laid out, and the side of the compressor's regions.
        maps: each view or frame as (H, W, 3) uint8 RGB: a quarter of what its pixels take as float32.
        decoder: who decoded its frames; None: not from a video file.
    """

    layout: Layout
    side: int
    maps: list[np.ndarray]
    decoder: str | None = None

    @property
    def frames(self) -> int:
        """Pictures, views or video frames that it stands for; an image with a second view is one picture."""
        return len(self.maps) if self.layout == Layout.VIDEO else 1

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of every map in pixels."""
        return [one.shape[:2] for one in self.maps]

    def visual_tokens(self, patch: int) -> int:
        """What the projector emits for it, newlines and separators included, where patches have this side."""
        grids = [compressed_grid(patch_grid(size, patch), self.side) for size in self.sizes]
        return visual_token_count(self.layout, grids)


@dataclass(frozen=True)
class Answer:
    """An answer and its circumstances.

    Attributes:
        text: the greedy answer.
        probability: of exactly this answer, its end included: the product over its tokens.
        visual_tokens: everything the projector emitted, newlines and separators included.
        seconds: wall clock, from opening the file to the last token.
        frames: pictures, views or video frames that reached the model.
        sizes: (height, width) in pixels of every map as encoded; an image with a second view has two.
        decoder: who decoded the video file; None: there was none.
    """

    text: str
    probability: float
    visual_tokens: int
    seconds: float
    frames: int
    sizes: tuple[tuple[int, int], ...]
    decoder: str | None = None


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

    @property
    def pad_id(self) -> int:
        """The id of padding: the tokenizer's, or where it has none what ends an answer."""
        padding = self.tokenizer.pad_token_id
        return chat.stop_ids(self.tokenizer, self.prompt)[0] if padding is None else padding

    def prepare(
        self, visual: Any, resolution: str | int | Resolution = "native", side: int | None = None
    ) -> list[Prepared]:
        """The visuals behind ``visual``: an image, ``Images``, ``Views`` or ``Video``.

        ``resolution``: "native", by the rules of the options; or S for an area of S² with the shape kept; or any
        ``Resolution``. The latter two have no second view. ``side``: region side k of the compressor (ratio k²); None:
        1 for images, 2 for views and videos up to ``options.short_video_frames`` frames, 4 beyond.
        Raises InputError for anything else, with what to wrap it in.
        """
        fixed = None if resolution == "native" else resolution
        if fixed is not None and not isinstance(fixed, Resolution):
            expected = "'native', a side S in pixels (area S²) or a Resolution"
            fixed = Resolution("area", check_whole("resolution", fixed, expected))
        if side is not None:
            check_whole("side", side)
        if isinstance(visual, (list, tuple)):
            raise InputError(
                "a bare list may mean several images, views of one scene or frames: wrap it in Images(...), Views(...) "
                "or Video(...)"
            )
        if isinstance(visual, Video):
            return [self._frames(choose_frames(visual, self.options), fixed, side)]
        if isinstance(visual, Views):
            pictures = (open_image(item, self.options.max_pixels) for item in visual.items)
            return [self._frames(ChosenFrames(len(visual.items), pictures), fixed, side)]
        items = visual.items if isinstance(visual, Images) else [visual]
        return [self._image(item, fixed, side) for item in items]

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
            cut = [to_patches(one, self.patch) for visual in prepared for one in visual.maps]
            data["pixel_patches"] = torch.cat([patches for patches, _ in cut])
            data["image_grids"] = torch.tensor([grid for _, grid in cut])
            data["visual_spec"] = torch.tensor([[one.layout, len(one.maps), one.side] for one in prepared])
        return BatchFeature(data)

    def prompt_ids(self, text: str, visuals: int = 1) -> list[int]:
        """Token ids of the prompt that asks ``text``, with one mark a visual in front of it."""
        conversation = chat.question(f"{chat.MARK}\n" * visuals + text)
        return chat.tokenize(self.tokenizer, conversation, self._form(conversation)).input_ids

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer and ``processor_config.json``."""
        self.tokenizer.save_pretrained(folder)
        config = {"options": asdict(self.options), "prompt": self.prompt, "patch": self.patch}
        atomic_write_json(Path(folder) / CONFIG_FILE, {"processor_class": type(self).__name__, **config})

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, tokenizer: PreTrainedTokenizerBase | None = None, **kwargs
    ) -> "OryxProcessor":
        """Read what :meth:`save_pretrained` wrote; the folder's tokenizer, with the keyword arguments, or a given one.

        Raises CheckpointError for a missing or unreadable ``processor_config.json`` or tokenizer.
        """
        kwargs.pop("_from_auto", None)  # AutoProcessor's own
        path = Path(folder) / CONFIG_FILE
        try:
            config = json.loads(path.read_text())
            options, prompt, patch = PreprocessOptions.from_dict(config["options"]), config["prompt"], config["patch"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: expected options, prompt and patch of a processor; {type(error).__name__}: {error}"
            ) from None
        return cls(tokenizer or load_tokenizer(folder, **kwargs), options, prompt, patch)

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
        return Prepared(layout, side or SIDES["image"], [np.asarray(view) for view in views])

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
        return Prepared(Layout.VIDEO, side, maps, frames.decoder)


def load_tokenizer(folder: str | Path, **kwargs) -> PreTrainedTokenizerBase:
    """transformers' tokenizer of a folder; raises CheckpointError, naming the folder, if it cannot be loaded."""
    try:
        return AutoTokenizer.from_pretrained(folder, **kwargs)
    except Exception as error:  # of many kinds, and none names the folder
        raise CheckpointError(
            f"{folder}: its tokenizer cannot be loaded (a file missing or damaged?): {error}"
        ) from error


@torch.no_grad()
def ask(
    model: Any,
    processor: Any,
    visual: Any,
    question: str,
    *,
    resolution: str | int | Resolution = "native",
    compression: int | str = "auto",
    token_budget: int | None = None,
    max_new_tokens: int = 128,
) -> Answer:
    """Ask ``question`` about ``visual``: an image (path, bytes, PIL, array), ``Images``, ``Views`` or ``Video``.

    ``visual=None`` asks without any: the blind control, which tells what a question gives away by itself.
    The answer is greedy and without the repetition penalty that released checkpoints carry.

    Args:
        resolution: "native"; or S: the area is S², the shape kept; or any ``Resolution``. Other than "native", images
            get no second view.
        compression: the ratio k² for any side k (1, 4, 9, 16, ...), or "auto": the lowest ratio the visual may have
            whose tokens fit into ``token_budget``, and beside the question into what the model takes. Images may have 1
            (with a budget also 4 and 16), views and videos 4 and 16; without a budget videos of more than
            ``options.short_video_frames`` frames 16 alone. Those are what the released models were trained with; why
            the lowest that fits: notebook 03, "On demand".
        token_budget: most visual tokens, for "auto" alone; None: no limit but the model's.

    Raises:
        InputError: a visual that cannot be read, a bare list, an empty question, a ratio that is no square, no new
            tokens, or more tokens than the budget or the model takes (it would lose the question from the end).
    """
    began = time.perf_counter()
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"question: expected text, got {question!r}")
    check_whole("max_new_tokens", max_new_tokens)
    if token_budget is not None:
        check_whole("token_budget", token_budget)
        if compression != "auto":
            raise InputError(f"token_budget: expected compression 'auto' with it, got compression {compression!r}")
    limit = model.config.tokenizer_model_max_length or float("inf")
    for side in _sides(compression, visual, token_budget):
        prepared = [] if visual is None else processor.prepare(visual, resolution, side)
        inputs, frames = processor.assemble(question, prepared), sum(one.frames for one in prepared)
        tokens = sum(one.visual_tokens(processor.patch) for one in prepared)
        length = inputs["input_ids"].shape[1] - len(prepared) + tokens
        if length <= limit and tokens <= (token_budget or tokens):
            break
    if tokens > (token_budget or tokens):
        raise InputError(
            f"token_budget: {token_budget} visual tokens are allowed, at the highest compression of 'auto' {frames} "
            f"picture(s) take {tokens}: use fewer frames or a smaller resolution"
        )
    if length > limit:
        raise InputError(
            f"question and visual take {length} tokens, {tokens} of them visual ({frames} picture(s)); this model "
            f"takes at most {limit}: use fewer frames, a higher compression or a smaller resolution"
        )
    out = model.generate(
        **inputs.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        repetition_penalty=1.0,
        eos_token_id=chat.stop_ids(processor.tokenizer, processor.prompt),
        pad_token_id=processor.pad_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    likelihood = model.compute_transition_scores(out.sequences, out.logits, normalize_logits=True).sum()
    return Answer(
        text=processor.tokenizer.decode(out.sequences[0], skip_special_tokens=True).strip(),
        probability=float(likelihood.exp()),
        visual_tokens=tokens,
        seconds=time.perf_counter() - began,
        frames=frames,
        sizes=tuple(size for one in prepared for size in one.sizes),
        decoder=next((one.decoder for one in prepared if one.decoder), None),
    )


def _sides(compression: int | str, visual: Any, budget: int | None) -> list[int | None]:
    """Region sides to try in turn; None: the processor's own rule. Only the first that fits is used, or the last."""
    if compression != "auto":
        side = isqrt(check_whole("compression", compression, "'auto' or a ratio such as 1, 4, 16"))
        if side * side != compression:
            raise InputError(f"compression: expected the square of a whole side (1, 4, 9, 16, ...), got {compression}")
        return [side]
    one, *moving = SIDES.values()
    if isinstance(visual, (Video, Views)):
        return [None, moving[-1]] if budget is None else moving
    return [None] if budget is None else [one, *moving]
