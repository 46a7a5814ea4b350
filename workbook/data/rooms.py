"""Rooms seen from four poses, marks that say which object of one view is which of another, and four kinds of questions.

What each view shows is known exactly: it was found by casting rays (``tools/assets/rooms.py``). Rooms of ``dev`` and
``report`` are never those of ``train``; some of them also hold a combination of kind and colour, or poses, that
training never shows (``held_out``). A question names objects by colour and kind and views by number, never by a mark,
so that it can be answered without marks. No torch.

Coarse correspondences are numbers in discs painted onto the views, the same number for the same object in all of them:
ordinary pictures, as the paper has them. Only a few objects have one, see :attr:`Room.marked`.
"""

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from PIL import Image

from workbook.data import corpora
from workbook.data.items import generator

SIDE, VIEWS = 64, 4
"""Side of a view in pixels; views of a room, in an order going round it."""

SPLITS = {"train": 600, "dev": 100, "report": 160}
"""Split -> rooms."""

KINDS = ("table", "chair", "sofa", "lamp", "shelf", "bed", "plant", "box", "ball")
SEVERAL = ("chair", "box", "ball", "lamp", "plant", "table")
"""Kinds of which a room may have several; of the others one at most."""

COLOURS = ("red", "green", "blue", "yellow", "black")
HELD_OUT = ("room", "combination", "room", "pose")
"""What of a held-out room is new, in turn: the room alone, kind and colour of objects, or the height of the cameras."""

LEAST = 20
"""Pixels from which on a view shows an object well."""

MOST_MARKS = 5
DISC = 4.6
"""Radius of a mark in pixels."""

INKS = ((250, 120, 20), (20, 190, 200), (150, 60, 190), (250, 250, 250), (150, 90, 40))
"""Colour of the disc of each number, none of them an object's: digits are five pixels high."""

DIGITS = ("010110010010111", "110001010100111", "110001010001110", "101101111001001", "111100110001110")
"""1 to 5, each as five rows of three pixels."""

APART, DEEPER = 8, 0.5
"""Columns in pixels, and depths in metres, that two objects must lie apart to be asked about."""

CHANCE = {"count": 1 / 3, "same": 1 / 2, "side": 1 / 2, "depth": 1 / 2}
"""Family of questions -> the score of the best guess: answers are equally often right."""

MOST = {"count": 2, "same": 2, "side": 3, "depth": 3}
"""Family -> most questions about one held-out room."""


def is_held_out(kind: str, colour: str) -> bool:
    """Whether a combination of kind and colour is kept from training: one colour of every kind."""
    return (KINDS.index(kind) + COLOURS.index(colour)) % len(COLOURS) == 0


@dataclass(frozen=True)
class Seen:
    """What a view shows of an object: pixels, where its mark goes (column, row), its mean depth in metres."""

    pixels: int
    column: int
    row: int
    depth: float


@dataclass(frozen=True)
class Question:
    """A question about a room. ``view``: the one that it names first; of a count, any that shows such an object."""

    room: str
    family: str
    words: str
    answer: str
    view: int


@dataclass(frozen=True)
class Room:
    """``looks``: "colour kind" of every object; ``views``: of each view, object -> what it shows of it."""

    id: str
    file: str
    split: str
    held_out: str
    looks: tuple[str, ...]
    views: tuple[Mapping[int, Seen], ...]

    def shown_well(self, view: int) -> set[int]:
        """The objects that a view shows well."""
        return {number for number, seen in self.views[view].items() if seen.pixels >= LEAST}

    @property
    def marked(self) -> tuple[int, ...]:
        """The objects that get a mark: shown well by at least two views, those by most views first, then the largest.

        At most MOST_MARKS of them; a mark is painted in every view that shows its object well.
        """

        def rank(number: int) -> tuple[int, int]:
            shown = [view[number].pixels for view in self.views if number in view and view[number].pixels >= LEAST]
            return len(shown), sum(shown)

        several = [number for number in range(len(self.looks)) if rank(number)[0] >= 2]
        return tuple(sorted(several, key=rank, reverse=True)[:MOST_MARKS])

    def pictures(self) -> list[Image.Image]:
        """The views, RGB."""
        with Image.open(io.BytesIO(_archive().read(self.file))) as strip:
            whole = strip.convert("RGB")
        return [whole.crop((SIDE * n, 0, SIDE * (n + 1), SIDE)) for n in range(VIEWS)]

    def marked_pictures(self, rng: np.random.Generator, wrong: bool = False) -> list[Image.Image]:
        """The views with marks; which object has which number is drawn, if ``wrong`` anew for every view."""
        pictures, order = self.pictures(), rng.permutation(MOST_MARKS)
        for view, picture in enumerate(pictures):
            order = rng.permutation(MOST_MARKS) if wrong else order
            for place, number in enumerate(self.marked):
                if number in self.shown_well(view):
                    seen = self.views[view][number]
                    paint_mark(picture, (seen.column, seen.row), int(order[place]))
        return pictures

    def questions(self, rng: np.random.Generator) -> dict[tuple[str, str], list[Question]]:
        """(family, answer) -> all questions that are well posed; in which order two objects are named is drawn."""
        found = defaultdict(list)
        for family, words, answer, view in (*self._counts(rng), *self._same(), *self._pairs(rng)):
            found[family, answer].append(Question(self.id, family, words, answer, view))
        return found

    def _counts(self, rng: np.random.Generator) -> Iterator[tuple[str, str, str, int]]:
        """How many objects of a look there are in the room: every object is shown well by some view."""
        for look in sorted(set(self.looks)):
            own = {number for number, other in enumerate(self.looks) if other == look}
            showing = [view for view in range(VIEWS) if own & self.shown_well(view)]
            if look.split()[1] in SEVERAL:
                yield "count", f"count {look}", str(len(own)), showing[int(rng.integers(len(showing)))]

    def _same(self) -> Iterator[tuple[str, str, str, int]]:
        """Whether the one object of a look in a view is the one in another view, where the room has several, marked."""
        for first, second in combinations(range(VIEWS), 2):
            here, there = self._alone(first), self._alone(second)
            for look in sorted(here.keys() & there.keys()):
                if self.looks.count(look) > 1 and {here[look], there[look]} <= set(self.marked):
                    answer = "yes" if here[look] == there[look] else "no"
                    yield "same", f"same {look} {first + 1} {second + 1}", answer, first

    def _pairs(self, rng: np.random.Generator) -> Iterator[tuple[str, str, str, int]]:
        """Which of two objects of a view is further left, and which is nearer."""
        for view in range(VIEWS):
            alone = self._alone(view)
            for pair in combinations(sorted(alone), 2):
                one, other = (pair[int(i)] for i in rng.permutation(2))
                a, b = self.views[view][alone[one]], self.views[view][alone[other]]
                words = f"{one}, {other} {view + 1}"
                if abs(a.column - b.column) >= APART:
                    yield "side", f"side {words}", "left" if a.column < b.column else "right", view
                if abs(a.depth - b.depth) >= DEEPER:
                    yield "depth", f"depth {words}", "nearer" if a.depth < b.depth else "farther", view

    def _alone(self, view: int) -> dict[str, int]:
        """Look -> the object that a view shows well, where it shows no other of that look, not even a little."""
        shown = [self.looks[number] for number in self.views[view]]
        return {self.looks[n]: n for n in sorted(self.shown_well(view)) if shown.count(self.looks[n]) == 1}


