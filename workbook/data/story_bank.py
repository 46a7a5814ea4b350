"""Frames to make training stories of: segments in real MP4 files, from which any number of stories is put together.

Frames do not see each other before the language model, so features of a bank are computed once, and a training story
is a list of frame numbers. Held-out stories are files of their own (:mod:`workbook.data.stories`). No torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from workbook.data.haystacks import ENCODER, write_once
from workbook.data.items import generator
from workbook.data.needles import COLOURS, NUMBERS, Clip
from workbook.data.object_tasks import pick_object
from workbook.data.stories import MOVES, PATH, QUESTIONS, SIZE, Segment, draw_segment, plan_story, story_facts

PAN = 3
"""Frames of a photograph in a bank."""


@dataclass(frozen=True)
class BankSizes:
    """How much a bank holds: signs and cards of each colour, icons' ways in each direction, photographs."""

    signs: int = 600
    cards: int = 50
    paths: int = 100
    photos: int = 150


@dataclass(frozen=True)
class StoryBank:
    """The frames of ``files``, which are the parts of a bank in order.

    ``facts``: part -> what is to know of each thing in it, the number on a sign or the name of an icon.
    """

    files: tuple[Path, ...]
    sizes: BankSizes
    facts: Mapping[str, Sequence[str]]

    def frames(self, rng: np.random.Generator, segment: Segment) -> tuple[list[int], dict[str, str]]:
        """Frame numbers of a segment, its content drawn by ``rng``, and what it adds to the story's facts."""
        parts, wanted = bank_parts(self.sizes), (segment.kind, segment.detail)
        part = next(name for name, (_, thing) in parts.items() if (thing.kind, thing.detail) == wanted)
        first = sum(count * thing.frames for count, thing in map(parts.get, takewhile(part.__ne__, parts)))
        count, thing = parts[part]
        chosen, last = int(rng.integers(count)), thing.frames - 1
        steps = np.minimum(np.arange(segment.frames), last)
        if segment.kind == "object":
            steps = np.rint(np.linspace(0, last, segment.frames)).astype(int)
        known = {"sign": "number", "object": "name"}.get(segment.kind)
        facts = {known: self.facts[part][chosen]} if known else {}
        return (first + chosen * thing.frames + steps).tolist(), facts


def draw_story(rng: np.random.Generator, bank: StoryBank, frames: int) -> Clip:
    """One training story of ``frames`` frames with all its questions."""
    segments = plan_story(rng, frames)
    shown, known = [], {}
    for segment in segments:
        numbers, facts = bank.frames(rng, segment)
        shown, known = shown + numbers, known | facts
    facts = story_facts(segments, **known)
    return Clip(tuple(shown), tuple((QUESTIONS[kind], facts[kind]) for kind in QUESTIONS if kind in facts))


def draw_glance(rng: np.random.Generator, bank: StoryBank, kind: str) -> Clip:
    """The first thing a reader learns: one sign (``kind`` "sign", one frame) or one icon's way ("object", PATH frames).

    Asked for what a story would ask about it: number and colour, or name and direction.
    """
    details, length, asked = (COLOURS, 1, ("sign", "colour")) if kind == "sign" else (MOVES, PATH, ("what", "move"))
    segment = Segment(kind, length, list(details)[int(rng.integers(len(details)))])
    frames, facts = bank.frames(rng, segment)
    return Clip(
        tuple(frames), tuple(zip((QUESTIONS[a] for a in asked), (*facts.values(), segment.detail), strict=True))
    )


def bank_parts(sizes: BankSizes) -> dict[str, tuple[int, Segment]]:
    """Name of a bank's file -> how many things it holds and what one of them is; in order of the files.

    Each file can be written by itself.
    """
    signs = {f"sign-{colour}": (sizes.signs, Segment("sign", 1, colour)) for colour in COLOURS}
    cards = {f"card-{colour}": (sizes.cards, Segment("card", 1, colour)) for colour in COLOURS}
    paths = {f"path-{direction}": (sizes.paths, Segment("object", PATH, direction)) for direction in MOVES}
    return {**signs, **cards, **paths, "photos": (sizes.photos, Segment("photo", PAN))}


def write_part(folder: Path, seed: int, sizes: BankSizes, part: str) -> tuple[Path, list[str]]:
    """Write one file of a bank unless it lies there whole; its path, and the numbers or names in it."""
    count, thing = bank_parts(sizes)[part]

    def rng(index: int) -> np.random.Generator:
        return generator("story bank", "train", seed, part, index)

    def fact(index: int) -> str:
        """The number of a sign or the name of an icon: the first that :func:`draw_segment` draws of it."""
        if thing.kind == "sign":
            return str(int(10 + rng(index).integers(NUMBERS)))
        return pick_object(rng(index), "icon", "train")[1] if thing.kind == "object" else ""

    facts = [fact(index) for index in range(count)]
    path = Path(folder) / f"train-{seed}-{count}-{part}.mp4"
    described = {"split": "train", "seed": seed, "part": part, "count": count, "size": list(SIZE)}
    drawn = (picture for index in range(count) for picture in draw_segment(rng(index), thing, "train")[0])
    write_once(path, {**described, "encoder": ENCODER, "facts": facts}, drawn, SIZE)
    return path, facts


def make_bank(folder: Path, seed: int, sizes: BankSizes) -> StoryBank:
    """The bank of a seed, every file written that is not there."""
    made = {part: write_part(folder, seed, sizes, part) for part in bank_parts(sizes)}
    return StoryBank(
        tuple(path for path, _ in made.values()), sizes, {part: facts for part, (_, facts) in made.items()}
    )
