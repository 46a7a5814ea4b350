"""What one model for everything learns from: pictures, films, views of scenes and clips, each at several ratios.

The encoder is frozen; its features of all training material are computed once. What a step shows is a function of
(seed, step) alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from oryx.eval.features import FrameTokens
from oryx.grids import Grid, SizeRule, compressed_grid, video_token_count
from oryx.layout import Layout, visual_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.images import image_views
from oryx.processing.options import PreprocessOptions
from oryx.processing.partition import Partition
from oryx.processing.resolution import Resolution
from oryx.processing.video import iter_frames, probe
from oryx.train.device import compute
from oryx.train.inputs import PictureInputs, picture_inputs
from oryx.train.text import Question, answer_targets, questions_batch, text_batch
from workbook.data.frame_bank import READER_MIXTURE, Clip, FrameBank, draw_clip
from workbook.data.frame_bank import make_bank as make_frame_bank
from workbook.data.items import generator, training_item
from workbook.data.pictures import PictureSizes
from workbook.data.scenes import VIEWS, make_scene
from workbook.data.story_bank import BankSizes, StoryBank
from workbook.data.story_bank import make_bank as make_story_bank
from workbook.stages.stories import Step, StoryPlan, draw_step, joined_step, step_inputs
from workbook.stages.video_reader import frames_to_patches

PATCH = 8
MOST_SIDE = 96
"""Pictures are read up to an area of this squared (the released models: 1536²)."""

OPTIONS = PreprocessOptions(
    low=None,
    high=SizeRule(PATCH, max_side=MOST_SIDE),
    video=SizeRule(2 * PATCH, max_side=64, min_side=32),
    video_long=SizeRule(4 * PATCH, max_side=64, min_side=32),
    frames=24,
    short_video_frames=16,
)
"""The rules of the released models in small, in patches of 8 pixels. The second view of images is off, as in the
studies."""

FRAME_SIZES = ((32, 32), (48, 48), (64, 64), (48, 80), (32, 64))
"""(height, width) at which frames of films are shown: squares, and what becomes of wide films. Sources are numbered in
this order."""

CLIP_SIZE = (32, 32)
CLIP_TEXT, SCENE_TEXT = 15, 50
"""Tokens that question and answer of a clip, and all of a scene, take, about."""


@dataclass(frozen=True)
class Rescaled:
    """A picture at ``factor`` times its area, its shape kept, at most MOST_SIDE²; as :class:`Resolution`."""

    factor: float

    def apply(self, picture: Image.Image, stride: int) -> Image.Image:
        """The picture at its size."""
        side = min(MOST_SIDE, round(sqrt(picture.width * picture.height * self.factor)))
        return Resolution("area", max(stride, side)).apply(picture, stride)


@dataclass(frozen=True)
class Released:
    """A picture by the released models' rule for native size, with the nano limits."""

    def apply(self, picture: Image.Image, stride: int) -> Image.Image:
        """The picture at its size."""
        return image_views(picture, OPTIONS)[1]


FORMS = {
    "native": (0.4, Resolution("native")),
    "released": (0.15, Released()),
    "half": (0.12, Rescaled(0.5)),
    "double": (0.1, Rescaled(2.0)),
    "squash": (0.06, Resolution("squash", 48)),
    "partition": (0.17, Partition(48)),
}
"""Form of a training picture -> share of the pictures, and what makes it."""


@dataclass(frozen=True)
class Material:
    """How much there is to learn from."""

    pictures: int = 5000
    tasks: Mapping[str, float] = field(
        default_factory=lambda: {
            "number": 0.15, "word": 0.18, "list": 0.18, "page": 0.17, "icon": 0.12, "clipart": 0.1, "photo": 0.1
        }
    )  # fmt: skip
    films: BankSizes = field(default_factory=lambda: BankSizes(900, 50, 100, 120))
    scenes: int = 600
    haystacks: int = 4
    shots: int = 400
    pages: int = 1000
    shots_named: int = 400


class AtSide:
    """Pictures of :class:`PictureInputs` with their maps compressed in regions of ``side`` x ``side`` tokens."""

    def __init__(self, inputs: PictureInputs, side: int):
        self.inputs, self.side = inputs, side
        self.items, self.parts, self.sizes, self.compute = inputs.items, inputs.parts, inputs.sizes, inputs.compute

    def visual_tokens(self, index: int) -> int:
        """How many tokens the projector emits for item ``index``."""
        grids = [compressed_grid(grid, self.side) for grid in self.inputs.views(index)]
        return visual_token_count(self.inputs.layout, grids)

    def length(self, index: int) -> int:
        """Tokens of item ``index`` in the language model."""
        item = self.items[index]
        return self.visual_tokens(index) + len(item.question) + len(item.answer)

    def batch(self, indices: Sequence[int], answers: bool = True, visual: bool = True) -> dict[str, Tensor]:
        """As :meth:`PictureInputs.batch`."""
        batch = self.inputs.batch(indices, answers, visual)
        if visual:
            batch["visual_spec"][:, 2] = self.side
        return batch