def paint_mark(picture: Image.Image, at: tuple[int, int], number: int) -> None:
    """Paint mark ``number`` (from 0), moved inside the picture where its disc would leave it."""
    x, y = (min(max(c, int(DISC)), SIDE - 1 - int(DISC)) for c in at)
    pixels = np.array(picture)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    far = np.hypot(columns - x, rows - y)
    pixels[far <= DISC] = 0
    pixels[far <= DISC - 0.9] = INKS[number]
    digit = np.array([int(bit) for bit in DIGITS[number]], bool).reshape(5, 3)
    pixels[y - 2 : y + 3, x - 1 : x + 2][digit] = 0
    picture.paste(Image.fromarray(pixels))


@cache
def _archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(corpora.read("rooms.zip")))


@cache
def rooms(split: str) -> tuple[Room, ...]:
    """The rooms of a split, in order."""
    entries = map(json.loads, corpora.read("rooms.jsonl").decode("utf-8").splitlines())
    return tuple(room_of(entry) for entry in entries if entry["split"] == split)


def room_of(entry: Mapping) -> Room:
    """A room from its line of ``rooms.jsonl``, which docs/data.md describes."""
    looks = tuple(f"{colour} {kind}" for kind, colour, *_ in entry["objects"])
    views = tuple({int(number): Seen(*rest) for number, *rest in view} for view in entry["views"])
    return Room(entry["id"], entry["file"], entry["split"], entry.get("held_out", ""), looks, views)


def held_out_questions(split: str, count: int) -> list[Question]:
    """Questions about the first ``count`` held-out rooms, of each family equally many of every answer.

    Also among the rooms of each kind of ``held_out``; at most MOST a room and family. Drawn once and for all.
    """
    groups = defaultdict(lambda: defaultdict(list))
    for room in rooms(split)[:count]:
        rng = generator("room questions", room.id)
        for (family, answer), found in room.questions(rng).items():
            order = rng.permutation(len(found))[: MOST[family]]
            groups[family, room.held_out][answer] += [found[int(i)] for i in order]
    chosen = []
    for (family, held_out), by_answer in sorted(groups.items()):
        fewest = min(map(len, by_answer.values())) if len(by_answer) == round(1 / CHANCE[family]) else 0
        rng = generator("room questions", split, family, held_out)
        for _, found in sorted(by_answer.items()):
            chosen += [found[int(i)] for i in sorted(rng.permutation(len(found))[:fewest])]
    return chosen


def draw_questions(rng: np.random.Generator, room: Room, count: int, view: int | None = None) -> list[Question]:
    """At most ``count`` training questions about a room: each of a family, then of an answer, evenly drawn.

    ``view``: they name this view first; None: any.
    """
    asked = room.questions(rng).items()
    found = {key: own for key, all_ in asked if (own := [one for one in all_ if view in (None, one.view)])}
    chosen, families = [], list(CHANCE)
    for _ in range(count):
        family = families[int(rng.integers(len(families)))]
        if answers := sorted(answer for name, answer in found if name == family):
            same = found[family, answers[int(rng.integers(len(answers)))]]
            chosen.append(same[int(rng.integers(len(same)))])
    return list(dict.fromkeys(chosen))
