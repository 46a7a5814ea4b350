"""What the one model is asked about held-out items of everything it learned, with and without what there is to see.

Pictures are the items of study 1, synthetic videos those of study 3, needles those of study 4, under the same ids, so
that the models that those studies trained for one purpose can be compared on the same items (``comparison.py``).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import groupby, product
from math import isqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from oryx.eval.features import FrameTokens
from oryx.eval.generate import ask, read_videos, without_video
from oryx.grids import Grid, Size, compressed_grid, video_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.sizes import Resolution
from oryx.train.device import Compute
from oryx.train.inputs import PictureInputs
from workbook.data.items import OBJECT_TASKS, evaluation_items
from workbook.data.needles import NUMBERS, Trial, make_trial
from workbook.data.pictures import PictureSizes
from workbook.data.stories import KINDS, LENGTHS, QUESTIONS, VIEWS, chance, make_scene, make_story
from workbook.data.text_tasks import TEXT_TASKS
from workbook.stages.one_model import CLIP_SIZE, PATCH, encoded_frames, encoded_pictures
from workbook.studies.evaluate import Batch, picture_batches
from workbook.studies.frames import chunks, compressed
from workbook.studies.one_model.settings import Settings

AT_ONCE = 24
"""Videos that are read together."""

LONGEST = 1024
"""Uncompressed tokens over the ratio, of the longest video that is asked about: longer ones were not trained on."""

SCENE_SIDE = 64
DEPTHS = {16: (0.0, 0.5, 1.0), 50: (0.0, 0.25, 0.5, 0.75, 1.0)}
"""Frames of a video with a needle -> the needle's places: 0 the first frame, 1 the last."""


@dataclass(frozen=True)
class VideoQuestion:
    """One question about one video of ``frames`` frames at ``side`` pixels; ``tokens`` encodes it, uncompressed.

    ``about``: the row fields that do not depend on the ratio, ``item`` and ``task`` without their ratio.
    """

    tokens: Callable[[], FrameTokens]
    frames: int
    side: int
    question: str
    truth: str
    about: dict[str, Any]

    @property
    def grid(self) -> Grid:
        """A frame's tokens before compression."""
        return self.side // PATCH, self.side // PATCH

    @property
    def asked(self) -> tuple[str, ...]:
        """What is asked about what; questions that share it are asked together."""
        return self.about["group"], self.about["kind"], self.question


