"""Asking one arm about held-out stories, one row per answer. See :mod:`workbook.studies.compressor.study`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from oryx.eval.features import FrameTokens
from oryx.eval.generate import ReadVideos, ask, read_videos, without_video
from oryx.evidence.store import RowWriter
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
from workbook.studies.frames import compressed, on_device
from workbook.studies.videos import MOST_TOKENS

LONGEST = 2048
"""Visual tokens of the longest film that is asked about on demand; twice what is trained on."""

SHIFT_STORIES = 24
"""Short stories on which the distribution of tokens is measured."""


@dataclass(frozen=True)
class Cell:
    """One way of showing stories: ``condition`` as in the rows, a length, ratio, side of pictures, number of frames.

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
        """Visual tokens of a story."""
        return story_tokens(self.frames, self.side, self.region)


def cells(settings: Any, arm: str) -> list[Cell]:
    """What an arm is asked with its stories: every ratio of its own; the varied arm also every size and frame count."""
    found = []
    for ratio in ratios_of(settings, arm):
        for length in asked_lengths(arm, ratio):
            region = 1 if ARMS[arm].smaller else region_side(ratio)
            cell = Cell("visual", length, ratio, input_side(settings, arm, ratio), LENGTHS[length], region)
            if cell.tokens <= LONGEST:
                found.append(cell)
    return found + (on_demand_cells(settings, arm) if ARMS[arm].varied else [])


def on_demand_cells(settings: Any, arm: str) -> list[Cell]:
    """Long stories at every ratio, picture size and number of frames that fits LONGEST and is not asked already."""
    usual = (picture_side(settings), LENGTHS["long"])
    found = [
        Cell(f"at_{side}px_{frames}f", "long", ratio, side, frames, region_side(ratio))
        for side in SIDES
        for ratio in ratios_of(settings, arm)
        for frames in FRAMES
        if (side, frames) != usual
    ]
    return [cell for cell in found if cell.tokens <= LONGEST]


