"""What one arm is asked about held-out synthetic videos, as batches of rows for the evaluator."""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import torch

from oryx.eval.features import FrameTokens
from oryx.eval.generate import ReadVideos, ask, read_videos, without_video
from oryx.grids import uniform_indices
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data.stories import LENGTHS, QUESTIONS, Story, chance
from workbook.studies.compressor.arms import ARMS
from workbook.studies.compressor.cells import Cell, cells, picture_side, stories
from workbook.studies.compressor.features import Features
from workbook.studies.compressor.settings import Settings
from workbook.studies.compressor.shift import shift
from workbook.studies.evaluate import Batch
from workbook.studies.frames import MOST_TOKENS, chunks, compressed, on_device

SHIFT_STORIES = 24
"""Short videos on which the distribution of tokens is measured."""

TIMED = 4
"""Videos whose encoding is timed for each further cell of the on-demand panel."""


class Evaluation:
    """The questions to one arm. A batch's payload is a call that answers it; ``base``: the fields that rows share."""

    def __init__(
        self, settings: Settings, arm: str, model: OryxForConditionalGeneration, features: Features, base: dict
    ):
        self.settings, self.arm, self.model, self.features, self.base = settings, arm, model, features, base
        self.stories = {length: stories(settings, length) for length in LENGTHS}
        self.cells = cells(settings, arm)
        self.encoding: dict[Cell, float] = {}

    def batches(self) -> Iterator[Batch]:
        """Every cell, then the same questions without the video."""
        for cell in self.cells:
            yield from self.cell_batches(cell)
        yield from self.blind_batches()

    def cell_batches(self, cell: Cell) -> Iterator[Batch]:
        """All questions about the videos of a cell, each video read once."""
        asked = self.stories[cell.length]
        if cell.condition != "visual":
            asked = asked[: self.settings.on_demand_stories]
        seen = {"visual_tokens": cell.tokens, "frames": cell.frames, "input_side": cell.side}
        seen |= {"held_kb": None, "encode_seconds": None}
        for chunk in chunks(asked, MOST_TOKENS // cell.tokens):
            rows = [row | seen for row in self._rows(chunk, cell.condition, cell)]
            yield Batch(rows, partial(self.answers, cell, chunk))

    def blind_batches(self) -> Iterator[Batch]:
        """The questions about the videos of a length without the video, once; a row for every ratio beside it."""
        seen = {"visual_tokens": 0, "frames": 0}
        for length, asked in self.stories.items():
            shown = {cell.ratio: cell for cell in self.cells if cell.length == length}.values()
            if rows := [row | seen for cell in shown for row in self._rows(asked, "no_visual", cell)]:
                yield Batch(rows, partial(self.blind_answers, asked, len(shown)))

    def shift_batches(self, when: str) -> Iterator[Batch]:
        """How far compressed tokens are from uncompressed ones, a row per video and ratio; the score is their CKA."""
        measured = ARMS[self.arm].connector != "mlp" and not ARMS[self.arm].blind
        for cell in self.cells if measured else ():
            for story in self.stories["short"][:SHIFT_STORIES] if cell.length == "short" and cell.ratio > 1 else ():
                row = self._row(story, "shift", f"shift_{when}", cell) | {"visual_tokens": 0, "frames": story.frames}
                yield Batch([row], partial(self.measured_shift, story, cell.region))

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
    def measured_shift(self, story: Story, region: int) -> list[dict]:
        """The measures of one video."""
        video = on_device(self.model, self.features.story(story.path, picture_side(self.settings)))
        found = shift(self.model.compressor, video, region)
        score = min(1.0, max(0.0, found["cka"]))
        return [{"answer": "", "score": score, **{f"shift_{name}": value for name, value in found.items()}}]

    @torch.inference_mode()
    def compressed(self, story: Story, cell: Cell) -> FrameTokens:
        """A video as the arm's connector passes it on."""
        video, shown = self.features.story(story.path, cell.side), uniform_indices(story.frames, cell.frames)
        return compressed(self.model, FrameTokens(video.tokens[shown], video.grid), cell.region)

    def _rows(self, asked: Sequence[Story], condition: str, cell: Cell) -> list[dict]:
        of_kind = ((story, kind) for kind in QUESTIONS for story in asked if kind in story.facts)
        return [self._row(story, kind, condition, cell) for story, kind in of_kind]

    def _row(self, story: Story, kind: str, condition: str, cell: Cell) -> dict:
        return {
            **self.base,
            "item": f"{story.id}/{kind}/{cell.ratio}x",
            "task": f"{kind}_{cell.ratio}x",
            "ratio": cell.ratio,
            "condition": condition,
            "split": story.split,
            "cluster": story.id,
            "question": QUESTIONS.get(kind, ""),
            "truth": story.facts.get(kind, ""),
            "chance": chance(kind, story.split) if kind in QUESTIONS else 0.0,
            "kind": kind,
            "length": cell.length,
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


def _answers(read: ReadVideos, asked: Sequence[Story]) -> list[dict]:
    """Every question about videos, those that it fits, a question after the other."""
    found = []
    for kind, question in QUESTIONS.items():
        began = time.perf_counter()
        # videos without this question are asked along, for one length of the batch
        given = ask(read, [question] * len(asked), [story.facts.get(kind, "") for story in asked])
        seconds = {"seconds": (time.perf_counter() - began) / len(asked)}
        found += [{**one, **seconds} for story, one in zip(asked, given, strict=True) if kind in story.facts]
    return found
