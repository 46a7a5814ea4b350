"""What the one model is asked about held-out items of everything it learned, with and without what there is to see.

Pictures are the items of study 1, synthetic videos those of study 3, needles those of study 4, under the same ids, so
that the models that those studies trained for one purpose can be compared on the same items (``comparison.py``).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from math import isqrt
from pathlib import Path
from typing import Any

import torch

from oryx.eval.evaluate import Batch, picture_answers, picture_batches
from oryx.eval.features import FrameTokens
from oryx.eval.generate import ask, read_videos, without_video
from oryx.evidence.store import RowWriter
from oryx.grids import compressed_grid, video_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.sizes import Resolution
from oryx.train.device import Compute
from oryx.train.inputs import PictureInputs
from workbook.data.items import evaluation_items
from workbook.data.needles import NUMBERS, Trial, make_trial
from workbook.data.object_tasks import OBJECT_TASKS
from workbook.data.pictures import PictureSizes
from workbook.data.scenes import CHANCE, KINDS, VIEWS, Scene, make_scene
from workbook.data.stories import LENGTHS, QUESTIONS, chance, make_story
from workbook.data.text_tasks import TEXT_TASKS
from workbook.stages.mixture import CLIP_SIZE, PATCH, encoded_frames, encoded_pictures
from workbook.stages.one_model import load_one_model
from workbook.studies.base import Progress
from workbook.studies.evaluation import evaluate_arm
from workbook.studies.frames import compressed

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


def run_arm(settings: Any, folder: Path, weights: Path, base: dict, compute: Compute, progress: Progress) -> None:
    """Ask the model in ``weights`` everything; an interrupted run resumes from the rows in ``folder``."""
    model = compute.place(load_one_model(weights))
    evaluation = Evaluation(settings, model, base, compute)
    with RowWriter(folder / "rows.jsonl") as writer:
        evaluate_arm(evaluation.batches(), writer, compute, progress)


class Evaluation:
    """The questions to the model. A batch's payload is a call that answers it; ``base``: fields that rows share."""

    def __init__(self, settings: Any, model: OryxForConditionalGeneration, base: dict, compute: Compute):
        self.settings, self.model, self.base, self.compute = settings, model, base, compute
        self.folder, self.split = settings.cache_folder, settings.split
        counts = {"short": settings.short_stories, "long": settings.long_stories}
        self.stories = {
            length: [make_story(self.folder / "stories", self.split, length, i) for i in range(count)]
            for length, count in counts.items()
        }
        self.made_scenes = [make_scene(self.split, i) for i in range(settings.scenes)]
        self.encoded: dict[tuple[str, int], FrameTokens] = {}
        self.blind: set[tuple[str, ...]] = set()

    def batches(self) -> Iterator[Batch]:
        """Pictures, synthetic videos, scenes and needles, each without the visual too."""
        yield from self.picture_batches()
        for ratio in self.settings.ratios:
            yield from self.video_batches([*self.videos(ratio), *self.scenes()], ratio)
        for ratio in self.settings.needle_ratios:
            yield from self.video_batches(self.needles(), ratio)

    def picture_batches(self) -> Iterator[Batch]:
        """Every picture task of study 1 at its own size and every ratio, then without the picture."""
        for task in (*TEXT_TASKS, *OBJECT_TASKS):
            count = self.settings.object_items if task in OBJECT_TASKS else self.settings.text_items
            items = evaluation_items(task, self.split, count, PictureSizes())
            inputs = PictureInputs(items, Resolution("native"), PATCH, self.model, compute=self.compute)
            for ratio in self.settings.ratios:
                own = inputs.at_side(isqrt(ratio))
                own.items = [replace(item, id=f"{item.id}/{ratio}x", task=f"{task}_{ratio}x") for item in items]
                for condition in self._conditions("pictures", task):
                    base = {**self.base, "condition": condition, "group": "pictures", "ratio": ratio, "kind": task}
                    for batch in picture_batches(own, base, condition == "visual"):
                        answers = partial(picture_answers, self.model, own, batch.payload, condition == "visual")
                        yield replace(batch, payload=answers)

    def videos(self, ratio: int) -> Iterator[VideoQuestion]:
        """Every question of study 3 about its videos, those left out that are longer than anything trained on."""
        for length, stories in self.stories.items():
            for side in self.settings.video_sides:
                if video_token_count(LENGTHS[length], (side // PATCH, side // PATCH)) > LONGEST * ratio:
                    continue
                for kind, question in QUESTIONS.items():
                    about = {"group": f"{length} films, {side} px", "kind": kind}
                    about |= {"task": f"{length}_{side}px_{kind}", "chance": chance(kind, self.split)}
                    for story in stories:
                        if kind in story.facts:
                            named = {"item": f"{story.id}/{kind}/{side}px", "cluster": story.id}
                            yield VideoQuestion(
                                partial(self._file_tokens, story.path, side), LENGTHS[length], side, question,
                                story.facts[kind], {**about, **named},
                            )  # fmt: skip

    def scenes(self) -> Iterator[VideoQuestion]:
        """Every question about views of scenes."""
        for kind in KINDS:
            about = {"group": f"{VIEWS} views of a scene", "kind": kind}
            about |= {"task": f"scene_{kind}", "chance": CHANCE[kind]}
            for scene in self.made_scenes:
                if kind in scene.facts:
                    named = {"item": f"{scene.id}/{kind}", "cluster": scene.id}
                    yield VideoQuestion(
                        partial(self._scene_tokens, scene), VIEWS, SCENE_SIDE, QUESTIONS[kind], scene.facts[kind],
                        {**about, **named},
                    )  # fmt: skip

    def needles(self) -> Iterator[VideoQuestion]:
        """One card among many frames: trials of study 4 as complete files."""
        for frames in self.settings.needle_lengths:
            where = [(d, i) for d in DEPTHS.get(frames, DEPTHS[16]) for i in range(self.settings.needle_trials)]
            trials = [make_trial(self.split, "number", frames, depth, i, CLIP_SIZE) for depth, i in where]
            about = {"group": f"needle in {frames} frames", "kind": "needle", "task": f"needle_{frames}"}
            for trial in sorted(trials, key=lambda trial: trial.needle.question):
                named = {"item": trial.id, "cluster": f"{self.split}-haystack-{trial.haystack}", "chance": 1 / NUMBERS}
                yield VideoQuestion(
                    partial(self._trial_tokens, trial), frames, CLIP_SIZE[0], trial.needle.question,
                    trial.needle.answer, {**about, **named},
                )  # fmt: skip

    def video_batches(self, asked: Sequence[VideoQuestion] | Iterator[VideoQuestion], ratio: int) -> Iterator[Batch]:
        """Batches of one question about videos of one kind and size."""
        for (group, kind, question), together in groupby(
            asked, key=lambda one: (one.about["group"], one.about["kind"], one.question)
        ):
            of_kind = list(together)
            conditions = self._conditions(group, kind, question)
            for chunk in (of_kind[i : i + AT_ONCE] for i in range(0, len(of_kind), AT_ONCE)):
                for condition in conditions:
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
        grid = compressed_grid((one.side // PATCH, one.side // PATCH), isqrt(ratio))
        seen = condition == "visual"
        return {
            **self.base,
            **one.about,
            "item": f"{one.about['item']}/{ratio}x",
            "task": f"{one.about['task']}_{ratio}x",
            "condition": condition,
            "split": self.split,
            "ratio": ratio,
            "question": one.question,
            "truth": one.truth,
            "visual_tokens": video_token_count(one.frames, grid) if seen else 0,
            "frames": one.frames if seen else 0,
        }

    def _conditions(self, *asked: str) -> tuple[str, ...]:
        """With nothing to see every ratio is the same question: it is asked at the first only."""
        if asked in self.blind:
            return ("visual",)
        self.blind.add(asked)
        return "visual", "no_visual"

    def _file_tokens(self, path: Path, side: int) -> FrameTokens:
        return self._kept((str(path), side), lambda: encoded_frames(self.model, [path], (side, side), self.compute))

    def _scene_tokens(self, scene: Scene) -> FrameTokens:
        size = (SCENE_SIDE, SCENE_SIDE)
        made = partial(encoded_pictures, self.model, scene.views, size, self.compute)
        return self._kept((scene.id, SCENE_SIDE), made)

    def _trial_tokens(self, trial: Trial) -> FrameTokens:
        def encode() -> FrameTokens:
            made = trial.file(self.folder / "needles")
            tokens = encoded_frames(self.model, [made.path], CLIP_SIZE, self.compute)
            made.path.unlink()
            made.path.with_suffix(".json").unlink()
            return tokens

        return self._kept((trial.id, CLIP_SIZE[0]), encode)

    def _kept(self, key: tuple[str, int], encode: Callable[[], FrameTokens]) -> FrameTokens:
        """The tokens of a visual, encoded when it is first asked about."""
        if key not in self.encoded:
            self.encoded[key] = encode()
        return self.encoded[key]