class Asker:
    """Asks a trained arm and writes the rows that are missing. ``base``: the fields that all rows share."""

    def __init__(
        self, settings: Any, arm: str, model: OryxForConditionalGeneration, features: Features, writer: RowWriter,
        base: dict,
    ):  # fmt: skip
        self.settings, self.arm, self.model = settings, arm, model
        self.features, self.writer, self.base = features, writer, base

    def ask_all(self, progress: Callable[[str, int, int], None]) -> None:
        """Every cell, then the same questions without the film."""
        todo = cells(self.settings, self.arm)
        for done, cell in enumerate(todo):
            self.ask_cell(cell)
            progress("evaluate", done + 1, len(todo) + 1)
        for length in LENGTHS:
            ratios = [r for r in ratios_of(self.settings, self.arm) if length in asked_lengths(self.arm, r)]
            self.ask_blind(length, ratios)
        progress("evaluate", len(todo) + 1, len(todo) + 1)

    def ask_cell(self, cell: Cell) -> None:
        """All questions about the stories of a cell, each story read once."""
        count = self.settings.on_demand_stories if cell.condition != "visual" else None
        asked = stories(self.settings, cell.length, count)
        waiting = [story for story in asked if self._missing(story, cell.condition, cell.ratio)]
        encode = self._encoding_seconds(cell, waiting) if ARMS[self.arm].varied and waiting else None
        size = max(1, MOST_TOKENS // cell.tokens)
        for chunk in (asked[i : i + size] for i in range(0, len(asked), size)):
            if not any(story in waiting for story in chunk):  # else all: a smaller batch would round its sums otherwise
                continue
            began, error, read = time.perf_counter(), None, None
            try:
                read = read_videos(self.model, [self.compressed(story, cell) for story in chunk])
            except Exception as problem:  # a failure is a row with an error, never a zero
                error = f"{type(problem).__name__}: {problem}"
            shared = (time.perf_counter() - began) / len(chunk)
            seen = {
                "visual_tokens": cell.tokens,
                "frames": cell.frames,
                "input_side": cell.side,
                "held_kb": None if read is None else self._held(read, cell) / 1024,
                "encode_seconds": encode,
            }
            rows = self._answered(chunk, cell.condition, cell.ratio, cell.length, read, shared, error, seen)
            self.writer.write(row for row in rows if not self.writer.has(row))

    def ask_blind(self, length: str, ratios: Sequence[int]) -> None:
        """The questions about the stories of a length without the film, once; a row for every ratio asked beside it."""
        asked = stories(self.settings, length)
        if any(self._missing(story, "no_visual", ratio) for story in asked for ratio in ratios):
            seen = {"visual_tokens": 0, "frames": 0}
            nothing = without_video(self.model, len(asked))
            rows = self._answered(asked, "no_visual", ratios[0], length, nothing, 0.0, None, seen)
            for ratio in ratios:
                named = ({**row, **self._named(row["cluster"], row["kind"], ratio)} for row in rows)
                self.writer.write(row for row in named if not self.writer.has(row))

    def measure_shift(self, when: str) -> None:
        """Rows of how far compressed tokens are from uncompressed ones, one per film and ratio; score is their CKA."""
        if ARMS[self.arm].connector == "mlp" or ARMS[self.arm].blind:
            return
        for ratio in compressed_ratios(self.settings, self.arm):
            for story in stories(self.settings, "short")[:SHIFT_STORIES]:
                row = self._row(story, f"shift_{when}", ratio, "short", "shift")
                if not self.writer.has(row):
                    film = on_device(self.model, self.features.story(story.path, picture_side(self.settings)))
                    found = asdict(shift(self.model.compressor, film, region_side(ratio)))
                    row |= {"score": min(1.0, max(0.0, found["cka"])), "answer": "", "error": None}
                    row |= {"visual_tokens": 0, "frames": story.frames}
                    self.writer.write([row | {f"shift_{name}": value for name, value in found.items()}])

    @torch.inference_mode()
    def compressed(self, story: Story, cell: Cell) -> FrameTokens:
        """A story as the arm's connector passes it on."""
        film, shown = self.features.story(story.path, cell.side), uniform_indices(story.frames, cell.frames)
        return compressed(self.model, FrameTokens(film.tokens[shown], film.grid), cell.region)

    def _answered(
        self, asked: Sequence[Story], condition: str, ratio: int, length: str, read: ReadVideos | None, shared: float,
        error: str | None, seen: dict,
    ) -> list[dict]:  # fmt: skip
        rows = []
        for kind, question in QUESTIONS.items():
            answers, likelihoods, problem = [None] * len(asked), [None] * len(asked), error
            began = time.perf_counter()
            try:
                if read is not None:  # stories without this question are asked along, for one length of the batch
                    truths = [story.facts.get(kind, "") for story in asked]
                    answers, likelihoods = ask(read, [question] * len(asked), truths)
            except Exception as trouble:
                problem = f"{type(trouble).__name__}: {trouble}"
            seconds = shared + (time.perf_counter() - began) / len(asked)
            for story, answer, likelihood in zip(asked, answers, likelihoods, strict=True):
                if kind in story.facts:
                    row = self._row(story, condition, ratio, length, kind)
                    right = None if problem else float(answer == story.facts[kind])
                    row |= {"answer": answer, "score": right, "logprob": likelihood, "error": problem}
                    rows.append(row | {"seconds": seconds, **seen})
        return rows

    def _row(self, story: Story, condition: str, ratio: int, length: str, kind: str) -> dict:
        return {
            **self.base,
            **self._named(story.id, kind, ratio),
            "condition": condition,
            "split": story.split,
            "cluster": story.id,
            "question": QUESTIONS.get(kind, ""),
            "truth": story.facts.get(kind, ""),
            "chance": chance(kind, story.split) if kind in QUESTIONS else 0.0,
            "kind": kind,
            "length": length,
        }

    @staticmethod
    def _named(film: str, kind: str, ratio: int) -> dict:
        return {"item": f"{film}/{kind}/{ratio}x", "task": task(kind, ratio), "ratio": ratio}

    def _missing(self, story: Story, condition: str, ratio: int) -> bool:
        rows = (self._row(story, condition, ratio, "", kind) for kind in QUESTIONS if kind in story.facts)
        return not all(self.writer.has(row) for row in rows)

    def _held(self, read: ReadVideos, cell: Cell) -> float:
        """Bytes that a story needs while it is asked about: the encoder's output and the language model's cache."""
        cached = sum(t.nbytes for layer in read.cache.layers for t in (layer.keys, layer.values)) / read.count
        width = self.model.config.vision_config.hidden_size
        return cached + 4 * cell.frames * (cell.side // self.model.config.vision_config.patch_size) ** 2 * width

    def _encoding_seconds(self, cell: Cell, asked: Sequence[Story], few: int = 4) -> float:
        """Seconds to decode and encode a story at this size and number of frames, mean over some."""
        encoder, began = self.features.cache(cell.side).encoder, time.perf_counter()
        for story in asked[:few]:
            encoder.encode(story.path, uniform_indices(story.frames, cell.frames))
        return (time.perf_counter() - began) / len(asked[:few])
