"""What one arm is asked about held-out synthetic videos, as batches of rows for the evaluator."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from oryx.eval.evaluate import Batch
from oryx.eval.features import FrameTokens
from oryx.eval.generate import ReadVideos, ask, read_videos, without_video
from oryx.grids import uniform_indices
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data.stories import LENGTHS, QUESTIONS, Story, chance
from workbook.studies.compressor.arms import (
    ARMS,
    FRAMES,
    SIDES,
    asked_lengths,
    compressed_ratios,
    input_side,
    picture_side,
    ratios_of,
    region_side,
    story_tokens,
    task,
)
from workbook.studies.compressor.features import Features, stories
from workbook.studies.compressor.shift import shift
from workbook.studies.frames import MOST_TOKENS, compressed, on_device

LONGEST = 2048
"""Visual tokens of the longest video that is asked about on demand; twice what is trained on."""

SHIFT_STORIES = 24
"""Short videos on which the distribution of tokens is measured."""

TIMED = 4
"""Videos whose encoding is timed for each further cell of the on-demand panel."""


@dataclass(frozen=True)
class Cell:
    """One way of showing videos: ``condition`` as in the rows, a length, ratio, side of pictures, number of frames.

    ``region``: side of the connector's regions; 1 where smaller pictures stand for the ratio.
    """

    condition: str
    length: str
    ratio: int
    side: int
    frames: int
    region: int

    @property
    def tokens(self) -> int:
        """Visual tokens of a video."""
        return story_tokens(self.frames, self.side, self.region)


def cells(settings: Any, arm: str) -> list[Cell]:
    """How an arm is shown its videos: every ratio of its own; the varied arm also every size and frame count."""
    found = []
    for ratio in ratios_of(settings, arm):
        for length in asked_lengths(arm, ratio):
            region = 1 if ARMS[arm].smaller else region_side(ratio)
            found.append(Cell("visual", length, ratio, input_side(settings, arm, ratio), LENGTHS[length], region))
    if ARMS[arm].varied:
        usual = (picture_side(settings), LENGTHS["long"])
        found += [
            Cell(f"at_{side}px_{frames}f", "long", ratio, side, frames, region_side(ratio))
            for side in SIDES
            for ratio in ratios_of(settings, arm)
            for frames in FRAMES
            if (side, frames) != usual
        ]
    return [cell for cell in found if cell.tokens <= LONGEST]


class Evaluation:
    """The questions to one arm. A batch's payload is a call that answers it; ``base``: the fields that rows share."""

    def __init__(self, settings: Any, arm: str, model: OryxForConditionalGeneration, features: Features, base: dict):
        self.settings, self.arm, self.model, self.features, self.base = settings, arm, model, features, base
        self.stories = {length: stories(settings, length) for length in LENGTHS}
        self.encoding: dict[Cell, float] = {}

    def batches(self) -> Iterator[Batch]:
        """Every cell, then the same questions without the video."""
        for cell in cells(self.settings, self.arm):
            yield from self.cell_batches(cell)
        yield from self.blind_batches()

    def cell_batches(self, cell: Cell) -> Iterator[Batch]:
        """All questions about the videos of a cell, each video read once."""
        size = max(1, MOST_TOKENS // cell.tokens)
        asked = self.stories[cell.length]
        if cell.condition != "visual":
            asked = asked[: self.settings.on_demand_stories]
        seen = {"visual_tokens": cell.tokens, "frames": cell.frames, "input_side": cell.side}
        seen |= {"held_kb": None, "encode_seconds": None}
        for chunk in (asked[i : i + size] for i in range(0, len(asked), size)):
            rows = [
                {**self._row(story, cell.condition, cell.ratio, cell.length, kind), **seen}
                for kind, story in _questions(chunk)
            ]
            yield Batch(rows, partial(self.answers, cell, chunk))

    def blind_batches(self) -> Iterator[Batch]:
        """The questions about the videos of a length without the video, once; a row for every ratio beside it."""
        for length, asked in self.stories.items():
            ratios = [r for r in ratios_of(self.settings, self.arm) if length in asked_lengths(self.arm, r)]
            rows = [
                {**self._row(story, "no_visual", ratio, length, kind), "visual_tokens": 0, "frames": 0}
                for ratio in ratios
                for kind, story in _questions(asked)
            ]
            if rows:
                yield Batch(rows, partial(self.blind_answers, asked, len(ratios)))

    def shift_batches(self, when: str) -> Iterator[Batch]:
        """How far compressed tokens are from uncompressed ones, a row per video and ratio; the score is their CKA."""
        if ARMS[self.arm].connector == "mlp" or ARMS[self.arm].blind:
            return
        for ratio in compressed_ratios(self.settings, self.arm):
            for story in self.stories["short"][:SHIFT_STORIES]:
                row = self._row(story, f"shift_{when}", ratio, "short", "shift")
                row |= {"visual_tokens": 0, "frames": story.frames}
                yield Batch([row], partial(self.measured_shift, story, ratio))

    def answers(self, cell: Cell, chunk: Sequence[Story]) -> list[dict]:
        """Answers about the videos of a batch; an answer's seconds are those of reading its video and answering."""
        if ARMS[self.arm].varied and cell not in self.encoding:
            self.encoding[cell] = self._encoding_seconds(cell)
        began = time.perf_counter()
        read = read_videos(self.model, [self.compressed(story, cell) for story in chunk])
        seconds = (time.perf_counter() - began) / len(chunk)
        more = {"held_kb": self._held(read, cell) / 1024, "encode_seconds": self.encoding.get(cell)}
        return [{**found, "seconds": found["seconds"] + seconds, **more} for found in _answers(read, chunk)]

    def blind_answers(self, asked: Sequence[Story], times: int) -> list[dict]:
        """Answers without the videos, ``times`` over."""
        return _answers(without_video(self.model, len(asked)), asked) * times

    @torch.inference_mode()
    def measured_shift(self, story: Story, ratio: int) -> list[dict]:
        """The measures of one video."""
        video = on_device(self.model, self.features.story(story.path, picture_side(self.settings)))
        found = asdict(shift(self.model.compressor, video, region_side(ratio)))
        score = min(1.0, max(0.0, found["cka"]))
        return [{"answer": "", "score": score, **{f"shift_{name}": value for name, value in found.items()}}]

    @torch.inference_mode()
    def compressed(self, story: Story, cell: Cell) -> FrameTokens:
        """A video as the arm's connector passes it on."""
        video, shown = self.features.story(story.path, cell.side), uniform_indices(story.frames, cell.frames)
        return compressed(self.model, FrameTokens(video.tokens[shown], video.grid), cell.region)

    def _row(self, story: Story, condition: str, ratio: int, length: str, kind: str) -> dict:
        return {
            **self.base,
            "item": f"{story.id}/{kind}/{ratio}x",
            "task": task(kind, ratio),
            "ratio": ratio,
            "condition": condition,
            "split": story.split,
            "cluster": story.id,
            "question": QUESTIONS.get(kind, ""),
            "truth": story.facts.get(kind, ""),
            "chance": chance(kind, story.split) if kind in QUESTIONS else 0.0,
            "kind": kind,
            "length": length,
        }

    def _held(self, read: ReadVideos, cell: Cell) -> float:
        """Bytes that a video needs while it is asked about: the encoder's output and the language model's cache."""
        cached = sum(t.nbytes for layer in read.cache.layers for t in (layer.keys, layer.values)) / read.count
        vision = self.model.config.vision_config
        return cached + 4 * cell.frames * (cell.side // vision.patch_size) ** 2 * vision.hidden_size

    def _encoding_seconds(self, cell: Cell) -> float:
        """Seconds to decode and encode a video at this size and number of frames, mean over some."""
        encoder, timed = self.features.cache(cell.side).encoder, self.stories[cell.length][:TIMED]
        began = time.perf_counter()
        for story in timed:
            encoder.encode(story.path, uniform_indices(story.frames, cell.frames))
        return (time.perf_counter() - began) / len(timed)


def _questions(asked: Sequence[Story]) -> Iterator[tuple[str, Story]]:
    return ((kind, story) for kind in QUESTIONS for story in asked if kind in story.facts)


def _answers(read: ReadVideos, asked: Sequence[Story]) -> list[dict]:
    """Answers in the order of :func:`_questions`."""
    found = []
    for kind, question in QUESTIONS.items():
        began = time.perf_counter()
        # videos without this question are asked along, for one length of the batch
        truths = [story.facts.get(kind, "") for story in asked]
        answers, likelihoods = ask(read, [question] * len(asked), truths)
        seconds = (time.perf_counter() - began) / len(asked)
        found += [
            {"answer": answer, "score": float(answer == truth), "logprob": likelihood, "seconds": seconds}
            for story, truth, answer, likelihood in zip(asked, truths, answers, likelihoods, strict=True)
            if kind in story.facts
        ]
    return found
