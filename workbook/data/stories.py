"""Short films with seven questions each, made from the shipped stills and encoded as real MP4 files.

A story shows, in any order: one to four cards in differently coloured frames, of which one is a sign with a two-digit
number and the others hold clip art; an icon that moves across a plain page; and photographs, panned a little. What is
seen depends on (split, length, index) alone. Fonts, icon style, clip art and photographs of a split are its own; the
names of icons are not, since a model can only answer names that it was taught.

A scene is several views: windows, each overlapping the next, that pan along a wide page with cards of the same kinds
side by side. A card near the edge of a window is seen again, or only in part, in the next one, so counting the cards of
every view is not counting the cards of the scene. It depends on (split, index) alone.

To train on, segments lie in a dataset of real MP4 files, from which any number of stories is put together. Frames do
not see each other before the language model, so features of a dataset are computed once, and a training story is a list
of frame numbers. No torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from workbook.data import corpora, splits
from workbook.data.haystacks import ENCODER, photos, write_once
from workbook.data.items import ICON_NAMES, generator, pick_object
from workbook.data.needles import COLOURS, NUMBERS, Clip, framed
from workbook.data.pictures import draw_text, paper, place, scaled, text_extent
from workbook.data.text_tasks import draw_face

SIZE = (96, 96)
"""(height, width) of the files in pixels; arms see them at smaller sizes."""

BORDER = SIZE[0] // 12
INSIDE = SIZE[0] - 2 * BORDER
"""Side of what is inside a card's coloured frame."""

LENGTHS = {"short": 8, "long": 24}
"""Frames of a story."""

QUESTIONS = {
    "what": "name",  # of the icon
    "when": "when",  # the third of the video that shows the sign
    "order": "order",  # the colours of the first two cards; stories of one card have no such question
    "move": "move",  # where the icon moves
    "colour": "colour",  # of the sign's frame
    "sign": "read",  # its number
    "count": "count",  # of cards
}
"""Kind of question -> its words."""

FINE, COARSE = ("what", "sign"), ("when", "order", "move", "colour", "count")
"""Questions that need detail within a frame, and those that do not."""

MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
PARTS = ("early", "middle", "late")
MOST_CARDS = 4
LEAST_MOVING = 3
PATH = 5
"""Places on an icon's way that a training dataset holds."""

PAN = 3
"""Frames of a photograph in a dataset."""


@dataclass(frozen=True)
class Segment:
    """A run of frames: ``kind`` sign, card, object or photo; ``detail``: the card's colour, the object's direction."""

    kind: str
    frames: int
    detail: str = ""


def story_facts(segments: Sequence[Segment], name: str, number: str) -> dict[str, str]:
    """Kind of question -> true answer, for segments in order, an icon of that ``name``, a sign with that ``number``."""
    cards = [s for s in segments if s.kind in ("sign", "card")]
    sign = next(s for s in cards if s.kind == "sign")
    before = sum(s.frames for s in segments[: segments.index(sign)])
    middle = (before + sign.frames / 2) / sum(s.frames for s in segments)
    found = {
        "what": name,
        "when": PARTS[min(len(PARTS) - 1, int(middle * len(PARTS)))],
        "move": next(s.detail for s in segments if s.kind == "object"),
        "colour": sign.detail,
        "sign": number,
        "count": str(len(cards)),
    }
    return found if len(cards) < 2 else found | {"order": f"{cards[0].detail} {cards[1].detail}"}


@dataclass(frozen=True)
class Story:
    """A story on disk and the true answer to each kind of question."""

    id: str
    split: str
    path: Path
    frames: int
    segments: tuple[Segment, ...]
    facts: Mapping[str, str]


def chance(kind: str, split: str) -> float:
    """The score of the best guess without looking. Icons: one over the names of the split."""
    orders = MOST_CARDS * (MOST_CARDS - 1)
    names = ICON_NAMES if split == "train" else ICON_NAMES / 2
    return 1 / {"what": names, "when": 3, "order": orders, "move": 4, "colour": 4, "sign": NUMBERS, "count": 4}[kind]


def plan_story(rng: np.random.Generator, frames: int) -> tuple[Segment, ...]:
    """Draw the segments of a story of at least ``MOST_CARDS + LEAST_MOVING`` frames."""
    cards = int(rng.integers(1, MOST_CARDS + 1))
    colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:cards]]
    parts = [["sign" if i == 0 else "card", 1, colour] for i, colour in enumerate(colours)]
    parts.append(["object", LEAST_MOVING, list(MOVES)[int(rng.integers(len(MOVES)))]])
    spare = frames - cards - LEAST_MOVING
    stills = min(spare, int(rng.integers(1, 3)))
    parts += [["photo", 1, ""] for _ in range(stills)]
    for chosen in rng.integers(len(parts), size=spare - stills):
        parts[int(chosen)][1] += 1
    return tuple(Segment(*parts[int(i)]) for i in rng.permutation(len(parts)))