class Evaluation:
    """The questions to the model. A batch's payload is a call that answers it; ``base``: fields that rows share.

    Every video is encoded when it is first asked about.
    """

    def __init__(self, settings: Settings, model: OryxForConditionalGeneration, base: dict, compute: Compute):
        self.settings, self.model, self.base, self.compute = settings, model, base, compute
        self.blind: set[tuple[str, ...]] = set()

    def batches(self) -> Iterator[Batch]:
        """Pictures, synthetic videos, scenes and needles, each without the visual too."""
        yield from self.picture_batches()
        films, needles = [*self.stories(), *self.scenes()], list(self.needles())
        for ratio in self.settings.ratios:
            fitting = [one for one in films if video_token_count(one.frames, one.grid) <= LONGEST * ratio]
            yield from self.video_batches(fitting, ratio)
        for ratio in self.settings.needle_ratios:
            yield from self.video_batches(needles, ratio)

    def picture_batches(self) -> Iterator[Batch]:
        """Every picture task of study 1 at its own size and every ratio, then without the picture."""
        for task in (*TEXT_TASKS, *OBJECT_TASKS):
            count = self.settings.object_items if task in OBJECT_TASKS else self.settings.text_items
            items = evaluation_items(task, self.settings.split, count, PictureSizes())
            inputs = PictureInputs(items, Resolution("native"), PATCH, self.model, compute=self.compute)
            for ratio in self.settings.ratios:
                own = inputs.at_side(isqrt(ratio))
                own.items = [replace(item, id=f"{item.id}/{ratio}x", task=f"{task}_{ratio}x") for item in items]
                for condition in self._conditions("pictures", task):
                    base = {**self.base, "condition": condition, "group": "pictures", "ratio": ratio, "kind": task}
                    yield from picture_batches(self.model, own, base, condition == "visual")

    def stories(self) -> Iterator[VideoQuestion]:
        """Every question of study 3 about its videos."""
        split, folder = self.settings.split, self.settings.cache_folder / "stories"
        counts = {"short": self.settings.short_stories, "long": self.settings.long_stories}
        for (length, count), side in product(counts.items(), self.settings.video_sides):
            made = [make_story(folder, split, length, i) for i in range(count)]
            tokens = [self._once(encoded_frames, [story.path], (side, side)) for story in made]
            for kind, question in QUESTIONS.items():
                about = {"group": f"{length} films, {side} px", "kind": kind, "chance": chance(kind, split)}
                for story, encode in zip(made, tokens, strict=True):
                    if truth := story.facts.get(kind):
                        item = {"item": f"{story.id}/{kind}/{side}px", "task": f"{length}_{side}px_{kind}"}
                        about = {**about, **item, "cluster": story.id}
                        yield VideoQuestion(encode, LENGTHS[length], side, question, truth, about)

    def scenes(self) -> Iterator[VideoQuestion]:
        """Every question about views of scenes."""
        split = self.settings.split
        made = [make_scene(split, i) for i in range(self.settings.scenes)]
        tokens = [self._once(encoded_pictures, scene.views, (SCENE_SIDE, SCENE_SIDE)) for scene in made]
        for kind in KINDS:
            for scene, encode in zip(made, tokens, strict=True):
                if truth := scene.facts.get(kind):
                    about = {"group": f"{VIEWS} views of a scene", "kind": kind, "chance": chance(kind, split)}
                    about |= {"item": f"{scene.id}/{kind}", "task": f"scene_{kind}", "cluster": scene.id}
                    yield VideoQuestion(encode, VIEWS, SCENE_SIDE, QUESTIONS[kind], truth, about)

    def needles(self) -> Iterator[VideoQuestion]:
        """One card among many frames: trials of study 4 as complete files."""
        split, indices = self.settings.split, range(self.settings.needle_trials)
        for frames in self.settings.needle_lengths:
            where = product(DEPTHS.get(frames, DEPTHS[16]), indices)
            trials = [make_trial(split, "number", frames, depth, i, CLIP_SIZE) for depth, i in where]
            for trial in sorted(trials, key=lambda trial: trial.needle.question):
                about = {"group": f"needle in {frames} frames", "kind": "needle", "chance": 1 / NUMBERS}
                about |= {"item": trial.id, "task": f"needle_{frames}", "cluster": trial.needle.cluster}
                encode = cache(partial(self._trial_tokens, trial))
                yield VideoQuestion(encode, frames, CLIP_SIZE[0], trial.needle.question, trial.needle.answer, about)

    def video_batches(self, asked: Sequence[VideoQuestion], ratio: int) -> Iterator[Batch]:
        """Batches of one question about videos of one kind and size."""
        for what, together in groupby(asked, key=lambda one: one.asked):
            conditions = self._conditions(*what)
            for chunk, condition in product(chunks(list(together), AT_ONCE), conditions):
                rows = [self._row(one, ratio, condition) for one in chunk]
                yield Batch(rows, partial(self.answers, chunk, isqrt(ratio), condition == "visual"))

    @torch.inference_mode()
    def answers(self, asked: Sequence[VideoQuestion], side: int, visual: bool) -> list[dict]:
        """What the model gives for questions of a batch."""
        if visual:
            read = read_videos(self.model, [compressed(self.model, one.tokens(), side) for one in asked])
        else:
            read = without_video(self.model, len(asked))
        return ask(read, [one.question for one in asked], [one.truth for one in asked])

    def _row(self, one: VideoQuestion, ratio: int, condition: str) -> dict:
        seen = condition == "visual"
        tokens = video_token_count(one.frames, compressed_grid(one.grid, isqrt(ratio)))
        return {
            **self.base,
            **one.about,
            "item": f"{one.about['item']}/{ratio}x",
            "task": f"{one.about['task']}_{ratio}x",
            "condition": condition,
            "split": self.settings.split,
            "ratio": ratio,
            "question": one.question,
            "truth": one.truth,
            "visual_tokens": tokens if seen else 0,
            "frames": one.frames if seen else 0,
        }

    def _conditions(self, *asked: str) -> tuple[str, ...]:
        """With nothing to see every ratio is the same question: it is asked at the first only."""
        if asked in self.blind:
            return ("visual",)
        self.blind.add(asked)
        return "visual", "no_visual"

    def _once(self, encode: Callable[..., FrameTokens], shown: Sequence, size: Size) -> Callable[[], FrameTokens]:
        return cache(partial(encode, self.model, shown, size, self.compute))

    def _trial_tokens(self, trial: Trial) -> FrameTokens:
        with TemporaryDirectory() as folder:
            return encoded_frames(self.model, [trial.file(Path(folder)).path], CLIP_SIZE, self.compute)
