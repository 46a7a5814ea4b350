"""Frames to make training clips of, and the clips: a few needles among many frames of haystacks.

All frames come out of real MP4 files, as at evaluation. A clip is a list of frame numbers with a question and its
answer, so that the frames can be encoded once and clips of any length drawn from them. No torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from oryx.errors import InputError
from oryx.processing.video import probe, read_frames
from workbook.data.corpora import data_hash
from workbook.data.haystacks import ENCODER, make_haystack, write_once
from workbook.data.items import generator
from workbook.data.needles import COLOURS, NUMBERS, card, draw_needle

NAMES = tuple(COLOURS)
MIXTURE = {"number": 0.5, "picture": 0.2, "change": 0.3}
"""Variant -> share of training clips: a caption of one frame among many, or the difference of two (paper)."""

READER_MIXTURE = {**MIXTURE, "colour": 0.2}
"""As the reader of frames learns; the colour of the one card there is: a question that retrieval training lacks."""

MOST_OTHERS = 3


@dataclass(frozen=True)
class FrameBank:
    """The frames of ``files`` in order: first ``plain`` frames of haystacks, then cards, then pictures.

    Card page p in colour c is frame ``plain + len(COLOURS) · p + c``; ``numbers[p]`` stands on it. ``names`` are those
    of the pictures, in order.
    """

    files: tuple[Path, ...]
    plain: int
    numbers: tuple[int, ...]
    names: tuple[str, ...]

    @cached_property
    def frames(self) -> np.ndarray:
        """(N, H, W, 3) uint8, decoded."""
        return np.concatenate([read_frames(path, range(probe(path).frames)) for path in self.files])

    def card(self, page: int, colour: int) -> int:
        """Frame of card page ``page`` in colour number ``colour``."""
        return self.plain + len(NAMES) * page + colour

    def picture(self, number: int) -> int:
        """Frame of picture ``number``."""
        return self.plain + len(NAMES) * len(self.numbers) + number


@dataclass(frozen=True)
class Clip:
    """A training video: frame numbers of a bank in the order they are shown, and (question, answer) pairs."""

    frames: tuple[int, ...]
    turns: tuple[tuple[str, str], ...]


def make_bank(
    folder: Path,
    seed: int,
    size: tuple[int, int],
    haystacks: int = 8,
    shots: int = 500,
    pages: int = 1000,
    pictures: int = 500,
) -> FrameBank:
    """Write the bank's video files into ``folder``; those that lie there whole are left alone."""
    files = [make_haystack(folder, "train", 1000 * (seed + 1) + i, shots, size).path for i in range(haystacks)]
    rng = generator("bank", "train", seed)
    numbers = tuple(int(n) for n in 10 + rng.integers(NUMBERS, size=pages))
    drawn = (
        card(generator("bank page", "train", seed, page), number, colour, "train", size)
        for page, number in enumerate(numbers)
        for colour in NAMES
    )
    needles = [draw_needle(rng, "picture", "train", size, "bank") for _ in range(pictures)]
    data = data_hash(("fonts", "icons"))
    described = {"split": "train", "seed": seed, "size": list(size), "encoder": ENCODER, "data": data}
    for name, frames, count in (
        ("cards", drawn, pages),
        ("pictures", (needle.frames[0] for needle in needles), pictures),
    ):
        files.append(Path(folder) / f"train-{seed}-{count}-{name}.mp4")
        write_once(files[-1], {**described, name: count}, frames, size)
    return FrameBank(tuple(files), haystacks * shots, numbers, tuple(needle.answer for needle in needles))


def draw_clip(rng: np.random.Generator, bank: FrameBank, length: int, mixture: Mapping[str, float] = MIXTURE) -> Clip:
    """One training clip of ``length`` frames.

    The frames around are cut from a stretch of the haystacks, from a random place on; the needles lie anywhere.
    Number clips hold up to three cards of other colours.

    Raises InputError for a clip too short for a change.
    """
    if length < 2:
        raise InputError(f"a clip needs at least 2 frames, got {length}")
    frames = (int(rng.integers(bank.plain)) + np.arange(length)) % bank.plain
    variants = list(mixture)
    variant = variants[int(rng.choice(len(variants), p=np.array(list(mixture.values())) / sum(mixture.values())))]
    if variant == "picture":
        number = int(rng.integers(len(bank.names)))
        frames[int(rng.integers(length))] = bank.picture(number)
        question, answer = "name", bank.names[number]
    elif variant == "change":
        page, colours = int(rng.integers(len(bank.numbers))), rng.permutation(len(NAMES))[:2]
        frames[np.sort(rng.choice(length, 2, replace=False))] = [bank.card(page, int(c)) for c in colours]
        question, answer = "change", " ".join(NAMES[c] for c in colours)
    else:
        cards = 1 if variant == "colour" else 1 + int(rng.integers(min(MOST_OTHERS, length - 1) + 1))
        pages, colours = rng.integers(len(bank.numbers), size=cards), rng.permutation(len(NAMES))[:cards]
        frames[rng.choice(length, cards, replace=False)] = [
            bank.card(int(page), int(colour)) for page, colour in zip(pages, colours, strict=True)
        ]
        question, answer = NAMES[colours[0]], str(bank.numbers[pages[0]])
        if variant == "colour":
            question, answer = "colour", NAMES[colours[0]]
    return Clip(tuple(frames.tolist()), ((question, answer),))