def make_story(folder: Path, split: str, length: str, index: int) -> Story:
    """Story ``index`` of a split, its file written unless it lies there whole. ``length``: a name in LENGTHS."""
    name, frames = f"{split}/{length}/{index}", LENGTHS[length]
    rng = generator("story", name)
    segments = plan_story(rng, frames)
    pictures, known = [], {}
    for segment in segments:
        drawn, fact = draw_segment(rng, segment, split)
        pictures, known = pictures + drawn, known | fact
    path = Path(folder) / split / length / f"{index}.mp4"
    described = {"story": name, "frames": frames, "size": list(SIZE), "encoder": ENCODER, **known}
    write_once(path, described, pictures, SIZE)
    return Story(name, split, path, frames, segments, story_facts(segments, **known))


def draw_segment(rng: np.random.Generator, segment: Segment, split: str) -> tuple[list[Image.Image], dict[str, str]]:
    """The frames of a segment, and what it adds to the facts: an object its ``name``, a sign its ``number``."""
    if segment.kind == "sign":
        number = int(10 + rng.integers(NUMBERS))
        return [draw_sign(rng, number, segment.detail, split)] * segment.frames, {"number": str(number)}
    if segment.kind == "card":
        return [draw_card(rng, segment.detail, split)] * segment.frames, {}
    if segment.kind == "object":
        return draw_path(rng, segment.detail, segment.frames, split)
    return draw_photo(rng, segment.frames, split), {}


def draw_sign(rng: np.random.Generator, number: int, colour: str, split: str) -> Image.Image:
    """A number of about half the frame's width, anywhere inside a coloured frame."""
    page, ink = framed(rng, SIZE, colour, BORDER)
    face = draw_face(rng, split, 40, 56)
    _, _, width, height = text_extent(face, str(number))
    left, top = place(rng, (INSIDE, INSIDE), (height, width))
    draw_text(ImageDraw.Draw(page), (left + BORDER, top + BORDER), str(number), face, ink)
    return page


def draw_card(rng: np.random.Generator, colour: str, split: str) -> Image.Image:
    """A clip art inside a coloured frame."""
    page, _ = framed(rng, SIZE, colour, BORDER)
    items = _clipart(split)
    thing = corpora.load("clipart").image(items[int(rng.integers(len(items)))])
    return _pasted(page, thing, rng.uniform(0.6, 0.9) * INSIDE, (0.5, 0.5))


def draw_path(
    rng: np.random.Generator, direction: str, frames: int, split: str
) -> tuple[list[Image.Image], dict[str, str]]:
    """An icon, half as wide as the frame, that moves in a straight line from one edge to the other, and its name."""
    item, name, _ = pick_object(rng, "icon", split)
    (x, y), side, across = MOVES[direction], rng.uniform(0.45, 0.6), rng.uniform(0.35, 0.65)
    page, _ = paper(rng, SIZE)
    pictures = []
    for i in range(frames):
        along = 0.5 + (i / (frames - 1) - 0.5) * 0.7 * (x + y)
        centre = (along, across) if x else (across, along)
        pictures.append(_pasted(page.copy(), corpora.load("icons").image(item), side * SIZE[0], centre))
    return pictures, {"name": name}


def draw_photo(rng: np.random.Generator, frames: int, split: str) -> list[Image.Image]:
    """A photograph seen through a window that moves a little."""
    items = photos(split)
    picture = corpora.load("photos").image(items[int(rng.integers(len(items)))]).convert("RGB")
    share, start, step = rng.uniform(0.5, 0.9), rng.uniform(0, 1, 2), rng.uniform(-0.1, 0.1, 2)
    side = share * min(picture.size)
    found = []
    for i in range(frames):
        at = np.clip(start + i * step, 0, 1)
        left, top = at[0] * (picture.width - side), at[1] * (picture.height - side)
        box = (left, top, left + side, top + side)
        found.append(picture.resize(SIZE[::-1], Image.Resampling.BICUBIC, box=box))
    return found


def _pasted(page: Image.Image, thing: Image.Image, side: float, centre: tuple[float, float]) -> Image.Image:
    """``thing``, its longer side ``side`` pixels, with its centre at (x, y), shares of the page's sides."""
    drawn = scaled(thing, side / max(thing.size))
    at = [round(share * whole - own / 2) for share, whole, own in zip(centre, page.size, drawn.size, strict=True)]
    page.paste(drawn, tuple(at), drawn)
    return page


@cache
def _clipart(split: str) -> list[corpora.Item]:
    return splits.choose("concept", split, corpora.load("clipart").items, key=lambda item: item.title)


VIEWS = 4
STEP = 64
"""Pixels between two windows; each is as wide as a story's frame, 96 pixels, so neighbours share a third."""

CARD = 58
"""Side of a card in pixels; the scene has room for four."""

KINDS = ("order", "colour", "sign", "count")
"""What is asked, as of stories; the first two cards are those on the left."""


@dataclass(frozen=True)
class Scene:
    """``views`` from left to right, and kind of question -> true answer; scenes of one card have no order."""

    id: str
    views: tuple[Image.Image, ...]
    facts: dict[str, str]

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """(question, answer) pairs."""
        return tuple((QUESTIONS[kind], self.facts[kind]) for kind in KINDS if kind in self.facts)


