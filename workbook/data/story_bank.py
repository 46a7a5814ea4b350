"""Frames to make training stories of: segments in real MP4 files, from which any number of stories is put together.

Frames do not see each other before the language model, so features of a bank are computed once, and a training story
is a list of frame numbers. Held-out stories are files of their own (:mod:`workbook.data.stories`). No torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from workbook.data.haystacks import ENCODER, write_once
from workbook.data.items import generator
from workbook.data.needles import COLOURS, NUMBERS
from workbook.data.object_tasks import pick_object
from workbook.data.stories import (
    MOVES,
    PATH,
    QUESTIONS,
    SIZE,
    Plan,
    Segment,
    draw_card,
    draw_path,
    draw_photo,
    draw_sign,
    plan_story,
)

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
    """The frames of ``files`` in order: signs and cards colour by colour, ways direction by direction, photographs.

    ``numbers[c][i]`` stands on sign i of colour number c, ``names[d][i]`` is the icon of way i in direction number d.
    """

    files: tuple[Path, ...]
    sizes: BankSizes
    numbers: tuple[tuple[str, ...], ...]
    names: tuple[tuple[str, ...], ...]

    def frames(self, rng: np.random.Generator, segment: Segment) -> tuple[list[int], dict[str, str]]:
        """Frame numbers of a segment, its content drawn by ``rng``, and what it adds to the story's facts."""
        sizes, signs = self.sizes, self.sizes.signs * len(COLOURS)
        cards = signs + sizes.cards * len(COLOURS)
        paths = cards + sizes.paths * len(MOVES) * PATH
        if segment.kind in ("sign", "card"):
            colour = list(COLOURS).index(segment.detail)
            many, first = (sizes.signs, 0) if segment.kind == "sign" else (sizes.cards, signs)
            chosen = int(rng.integers(many))
            facts = {"number": self.numbers[colour][chosen]} if segment.kind == "sign" else {}
            return [first + colour * many + chosen] * segment.frames, facts
        if segment.kind == "object":
            direction, chosen = list(MOVES).index(segment.detail), int(rng.integers(sizes.paths))
            first = cards + (direction * sizes.paths + chosen) * PATH
            steps = np.rint(np.linspace(0, PATH - 1, segment.frames)).astype(int)
            return (first + steps).tolist(), {"name": self.names[direction][chosen]}
        first = paths + int(rng.integers(sizes.photos)) * PAN
        return [first + min(i, PAN - 1) for i in range(segment.frames)], {}


@dataclass(frozen=True)
class TrainingStory:
    """Frame numbers of a bank in the order they are shown, and (question, answer) pairs."""

    frames: tuple[int, ...]
    turns: tuple[tuple[str, str], ...]


def draw_story(rng: np.random.Generator, bank: StoryBank, frames: int) -> TrainingStory:
    """One training story of ``frames`` frames with all its questions."""
    plan: Plan = plan_story(rng, frames)
    shown, known = [], {}
    for segment in plan.segments:
        numbers, facts = bank.frames(rng, segment)
        shown, known = shown + numbers, known | facts
    facts = plan.facts(**known)
    return TrainingStory(tuple(shown), tuple((QUESTIONS[kind], facts[kind]) for kind in QUESTIONS if kind in facts))


def draw_glance(rng: np.random.Generator, bank: StoryBank, kind: str) -> TrainingStory:
    """The first thing a reader learns: one sign (``kind`` "sign", one frame) or one icon's way ("object", PATH frames).

    Asked for what a story would ask about it: number and colour, or name and direction.
    """
    if kind == "sign":
        segment = Segment("sign", 1, list(COLOURS)[int(rng.integers(len(COLOURS)))])
        frames, facts = bank.frames(rng, segment)
        turns = ((QUESTIONS["sign"], facts["number"]), (QUESTIONS["colour"], segment.detail))
    else:
        segment = Segment("object", PATH, list(MOVES)[int(rng.integers(len(MOVES)))])
        frames, facts = bank.frames(rng, segment)
        turns = ((QUESTIONS["what"], facts["name"]), (QUESTIONS["move"], segment.detail))
    return TrainingStory(tuple(frames), turns)


def bank_parts(sizes: BankSizes) -> list[str]:
    """Names of a bank's files, in order; each can be written by itself."""
    signs, cards = ([f"{kind}-{colour}" for colour in COLOURS] for kind in ("sign", "card"))
    return [*signs, *cards, *(f"path-{direction}" for direction in MOVES), "photos"]


def write_part(folder: Path, seed: int, sizes: BankSizes, part: str, split: str = "train") -> tuple[Path, list[str]]:
    """Write one file of a bank unless it lies there whole; its path, and the numbers or names in it."""
    kind = part.partition("-")[0]
    counts = {"sign": sizes.signs, "card": sizes.cards, "path": sizes.paths, "photos": sizes.photos}
    facts: list[str] = [_fact(split, seed, part, i) for i in range(counts[kind])]
    path = Path(folder) / f"{split}-{seed}-{counts[kind]}-{part}.mp4"
    described = {"split": split, "seed": seed, "part": part, "count": counts[kind], "size": list(SIZE)}
    drawn = (picture for i in range(counts[kind]) for picture in _draw(split, seed, part, i))
    write_once(path, {**described, "encoder": ENCODER, "facts": facts}, drawn, SIZE)
    return path, facts


def make_bank(folder: Path, seed: int, sizes: BankSizes, split: str = "train") -> StoryBank:
    """The bank of a seed, every file written that is not there."""
    made = {part: write_part(folder, seed, sizes, part, split) for part in bank_parts(sizes)}
    numbers = tuple(tuple(made[f"sign-{colour}"][1]) for colour in COLOURS)
    names = tuple(tuple(made[f"path-{direction}"][1]) for direction in MOVES)
    return StoryBank(tuple(path for path, _ in made.values()), sizes, numbers, names)


def _rng(split: str, seed: int, part: str, index: int) -> np.random.Generator:
    return generator("story bank", split, seed, part, index)


def _fact(split: str, seed: int, part: str, index: int) -> str:
    """The number of a sign or the name of an icon, without drawing it; empty for others."""
    rng, kind = _rng(split, seed, part, index), part.partition("-")[0]
    if kind == "sign":
        return str(int(10 + rng.integers(NUMBERS)))
    if kind == "path":
        return pick_object(rng, "icon", split)[1]  # the first that draw_path draws
    return ""


def _draw(split: str, seed: int, part: str, index: int) -> Iterator[Image.Image]:
    rng, (kind, _, detail) = _rng(split, seed, part, index), part.partition("-")
    if kind == "sign":
        yield draw_sign(rng, int(10 + rng.integers(NUMBERS)), detail, split)
    elif kind == "card":
        yield draw_card(rng, detail, split)
    elif kind == "path":
        yield from draw_path(rng, detail, PATH, split)[0]
    else:
        yield from draw_photo(rng, PAN, split)
