"""Needles: frames with one question and one right answer, and where in a haystack they lie.

Number needles are cards with a two-digit number in a coloured frame; the question names the colour, so that further
cards in other colours are distractors. Nothing in a haystack looks like a card (``workbook.data.haystacks``). Fonts and
icon styles of the splits are disjoint.

To train on, needles and frames of haystacks lie in a dataset of real MP4 files, as at evaluation. A clip is a list of
frame numbers with a question and its answer, so that frames can be encoded once and clips of any length drawn from
them. No torch.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from oryx.errors import InputError
from oryx.processing.video import probe, read_frames
from workbook.data.corpora import data_hash
from workbook.data.haystacks import ENCODER, Haystack, make_haystack, write_once
from workbook.data.items import choose, draw_object, generator
from workbook.data.pictures import draw_text, font_face, paper, text_extent
from workbook.data.text_tasks import split_fonts

COLOURS = {"red": (215, 40, 40), "green": (40, 160, 60), "blue": (50, 80, 220), "black": (25, 25, 25)}
NUMBERS = 90
"""Two-digit numbers, 10 to 99."""

VARIANTS = ("number", "picture", "change", "near", "far")
"""``number``: one card. ``picture``: a named icon. ``change``: a card whose frame changes colour later in the video.
``near``, ``far``: one card and three distractors, beside it or elsewhere."""

DISTRACTORS = {"near": 3, "far": 3}

NAMES = tuple(COLOURS)
MIXTURE = {"number": 0.5, "change": 0.3}
"""Variant -> weight among training clips: a caption of one frame among many, or the difference of two (paper)."""

READER_MIXTURE = {**MIXTURE, "colour": 0.2}
"""As the reader of frames learns; the colour of the one card there is: a question that retrieval training lacks."""

MOST_OTHERS = 3

FINE = 3
"""Varied numbers are drawn so many times larger and scaled down, so that a stroke can grow by thirds of a pixel."""


@dataclass(frozen=True)
class Lettering:
    """How the number on a card is drawn.

    ``em``: least and most pixels per em, as shares of the card's height, before the number is made to fit. ``varied``:
    share of cards whose number is stretched, slanted and thickened by chance, which makes many faces of one.
    """

    em: tuple[float, float] = (0.4, 0.7)
    varied: float = 0.0


SMALL, LARGE = Lettering(), Lettering((0.6, 0.75))
"""Of cards to train on unless a recipe has others; of held-out cards, which ask for finding: at 32 pixels small numbers
are as hard to read as to find."""


@dataclass(frozen=True)
class Needle:
    """One question with its answer, the frames that hold it in order, and the frames that distract from it.

    ``chance``: the score of the best guess without the video. ``cluster``: what trials that are alike share.
    """

    variant: str
    question: str
    answer: str
    frames: tuple[Image.Image, ...]
    others: tuple[Image.Image, ...]
    chance: float
    cluster: str


@dataclass(frozen=True)
class Trial:
    """A needle in a haystack of ``frames`` frames in all, needle and distractors included.

    ``needles`` and ``others``: places of the needle's frames and of the distractors, from 0, before any sampling.
    ``haystack``: the haystack's number in its split, of which the first ``frames`` less the inserted ones are used.
    """

    id: str
    split: str
    needle: Needle
    frames: int
    depth: float
    haystack: int
    needles: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def inserted(self) -> Mapping[int, Image.Image]:
        """Place -> frame that is put there."""
        places, frames = (*self.needles, *self.others), (*self.needle.frames, *self.needle.others)
        return {place: frame for place, frame in sorted(zip(places, frames, strict=True))}

    def file(self, folder) -> Haystack:
        """The complete video as a real file in ``folder``, every inserted frame at its place."""
        size = self.needle.frames[0].size[::-1]
        plain = self.frames - len(self.inserted)
        return make_haystack(folder, self.split, self.haystack, plain, size, self.inserted)


def framed(rng, size: tuple[int, int], colour: str, border: int) -> tuple[Image.Image, tuple[int, int, int]]:
    """A blank page of ``size`` with a coloured frame of ``border`` pixels, and its ink."""
    page, ink = paper(rng, size)
    ImageDraw.Draw(page).rectangle((0, 0, size[1] - 1, size[0] - 1), outline=COLOURS[colour], width=border)
    return page, ink


def card(
    rng: np.random.Generator, number: int, colour: str, split: str, size: tuple[int, int], letters: Lettering = SMALL
) -> Image.Image:
    """A number in the middle of a plain page with a coloured frame, (height, width) = ``size``."""
    border = max(2, round(min(size) / 10))
    page, ink = framed(rng, size, colour, border)
    fonts, text = split_fonts(split), str(number)
    path = fonts[int(rng.integers(len(fonts)))]
    most_wide, most_high = size[1] - 2 * border - 2, size[0] - 2 * border - 2
    em, shape = round(rng.uniform(*letters.em) * size[0]), None
    if letters.varied and rng.random() < letters.varied:
        shape = varied_shape(rng, text, path, em, (most_high, most_wide))
        width, height = shape.size
    else:
        for pixels in range(em, 5, -1):
            face = font_face(path, pixels)
            _, _, width, height = text_extent(face, text)
            if width <= most_wide and height <= most_high:
                break
    left = border + 1 + int(rng.integers(max(0, most_wide - width) + 1))
    top = border + 1 + int(rng.integers(max(0, most_high - height) + 1))
    if shape is None:
        draw_text(ImageDraw.Draw(page), (left, top), text, face, ink)
    else:
        page.paste(ink, (left, top), shape)
    return page


def varied_shape(rng: np.random.Generator, text: str, path: str, em: int, most: tuple[int, int]) -> Image.Image:
    """The ink of ``text`` as a mask, at most (height, width) ``most``: slanted, thickened and stretched by chance."""
    face, stroke = font_face(path, FINE * em), int(rng.integers(3))
    left, top, right, bottom = face.getbbox(text, stroke_width=stroke)
    slant = float(rng.uniform(-0.35, 0.35))
    room, high = round(abs(slant) * (bottom - top)) + 1, bottom - top
    shape = Image.new("L", (right - left + 2 * room, high))
    ImageDraw.Draw(shape).text((room - left, -top), text, font=face, fill=255, stroke_width=stroke)
    shape = shape.transform(shape.size, Image.Transform.AFFINE, (1, slant, -slant * high / 2, 0, 1, 0))
    shape = shape.crop(shape.getbbox())
    wide, high = (side / FINE * rng.uniform(0.7, 1.35) for side in shape.size)
    scale = min(1.0, most[0] / high, most[1] / wide)
    return shape.resize((max(1, int(wide * scale)), max(1, int(high * scale))), Image.Resampling.BOX)


def draw_needle(
    rng: np.random.Generator, variant: str, split: str, size: tuple[int, int], name: str, letters: Lettering = SMALL
) -> Needle:
    """One needle of one of VARIANTS; ``name`` is its cluster where every needle is its own."""
    if variant == "picture":
        drawn = draw_object(rng, "icon", size, split)
        return Needle(variant, drawn.question, drawn.answer, (drawn.picture,), (), drawn.chance, drawn.concept)
    colours = [str(colour) for colour in rng.permutation(list(COLOURS))]
    numbers = [int(n) for n in 10 + rng.choice(NUMBERS, len(COLOURS), replace=False)]
    if variant == "change":
        seed = int(rng.integers(2**32))  # the same page twice: only the frame's colour differs
        frames = tuple(card(generator("change", seed), numbers[0], c, split, size, letters) for c in colours[:2])
        pairs = len(COLOURS) * (len(COLOURS) - 1)
        return Needle(variant, "change", f"{colours[0]} {colours[1]}", frames, (), 1 / pairs, name)
    cards = [card(rng, number, colour, split, size, letters) for number, colour in zip(numbers, colours, strict=True)]
    others = tuple(cards[1 : 1 + DISTRACTORS.get(variant, 0)])
    # who finds the cards but not the colour is right once in 1 + others; without the video once in 90
    return Needle(variant, colours[0], str(numbers[0]), (cards[0],), others, 1 / NUMBERS, name)


def make_trial(
    split: str,
    variant: str,
    frames: int,
    depth: float,
    index: int,
    size: tuple[int, int],
    haystacks: int = 40,
) -> Trial:
    """Trial ``index`` of a cell (``frames``, ``depth``): a function of its arguments alone.

    Trials are paired: needle, haystack and the needle's depth are the same in videos of all lengths and, but for
    distractors and the second frame of a change, in all variants of cards, whose numbers are LARGE.

    The needle lies at ``depth`` (0 first, 1 last frame). The frame after a change lies anywhere behind the first, so
    its depth is at most that of the last frame but one; distractors lie beside the needle or at least an eighth of the
    video away.

    Raises InputError if the depth is outside 0 to 1 or the video too short for its frames.
    """
    if not 0 <= depth <= 1 or frames < 8:
        raise InputError(f"a trial needs a depth from 0 to 1 and at least 8 frames; got depth {depth}, {frames} frames")
    name = f"{split}/{variant}/{frames}/{depth:g}/{index}"
    where = ("paired", f"{depth:g}")
    cluster = "/".join(map(str, (split, *where, index)))
    rng = generator("needle", cluster)
    needle = draw_needle(rng, variant, split, size, cluster, LARGE)
    place = round(depth * (frames - 1))
    if variant == "change":
        first = min(place, frames - 2)
        places, others = (first, int(rng.integers(first + 1, frames))), ()
    else:
        places, others = (place,), _other_places(rng, variant, frames, place, len(needle.others))
    # a shuffled deal: the trials of a cell use every haystack equally often
    deal = generator("haystacks", split, *where, index // haystacks).permutation(haystacks)
    return Trial(name, split, needle, frames, depth, int(deal[index % haystacks]), places, others)


def _other_places(rng, variant: str, frames: int, place: int, count: int) -> tuple[int, ...]:
    distance = np.abs(np.arange(frames) - place)
    if variant == "near":
        order = np.lexsort((rng.random(frames), distance))
        return tuple(int(i) for i in order[1 : 1 + count])
    far = np.flatnonzero(distance >= frames / 8)
    return tuple(int(i) for i in rng.choice(far, count, replace=False))


@dataclass(frozen=True)
class FrameDataset:
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
    """A training video: frame numbers of a dataset in the order they are shown, and (question, answer) pairs."""

    frames: tuple[int, ...]
    turns: tuple[tuple[str, str], ...]


def make_dataset(
    folder: Path,
    seed: int,
    size: tuple[int, int],
    haystacks: int = 8,
    shots: int = 500,
    pages: int = 1000,
    pictures: int = 500,
    letters: Lettering = SMALL,
) -> FrameDataset:
    """Write the dataset's video files into ``folder``; those that lie there whole are left alone."""
    files = [make_haystack(folder, "train", 1000 * (seed + 1) + i, shots, size).path for i in range(haystacks)]
    rng = generator("bank", "train", seed)
    numbers = tuple(int(n) for n in 10 + rng.integers(NUMBERS, size=pages))
    drawn = (
        card(generator("bank page", "train", seed, page), number, colour, "train", size, letters)
        for page, number in enumerate(numbers)
        for colour in NAMES
    )
    needles = [draw_needle(rng, "picture", "train", size, "bank") for _ in range(pictures)]
    data = data_hash(("fonts", "icons"))
    described = {"split": "train", "seed": seed, "size": list(size), "encoder": ENCODER, "data": data}
    drawn_as = ""
    if letters != SMALL:  # files of cards that are drawn as ever keep their names and descriptions
        described["letters"], drawn_as = asdict(letters), "-{}-{}-{}".format(*letters.em, letters.varied)
    parts = {"cards": (pages, drawn), "pictures": (pictures, (needle.frames[0] for needle in needles))}
    for name, (count, frames) in parts.items():
        files.append(Path(folder) / f"train-{seed}-{count}-{name}{drawn_as}.mp4")
        write_once(files[-1], {**described, name: count}, frames, size)
    return FrameDataset(tuple(files), haystacks * shots, numbers, tuple(needle.answer for needle in needles))


