"""The part ``one_model``: one small Oryx for pictures, videos, clips and views, at 1x, 4x and 16x together.

    python -m oryx.train one_model --scale nano --folder results/runs/shared/one

is stage ``joint`` in small. It goes on from a reader, by default the shipped one, which knows pictures at 1x, and its
OryxViT, which stays frozen. It writes the weights in 8 bits (without the encoder, which is there already), the recipe
and the training curve. What ships lies in ``oryx/weights/nano/one/``; ``oryx.load("nano")`` loads it.

The task mixture is pictures, synthetic videos, views of scenes and clips. The encoder's features of all training
material are computed once. The samples of a step are a function of (seed, step) alone: one task, one region side,
inputs of one shape.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from oryx.eval.features import FrameTokens
from oryx.files import atomic_write_json, sha256_file
from oryx.grids import SizeRule, compressed_grid, video_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.images import image_views, to_patches
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import CONFIG_FILE
from oryx.processing.sizes import Partition, Resolution
from oryx.processing.video import iter_frames, probe
from oryx.train import device
from oryx.train.device import Compute
from oryx.train.inputs import PictureInputs, encoded, kept, questions_batch
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import choose, generator, training_item
from workbook.data.needles import NAMES, Clip, draw_clip
from workbook.data.needles import make_dataset as make_clip_frames
from workbook.data.pictures import PictureSizes
from workbook.data.stories import QUESTIONS as STORIES
from workbook.data.stories import VIEWS, make_scene
from workbook.data.stories import make_dataset as make_video_frames
from workbook.data.text_tasks import LETTERS
from workbook.stages.models import load_shared, loaded, without_tower
from workbook.stages.recipes import JointRecipe, joint_recipe
from workbook.stages.shipped import weights_hash
from workbook.stages.stage import Options, write_manifest
from workbook.stages.videos import Sample, StoryPlan, clip_targets, draw_step, frame_inputs, question_inputs

CORPORA = ("fonts", "words", "icons", "clipart", "photos", "clips")
CLIPS = {"number": 0.5, "picture": 0.2, "change": 0.3, "colour": 0.2}
"""Variant -> weight among clips with needles."""
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
"""The rules of the released models in small, in patches of 8 pixels; without the second view, as in the studies."""

FRAME_SIZES = ((32, 32), (48, 48), (64, 64), (48, 80), (32, 64))
"""(height, width) at which frames of synthetic videos are shown: squares, and what becomes of wide videos. Sources are
numbered in this order."""

CLIP_SIZE = (32, 32)
CLIP_TEXT, SCENE_TEXT = 15, 50
"""Tokens that question and answer of a clip, and all of a scene, take, about."""

QUESTIONS = tuple(dict.fromkeys(["read", "marked", "name", "kind", *STORIES.values(), "change", *LETTERS, *NAMES]))
"""Every question of the training material: of pictures, of videos and scenes, of clips."""

SIDES = (1, 2, 4)
CHUNK = 64
"""Frames that are encoded together."""


@dataclass(frozen=True)
class View:
    """A way to show a picture, given as a call; as :class:`Resolution`."""

    apply: Callable[[Image.Image, int], Image.Image]


def rescaled(factor: float) -> View:
    """A picture at ``factor`` times its area, its shape kept, at most MOST_SIDE²."""

    def apply(picture: Image.Image, stride: int) -> Image.Image:
        side = min(MOST_SIDE, round(sqrt(picture.width * picture.height * factor)))
        return Resolution("area", max(stride, side)).apply(picture, stride)

    return View(apply)


FORMS = {
    "native": (0.4, Resolution("native")),
    "released": (0.15, View(lambda picture, stride: image_views(picture, OPTIONS)[1])),
    "half": (0.12, rescaled(0.5)),
    "double": (0.1, rescaled(2.0)),
    "squash": (0.06, Resolution("squash", 48)),
    "partition": (0.17, Partition(48)),
}
"""Form of a training picture -> share of the pictures, and what makes it; ``released``: the released models' rule for
native size, with the nano limits."""


class TaskMixture:
    """All training material, encoded.

    Video files are written into the folder ``cache``; what lies there whole is used again. The tower of ``model``,
    which is frozen, encodes on the device of ``compute``.
    """

    def __init__(self, recipe: JointRecipe, options: Options, model: OryxForConditionalGeneration, compute: Compute):
        self.recipe, self.seed = recipe, options.seed
        folder, seed, progress = options.folder / "cache", options.seed, options.progress
        self.pictures = self._pictures(model, compute)
        progress(1, 4)
        self.video_frames = make_video_frames(folder / "films", seed, recipe.films)
        videos = dict(enumerate(encoded_frames(model, self.video_frames.files, size, compute) for size in FRAME_SIZES))
        progress(2, 4)
        scenes = [make_scene("train", seed * 100_000 + i) for i in range(recipe.scenes)]
        self.scene_questions = [scene.turns for scene in scenes]
        views = [view for scene in scenes for view in scene.views]
        squares = {i: size for i, size in enumerate(FRAME_SIZES) if size[0] == size[1]}
        scene_tokens = {i: encoded_pictures(model, views, size, compute) for i, size in squares.items()}
        progress(3, 4)
        self.clip_frames = make_clip_frames(folder / "clips", seed, CLIP_SIZE, **recipe.clips)
        clips = {0: encoded_frames(model, self.clip_frames.files, CLIP_SIZE, compute)}
        self.tokens: dict[str, dict[int, FrameTokens]] = {"films": videos, "scenes": scene_tokens, "clips": clips}
        progress(4, 4)

    def _pictures(self, model: OryxForConditionalGeneration, compute: Compute) -> dict[str, PictureInputs]:
        r, rng, sizes = self.recipe, generator("nano forms", self.seed), PictureSizes()
        names, shares = list(FORMS), [share for share, _ in FORMS.values()]
        chosen = rng.choice(len(names), r.pictures, p=shares)
        found = {}
        for number, name in enumerate(names):
            indices = np.flatnonzero(chosen == number).tolist()
            items = [training_item(self.seed, i, r.tasks, sizes) for i in indices]
            if items:
                found[name] = PictureInputs(items, FORMS[name][1], PATCH, model, compute=compute)
        return found

    def draw(self, step: int) -> list[Sample]:
        """The samples of a step: one task, one source, one region side."""
        r, rng = self.recipe, generator("nano", self.seed, step)
        early = step < r.first * r.horizon
        task = choose(rng, dict(r.shares))
        blind = bool(rng.random() < r.blind)
        chances = r.picture_sides if task == "pictures" else (1.0, 0.0, 0.0) if early else r.frame_sides
        side = SIDES[int(rng.choice(len(SIDES), p=chances))]
        if task == "films":
            return [replace(sample, blind=blind) for sample in self._draw_videos(side, step)]
        if task == "pictures":
            source, clips = self._draw_pictures(rng, side)
        elif task == "scenes":
            source, clips = self._draw_scenes(rng, side)
        else:
            source, clips = 0, self._draw_clips(rng, side, 4 if early else r.longest)
        return [Sample(source, side, clip, task, blind) for clip in clips]

    def collate(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """The model's inputs for samples of one step."""
        first, clips = samples[0], [sample.clip for sample in samples]
        if first.blind:
            return question_inputs(clips, visual=False)
        if first.task == "pictures":
            return self.pictures[first.source].at_side(first.side).batch([clip.frames[0] for clip in clips])
        visual = frame_inputs(clips, self.tokens[first.task][first.source], first.side)
        return {**questions_batch([clip.turns for clip in clips]), **visual}

    def _draw_pictures(self, rng: np.random.Generator, side: int) -> tuple[str, list[Clip]]:
        """Pictures of one form, questions of every task."""
        name = choose(rng, {name: FORMS[name][0] for name in self.pictures})
        own = self.pictures[name].at_side(side)
        few = rng.integers(len(own.items), size=min(64, len(own.items)))
        mean = np.mean([own.length(int(i)) for i in few])
        count = int(min(96, len(own.items), max(2, self.recipe.tokens // mean)))
        chosen = rng.choice(len(own.items), count, replace=False).tolist()
        return name, [Clip((i,), ((own.items[i].question, own.items[i].answer),)) for i in chosen]

    def _draw_videos(self, side: int, step: int) -> list[Sample]:
        """Single-frame questions or synthetic videos, all questions about each."""
        r = self.recipe
        plan = StoryPlan(r.horizon, (side,), r.tokens, r.rate, first=r.first * 0.7, singles=0.3, long_share=0.35)
        grids = {source: video.grid for source, video in self.tokens["films"].items()}
        sources = {side: [source for source, grid in grids.items() if side > 1 or max(grid) <= 8]}
        return draw_step(plan, self.seed, step, self.video_frames, sources, lambda source, _: grids[source])

    def _draw_scenes(self, rng: np.random.Generator, side: int) -> tuple[int, list[Clip]]:
        """Scenes, all questions about each."""
        sources = list(self.tokens["scenes"])
        source = sources[int(rng.integers(len(sources)))]
        grid = self.tokens["scenes"][source].grid
        cost = video_token_count(VIEWS, compressed_grid(grid, side)) + SCENE_TEXT
        count = int(min(len(self.scene_questions), 64, max(2, self.recipe.tokens // cost)))
        chosen = rng.choice(len(self.scene_questions), count, replace=False).tolist()
        return source, [Clip(tuple(range(VIEWS * i, VIEWS * (i + 1))), self.scene_questions[i]) for i in chosen]

    def _draw_clips(self, rng: np.random.Generator, side: int, longest: int) -> list[Clip]:
        """Clips of one length, a question about one or two frames of each."""
        grid, tokens = self.tokens["clips"][0].grid, self.recipe.tokens
        frame_cost = video_token_count(1, compressed_grid(grid, side)) - 2
        low, high = np.log(2), np.log(min(longest, max(2, tokens // frame_cost)) + 1)
        length = int(np.exp(rng.uniform(low, high)))
        count = int(min(64, max(1, tokens // (length * frame_cost + CLIP_TEXT))))
        return [draw_clip(rng, self.clip_frames, length, CLIPS) for _ in range(count)]


def encoded_frames(
    model: OryxForConditionalGeneration, files: Sequence[Path], size: tuple[int, int], compute: Compute
) -> FrameTokens:
    """The frozen encoder's tokens of every frame of video files, uncompressed, each frame scaled to ``size``."""
    chunks = (frames for path in files for frames in iter_frames(path, range(probe(path).frames), CHUNK, size))
    return _encoded(model, chunks, compute)


def encoded_pictures(
    model: OryxForConditionalGeneration, pictures: Sequence[Image.Image], size: tuple[int, int], compute: Compute
) -> FrameTokens:
    """As :func:`encoded_frames`, of pictures."""
    frames = np.stack([np.asarray(picture.resize(size[::-1], Image.Resampling.BICUBIC)) for picture in pictures])
    return _encoded(model, (frames[i : i + CHUNK] for i in range(0, len(frames), CHUNK)), compute)


def _encoded(model: OryxForConditionalGeneration, chunks: Iterable[np.ndarray], compute: Compute) -> FrameTokens:
    """Tokens (N, h·w, C), float16 on the CPU, of chunks (n, H, W, 3) uint8; sides are multiples of the patch's."""
    tokens = []
    for frames in chunks:
        cut = [to_patches(frame, PATCH) for frame in frames]
        tokens.append(kept(torch.stack(encoded(model.vision_tower, cut, compute))))
    return FrameTokens(torch.cat(tokens), cut[0][1])


@dataclass(frozen=True)
class CoolingPlan(TrainPlan):
    """The cosine of ``horizon`` steps, cut short: in the last ``cooldown`` steps the rate falls in a straight line."""

    horizon: int = 1
    cooldown: int = 1

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0)."""
        cosine = TrainPlan(self.horizon, self.learning_rate, self.warmup, self.final_fraction)
        begins = self.steps - self.cooldown
        if step < begins:
            return cosine.rate(step)
        left = (self.steps - step) / max(1, self.cooldown)
        return cosine.rate(max(0, begins)) * (self.final_fraction + (1 - self.final_fraction) * left)


def run(options: Options) -> None:
    """Train the one model; an interrupted run resumes from the folder.

    Writes ``model.safetensors`` in 8 bits, ``config.json``, the processor's options and ``manifest.json``.
    """
    r, folder = joint_recipe(options.scale, **options.changes), options.folder
    compute = options.compute or device.compute()
    model, stage = compute.place(load_shared(options.scale, options.start)), STAGES["joint"]
    mixture = TaskMixture(r, options, model, compute)
    batches = StepBatches(mixture.draw, mixture.collate, r.steps, lambda sample: clip_targets(sample.clip))
    torch.manual_seed(options.seed)
    plan = CoolingPlan(r.steps, r.rate, log_every=50, horizon=r.horizon, cooldown=r.cooldown)
    training = Training("nano", model, batches, answer_loss, plan, {"model": without_tower(model)}, torch.int8, stage)
    curve = training.carry_out(*options.how)
    if device.process().is_main_process:
        model.config.questions = list(QUESTIONS)
        model.config.tokenizer_model_max_length = model.config.text_config.max_position_embeddings
        model.config.save_pretrained(folder)
        processor = {"options": asdict(OPTIONS), "prompt": "plain", "patch": PATCH}
        atomic_write_json(folder / CONFIG_FILE, {"processor_class": "OryxProcessor", **processor})
    encoder = {"file": "oryxvit.safetensors", "sha256": sha256_file(options.started / "oryxvit.safetensors")}
    more = {"started_from": weights_hash(options.started), "encoder": encoder}
    files = [folder / "model.safetensors"]
    write_manifest(folder / "manifest.json", "one_model", stage, options, r, files, {"nano": curve}, CORPORA, **more)


def load_one_model(folder: Path) -> OryxForConditionalGeneration:
    """The model in ``folder`` with the shipped encoder; see :func:`loaded`."""
    model = load_shared("nano")
    return loaded(model, {"model": without_tower(model)}, folder, f"one_model --folder {folder}")
