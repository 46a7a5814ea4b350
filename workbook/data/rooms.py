"""Rooms seen from four poses, marks that say which object of one view is which of another, and questions about views.

What each view shows is known exactly: it was found by casting rays (``tools/assets/rooms.py``). Rooms of ``dev`` and
``report`` are never those of ``train``; some of them also hold a combination of kind and colour, or poses, that
training never shows (``held_out``). A question comes with the views that it is about and names objects by their colour,
never by a mark, so that it can be answered without marks. No torch.

Coarse correspondences are numbers in discs painted onto the views, the same number for the same object in all of them:
ordinary pictures, as the paper has them. Only a few objects have one, see :attr:`Room.marked`.
"""

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations

import numpy as np
from PIL import Image

from workbook.data import corpora
from workbook.data.items import generator

SIDE, VIEWS = 64, 4
"""Side of a view in pixels; views of a room, in an order going round it."""

SEVERAL = ("chair", "box", "ball", "lamp", "plant", "table")
"""Kinds of which a room may have several; of the others one at most."""

COLOURS = ("red", "green", "blue", "yellow", "black")

LEAST = 20
"""Pixels from which on a view shows an object well."""

MOST_MARKS = 5
DISC = 5.0
"""Radius of a mark in pixels."""

INKS = ((255, 0, 255), (0, 255, 255), (255, 255, 255), (255, 140, 0), (150, 80, 20))
"""Colour of the disc of each number, none of them an object's: digits are five pixels high."""

DIGITS = ("010110010010111", "110001010100111", "110001010001110", "101101111001001", "111100110001110")
"""1 to 5, each as five rows of three pixels."""

APART, DEEPER = 8, 0.5
"""Columns in pixels, and depths in metres, by which an object must be beyond the others to be asked for."""

ANSWERS = {
    "see": ("yes", "no"),
    "kind": SEVERAL,
    "side": COLOURS,
    "depth": COLOURS,
    "again": ("yes", "no"),
    "same": ("yes", "no"),
    "count": ("1", "2", "3"),
}
"""Family of questions -> its answers, each equally often right: chance is one over their number."""

OF_VIEWS = {1: ("see", "kind", "side", "depth"), 2: ("again", "same"), VIEWS: ("count",)}
"""How many views a question is about, and with how many it is shown -> families."""

MOST = {"same": 2, "count": 2}
"""Family -> most questions of one answer about one held-out room; of the others one."""


@dataclass(frozen=True)
class Seen:
    """What a view shows of an object: pixels, where its mark goes (column, row), its mean depth in metres."""

    pixels: int
    column: int
    row: int
    depth: float


@dataclass(frozen=True)
class Question:
    """A question about some ``views`` of a room, in that order."""

    room: str
    family: str
    words: str
    answer: str
    views: tuple[int, ...]


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

    @cached_property
    def questions(self) -> Mapping[tuple[str, str], tuple[Question, ...]]:
        """(family, answer) -> all questions that are well posed."""
        found = defaultdict(list)
        for family, words, answer, *views in (*self._of_a_view(), *self._of_two(), *self._counts()):
            found[family, answer].append(Question(self.id, family, words, answer, tuple(views)))
        return {key: tuple(own) for key, own in found.items() if key[1] in ANSWERS[key[0]]}

    def _of_a_view(self) -> Iterator[tuple]:
        """Whether a view shows a colour, of what kind its one object is; the colour furthest left, right, near, far."""
        for view, seen in enumerate(self.views):
            well, shown = self.shown_well(view), {self._colour(number) for number in seen}
            for colour in COLOURS:
                if colour not in shown or any(self._colour(number) == colour for number in well):
                    yield "see", f"see {colour}", "yes" if colour in shown else "no", view
            for colour, number in self._alone(view).items():
                yield "kind", f"kind {colour}", self.looks[number].split()[1], view
            if len(well) < 2:
                continue
            columns, depths = {n: seen[n].column for n in well}, {n: seen[n].depth for n in well}
            for family, word, place, least in (
                ("side", "left", {n: -column for n, column in columns.items()}, APART),
                ("side", "right", columns, APART),
                ("depth", "near", {n: -depth for n, depth in depths.items()}, DEEPER),
                ("depth", "far", depths, DEEPER),
            ):
                *_, second, first = sorted(well, key=place.get)
                if place[first] - place[second] >= least and self._colour(first) != self._colour(second):
                    yield family, word, self._colour(first), view

    def _of_two(self) -> Iterator[tuple]:
        """Whether the one object of a colour in the first view is among those of the second.

        Family ``same`` where the second view shows that colour and the room has several objects of it, all of them that
        the two views show marked: then the colour does not tell. Else ``again``.
        """
        for first, second in permutations(range(VIEWS), 2):
            for colour, number in self._alone(first).items():
                others = {other for other in self.views[second] if self._colour(other) == colour}
                if number in self.shown_well(second) or number not in others:
                    told = not others or len(self._of(colour)) == 1
                    if told or {number, *others} <= set(self.marked):
                        answer = "yes" if number in others else "no"
                        yield "again" if told else "same", f"same {colour}", answer, first, second

    def _counts(self) -> Iterator[tuple]:
        """How many objects of a colour there are in the room: some view shows each of them well."""
        for colour in COLOURS:
            yield "count", f"count {colour}", str(len(self._of(colour))), *range(VIEWS)

    def _colour(self, number: int) -> str:
        return self.looks[number].split()[0]

    def _of(self, colour: str) -> set[int]:
        return {number for number in range(len(self.looks)) if self._colour(number) == colour}

    def _alone(self, view: int) -> dict[str, int]:
        """Colour -> the object that a view shows well, where it shows no other of that colour, not even a little."""
        shown = [self._colour(number) for number in self.views[view]]
        return {self._colour(n): n for n in sorted(self.shown_well(view)) if shown.count(self._colour(n)) == 1}


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

    Also among the rooms of each kind of ``held_out``; at most MOST a room, family and answer. Drawn once and for all.
    """
    groups = defaultdict(lambda: defaultdict(list))
    for room in rooms(split)[:count]:
        rng = generator("room questions", room.id)
        for (family, answer), found in room.questions.items():
            order = rng.permutation(len(found))[: MOST.get(family, 1)]
            groups[family, room.held_out][answer] += [found[int(i)] for i in order]
    chosen = []
    for (family, held_out), by_answer in sorted(groups.items()):
        fewest = min(len(by_answer[answer]) for answer in ANSWERS[family])
        rng = generator("room questions", split, family, held_out)
        for _, found in sorted(by_answer.items()):
            chosen += [found[int(i)] for i in sorted(rng.permutation(len(found))[:fewest])]
    return chosen


def draw_questions(rng: np.random.Generator, room: Room, count: int, families: Sequence[str]) -> list[Question]:
    """A training question about a room and others, at most ``count``, about the same views; may be empty.

    Of each a family is drawn, then an answer, then the question; where there is none it is left out.
    """
    chosen: list[Question] = []
    for _ in range(count):
        family = families[int(rng.integers(len(families)))]
        answer = ANSWERS[family][int(rng.integers(len(ANSWERS[family])))]
        asked = room.questions.get((family, answer), ())
        if found := [one for one in asked if not chosen or one.views == chosen[0].views]:
            chosen.append(found[int(rng.integers(len(found)))])
    return list(dict.fromkeys(chosen))