def draw_clip(
    rng: np.random.Generator, dataset: FrameDataset, length: int, mixture: Mapping[str, float] = MIXTURE
) -> Clip:
    """One training clip of ``length`` frames, at least two.

    The frames around are cut from a stretch of the haystacks, from a random place on; the needles lie anywhere.
    Number clips hold up to three cards of other colours.
    """
    frames = (int(rng.integers(dataset.plain)) + np.arange(length)) % dataset.plain
    variant = choose(rng, mixture)
    if variant == "picture":
        number = int(rng.integers(len(dataset.names)))
        frames[int(rng.integers(length))] = dataset.picture(number)
        question, answer = "name", dataset.names[number]
    elif variant == "change":
        page, colours = int(rng.integers(len(dataset.numbers))), rng.permutation(len(NAMES))[:2]
        frames[np.sort(rng.choice(length, 2, replace=False))] = [dataset.card(page, int(c)) for c in colours]
        question, answer = "change", " ".join(NAMES[c] for c in colours)
    else:
        cards = 1 if variant == "colour" else 1 + int(rng.integers(min(MOST_OTHERS, length - 1) + 1))
        pages, colours = rng.integers(len(dataset.numbers), size=cards), rng.permutation(len(NAMES))[:cards]
        shown = [dataset.card(int(page), int(colour)) for page, colour in zip(pages, colours, strict=True)]
        frames[rng.choice(length, cards, replace=False)] = shown
        name, number = NAMES[colours[0]], str(dataset.numbers[pages[0]])
        question, answer = ("colour", name) if variant == "colour" else (name, number)
    return Clip(tuple(frames.tolist()), ((question, answer),))