def make_scene(split: str, index: int) -> Scene:
    """Scene ``index`` of a split."""
    name = f"{split}/scene/{index}"
    rng = generator("scene", name)
    cards = int(rng.integers(1, MOST_CARDS + 1))
    colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:cards]]
    sign = int(rng.integers(cards))
    width = SIZE[1] + STEP * (VIEWS - 1)
    page, _ = paper(rng, (SIZE[0], width))
    slots = sorted(int(i) for i in rng.choice(MOST_CARDS, cards, replace=False))
    known = {}
    for i, (slot, colour) in enumerate(zip(slots, colours, strict=True)):
        [drawn], facts = draw_segment(rng, Segment("sign" if i == sign else "card", 1, colour), split)
        known |= facts
        spare = width // MOST_CARDS - CARD
        left = slot * (width // MOST_CARDS) + int(rng.integers(spare + 1))
        top = int(rng.integers(2, SIZE[0] - CARD - 1))
        page.paste(drawn.resize((CARD, CARD), Image.Resampling.BICUBIC), (left, top))
    facts = {"colour": colours[sign], "sign": known["number"], "count": str(cards)}
    if cards > 1:
        facts["order"] = f"{colours[0]} {colours[1]}"
    windows = [(i * STEP, 0, i * STEP + SIZE[1], SIZE[0]) for i in range(VIEWS)]
    return Scene(name, tuple(page.crop(window) for window in windows), facts)


@dataclass(frozen=True)
class DatasetSizes:
    """How much a dataset holds: signs and cards of each colour, icons' ways in each direction, photographs."""

    signs: int = 600
    cards: int = 50
    paths: int = 100
    photos: int = 150


@dataclass(frozen=True)
class VideoDataset:
    """The frames of ``files``, which are the parts of a dataset in order.

    ``facts``: part -> what is to know of each thing in it, the number on a sign or the name of an icon.
    """

    files: tuple[Path, ...]
    sizes: DatasetSizes
    facts: Mapping[str, Sequence[str]]

    def frames(self, rng: np.random.Generator, segment: Segment) -> tuple[list[int], dict[str, str]]:
        """Frame numbers of a segment, its content drawn by ``rng``, and what it adds to the story's facts."""
        parts, wanted = dataset_parts(self.sizes), (segment.kind, segment.detail)
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


def draw_story(rng: np.random.Generator, dataset: VideoDataset, frames: int) -> Clip:
    """One training story of ``frames`` frames with all its questions."""
    segments = plan_story(rng, frames)
    shown, known = [], {}
    for segment in segments:
        numbers, facts = dataset.frames(rng, segment)
        shown, known = shown + numbers, known | facts
    facts = story_facts(segments, **known)
    return Clip(tuple(shown), tuple((QUESTIONS[kind], facts[kind]) for kind in QUESTIONS if kind in facts))


def draw_single(rng: np.random.Generator, dataset: VideoDataset, kind: str) -> Clip:
    """The first thing a reader learns: one sign (``kind`` "sign", one frame) or one icon's way ("object", PATH frames).

    Asked for what a story would ask about it: number and colour, or name and direction.
    """
    details, length, asked = (COLOURS, 1, ("sign", "colour")) if kind == "sign" else (MOVES, PATH, ("what", "move"))
    segment = Segment(kind, length, list(details)[int(rng.integers(len(details)))])
    frames, facts = dataset.frames(rng, segment)
    turns = zip((QUESTIONS[a] for a in asked), (*facts.values(), segment.detail), strict=True)
    return Clip(tuple(frames), tuple(turns))


def dataset_parts(sizes: DatasetSizes) -> dict[str, tuple[int, Segment]]:
    """Name of a dataset's file -> how many things it holds and what one of them is; in order of the files.

    Each file can be written by itself.
    """
    signs = {f"sign-{colour}": (sizes.signs, Segment("sign", 1, colour)) for colour in COLOURS}
    cards = {f"card-{colour}": (sizes.cards, Segment("card", 1, colour)) for colour in COLOURS}
    paths = {f"path-{direction}": (sizes.paths, Segment("object", PATH, direction)) for direction in MOVES}
    return {**signs, **cards, **paths, "photos": (sizes.photos, Segment("photo", PAN))}


def write_part(folder: Path, seed: int, sizes: DatasetSizes, part: str) -> tuple[Path, list[str]]:
    """Write one file of a dataset unless it lies there whole; its path, and the numbers or names in it."""
    count, thing = dataset_parts(sizes)[part]

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


def make_dataset(folder: Path, seed: int, sizes: DatasetSizes) -> VideoDataset:
    """The dataset of a seed, every file written that is not there."""
    parts = dataset_parts(sizes)
    files, facts = zip(*(write_part(folder, seed, sizes, part) for part in parts), strict=True)
    return VideoDataset(files, sizes, dict(zip(parts, facts, strict=True)))