@torch.inference_mode()
def encoded_frames(
    model: OryxForConditionalGeneration, files: Sequence[Path], size: tuple[int, int], chunk: int = 64
) -> FrameTokens:
    """The frozen encoder's tokens of every frame of video files, uncompressed, each frame scaled to ``size``."""
    parts = []
    for path in files:
        for frames in iter_frames(path, range(probe(path).frames), chunk, size):
            parts.append(encoded_pixels(model, frames))
    return FrameTokens(torch.cat(parts), (size[0] // PATCH, size[1] // PATCH))


@torch.inference_mode()
def encoded_pixels(model: OryxForConditionalGeneration, frames: np.ndarray) -> Tensor:
    """(N, h·w, C) float16 for frames (N, H, W, 3) uint8, sides multiples of the patch's."""
    grid = (frames.shape[1] // PATCH, frames.shape[2] // PATCH)
    on = compute()
    tower, patches = on.place(model.vision_tower), frames_to_patches(frames, PATCH).to(on.device)
    with on.autocast():
        tokens = tower(patches, [grid] * len(frames)).tokens
    return tokens.view(len(frames), grid[0] * grid[1], -1).to("cpu", torch.float16)


def scene_frames(views: Sequence[Image.Image], size: tuple[int, int]) -> np.ndarray:
    """(N, H, W, 3) uint8: views at one size."""
    return np.stack([np.asarray(view.resize(size[::-1], Image.Resampling.BICUBIC)) for view in views])


class Streams:
    """All training material, encoded.

    Args:
        model: its tower encodes; frozen.
        folder: where video files are written and features kept; what lies there whole is used again.
    """

    def __init__(
        self,
        material: Material,
        seed: int,
        model: OryxForConditionalGeneration,
        folder: Path,
        progress: Callable[[str], None] = lambda what: None,
    ):
        self.material, self.seed = material, seed
        progress("drawing pictures")
        self.pictures = self._pictures(model)
        progress("writing films")
        self.films: StoryBank = make_story_bank(folder / "films", seed, material.films)
        sizes = dict(enumerate(FRAME_SIZES))
        progress("encoding films")
        self.film_tokens = {source: encoded_frames(model, self.films.files, size) for source, size in sizes.items()}
        progress("drawing scenes")
        scenes = [make_scene("train", seed * 100_000 + i) for i in range(material.scenes)]
        self.scene_turns = [scene.turns for scene in scenes]
        views = [view for scene in scenes for view in scene.views]
        self.scene_tokens = {
            source: FrameTokens(
                torch.cat([encoded_pixels(model, scene_frames(part, size)) for part in _chunks(views, 64)]),
                (size[0] // PATCH, size[1] // PATCH),
            )
            for source, size in sizes.items()
            if size[0] == size[1]
        }
        progress("writing clips")
        m = material
        self.clips: FrameBank = make_frame_bank(
            folder / "clips", seed, CLIP_SIZE, haystacks=m.haystacks, shots=m.shots, pages=m.pages,
            pictures=m.shots_named,
        )  # fmt: skip
        self.clip_tokens = encoded_frames(model, self.clips.files, CLIP_SIZE)

    def _pictures(self, model: OryxForConditionalGeneration) -> dict[str, PictureInputs]:
        rng, sizes = generator("nano forms", self.seed), PictureSizes()
        names, shares = list(FORMS), [share for share, _ in FORMS.values()]
        chosen = rng.choice(len(names), self.material.pictures, p=shares)
        found = {}
        for number, name in enumerate(names):
            indices = np.flatnonzero(chosen == number).tolist()
            items = [training_item(self.seed, i, dict(self.material.tasks), sizes) for i in indices]
            if items:
                found[name] = picture_inputs(items, FORMS[name][1], PATCH, model)
        return found

    def draw_pictures(self, rng, side: int, tokens: int) -> list["Sample"]:
        """One batch of pictures of one form, questions of every task."""
        names = list(self.pictures)
        shares = np.array([FORMS[name][0] for name in names])
        own = AtSide(self.pictures[names[int(rng.choice(len(names), p=shares / shares.sum()))]], side)
        few = rng.integers(len(own.items), size=min(64, len(own.items)))
        mean = np.mean([own.length(int(i)) for i in few])
        count = int(min(96, len(own.items), max(2, tokens // mean)))
        order = rng.choice(len(own.items), count, replace=False).tolist()
        return [Sample(((own.items[i].question, own.items[i].answer),), i, own.batch) for i in order]

    def draw_films(self, plan: StoryPlan, seed: int, step: int) -> list["Sample"]:
        """One batch of glances or films, all questions about each."""
        grids = {source: film.grid for source, film in self.film_tokens.items()}
        sources = {side: [s for s, grid in grids.items() if side > 1 or max(grid) <= 8] for side in plan.sides}
        drawn = draw_step(plan, seed, step, self.films, sources, lambda source, _: grids[source])

        def inputs(steps: Sequence[Step]) -> dict[str, Tensor]:
            own = joined_step(steps)
            visual = step_inputs(own, self.film_tokens[own.source], own.side)
            return {**questions_batch([story.turns for story in own.stories]), **visual}

        return [Sample(own.stories[0].turns, own, inputs) for own in drawn.split()]

    def draw_scenes(self, rng, side: int, tokens: int) -> list["Sample"]:
        """One batch of scenes, all questions about each."""
        sources = list(self.scene_tokens)
        own = self.scene_tokens[sources[int(rng.integers(len(sources)))]]
        cost = video_token_count(VIEWS, compressed_grid(own.grid, side)) + SCENE_TEXT
        count = int(min(len(self.scene_turns), 64, max(2, tokens // cost)))
        chosen = rng.choice(len(self.scene_turns), count, replace=False).tolist()

        def inputs(scenes: Sequence[int]) -> dict[str, Tensor]:
            frames = [VIEWS * i + view for i in scenes for view in range(VIEWS)]
            questions = questions_batch([self.scene_turns[i] for i in scenes])
            return {**questions, **video_inputs(own.tokens[frames], own.grid, VIEWS, side)}

        return [Sample(self.scene_turns[i], i, inputs) for i in chosen]

    def draw_clips(self, rng, side: int, tokens: int, longest: int) -> list["Sample"]:
        """One batch of clips of one length, a question about one or two frames of each."""
        grid: Grid = self.clip_tokens.grid
        frame_cost = video_token_count(1, compressed_grid(grid, side)) - 2
        low, high = np.log(2), np.log(min(longest, max(2, tokens // frame_cost)) + 1)
        length = int(np.exp(rng.uniform(low, high)))
        count = int(min(64, max(1, tokens // (length * frame_cost + CLIP_TEXT))))
        drawn = [draw_clip(rng, self.clips, length, READER_MIXTURE) for _ in range(count)]

        def inputs(clips: Sequence[Clip]) -> dict[str, Tensor]:
            frames = [number for clip in clips for number in clip.frames]
            questions = questions_batch([((clip.question, clip.answer),) for clip in clips])
            return {**questions, **video_inputs(self.clip_tokens.tokens[frames], grid, length, side)}

        return [Sample(((clip.question, clip.answer),), clip, inputs) for clip in drawn]


@dataclass(frozen=True)
class Sample:
    """One visual of a step with its questions; ``inputs`` makes model inputs of the contents of several samples.

    Without ``inputs`` there is nothing to see: so that the control without a visual is one the model has met.
    """

    questions: Sequence[Question]
    content: Any
    inputs: Callable[[list], dict[str, Tensor]] | None

    @property
    def targets(self) -> int:
        """Supervised tokens of all answers."""
        return sum(answer_targets(answer) for _, answer in self.questions)


def batch_inputs(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Model inputs with labels of samples of one step."""
    if (inputs := samples[0].inputs) is not None:
        return inputs([sample.content for sample in samples])
    asked = [question for sample in samples for question in sample.questions]
    return text_batch([question for question, _ in asked], [answer for _, answer in asked], visual=False)


def video_inputs(tokens: Tensor, grid: Grid, frames: int, side: int) -> dict[str, Tensor]:
    """The model's visual inputs for visuals of ``frames`` maps each, (visuals · frames, h·w, C) uncompressed tokens."""
    return {
        "vision_features": tokens.flatten(0, 1).float(),
        "image_grids": torch.tensor([grid] * len(tokens)),
        "visual_spec": torch.tensor([[Layout.VIDEO, frames, side]] * (len(tokens) // frames)),
    }


def _chunks(things: Sequence, size: int) -> list[Sequence]:
    return [things[i : i + size] for i in range(0, len(things), size)]
