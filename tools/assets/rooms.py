"""Rooms with furniture from boxes, cylinders, spheres and cones, each seen from four poses, by exact ray casting.

    python -m tools.assets.rooms [--output FOLDER]

writes ``rooms.zip`` (a strip of the four views of each room) and ``rooms.jsonl.xz`` (what is in it and what each view
shows). Needs the ``rooms`` extra: trimesh and embreex, which cast rays on a CPU without any graphics driver. Everything
is a function of (split, index); no material of others is used.

Lengths are metres: x and y along the walls from one corner, z up. A ray that leaves the camera ends on the first
triangle it meets: that gives the colour, the object's number and, from the triangle's plane in double precision, the
depth along the camera's axis.
"""

import argparse
import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import combinations, count
from math import dist, pi
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.creation import box, cone, cylinder, icosphere
from trimesh.ray.ray_pyembree import RayMeshIntersector

from workbook.data import corpora
from workbook.data.items import generator
from workbook.data.rooms import COLOURS, SEVERAL, SIDE, VIEWS, Room, room_of

from .held_out import HELD_OUT, SPLITS, is_held_out
from .store import pack, write_corpus, write_sums

ASSETS = corpora.assets_folder()
FINER = 2
"""Rays a pixel along each side."""
FIELD = 52.0
"""Degrees that a view spans along each side."""
QUALITY = 40
HEIGHT = 2.5
WOOD, METAL, LEAVES, CLOTH = (120, 85, 55), (70, 70, 75), (40, 95, 45), (235, 235, 230)
LIGHT = np.array([0.35, 0.2, 0.91])
RGB = {
    "red": (205, 45, 40), "green": (60, 170, 60), "blue": (45, 80, 210), "yellow": (235, 200, 45), "black": (45, 45, 48)
}  # fmt: skip
RADIUS = {
    "table": 0.72, "chair": 0.42, "sofa": 0.95, "lamp": 0.4, "shelf": 0.55,
    "bed": 1.1, "plant": 0.38, "box": 0.46, "ball": 0.38,
}  # fmt: skip
"""Of the circle on the floor that an object keeps free of others."""
ALIKE = {2: 2.6, 3: 1.8}
"""How many objects look the same -> their least distance, so that some views show one of them only."""


Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Thing:
    """One object: where it stands on the floor and how it is turned about the vertical, in radians."""

    kind: str
    colour: str
    place: tuple[float, float]
    turn: float


@dataclass(frozen=True)
class Pose:
    """Where a camera stands and what point it looks at."""

    camera: tuple[float, float, float]
    target: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """A room: its sides along x and y, the colours of floor and four walls, its objects."""

    size: tuple[float, float]
    paint: tuple[tuple[int, int, int], ...]
    things: tuple[Thing, ...]


Part = tuple[trimesh.Trimesh, np.ndarray]
"""A shape and the colours of its faces."""


def part(shape: trimesh.Trimesh, at: tuple[float, float, float], colour: Colour) -> Part:
    """A primitive moved to ``at``, and the colour of its faces."""
    shape.apply_translation(at)
    return shape, np.tile(np.asarray(colour, float), (len(shape.faces), 1))


def legs(width: float, depth: float, height: float, colour: Colour) -> Iterator[Part]:
    """Four legs under a board."""
    for x in (-1, 1):
        for y in (-1, 1):
            yield part(box((0.09, 0.09, height)), (x * (width / 2 - 0.06), y * (depth / 2 - 0.06), height / 2), colour)


def furniture(kind: str, colour: Colour) -> Iterator[Part]:
    """The parts of an object of a kind, around the origin of the floor, its front towards -y."""
    dark = tuple(0.6 * c for c in colour)
    if kind == "table":
        yield part(box((1.15, 0.8, 0.1)), (0, 0, 0.72), colour)
        yield from legs(1.1, 0.75, 0.7, dark)
    elif kind == "chair":
        yield part(box((0.55, 0.55, 0.1)), (0, 0, 0.48), colour)
        yield part(box((0.55, 0.1, 0.6)), (0, 0.23, 0.83), colour)
        yield from legs(0.55, 0.55, 0.45, dark)
    elif kind == "sofa":
        yield part(box((1.6, 0.8, 0.42)), (0, 0, 0.21), colour)
        yield part(box((1.6, 0.25, 0.85)), (0, 0.3, 0.42), colour)
        for x in (-0.72, 0.72):
            yield part(box((0.2, 0.82, 0.6)), (x, 0, 0.3), dark)
    elif kind == "lamp":
        yield part(cylinder(0.24, 0.06, sections=16), (0, 0, 0.03), METAL)
        yield part(cylinder(0.045, 1.2, sections=8), (0, 0, 0.6), METAL)
        yield part(cone(0.4, 0.6, sections=16), (0, 0, 1.1), colour)
    elif kind == "shelf":
        yield part(box((0.99, 0.06, 1.7)), (0, 0.18, 0.85), dark)
        for x in (-0.45, 0.45):
            yield part(box((0.08, 0.4, 1.7)), (x, 0, 0.85), colour)
        for z in (0.05, 0.6, 1.15, 1.68):
            yield part(box((0.95, 0.4, 0.08)), (0, 0, z), colour)
    elif kind == "bed":
        yield part(box((1.1, 1.9, 0.25)), (0, 0, 0.15), WOOD)
        yield part(box((1.05, 1.4, 0.22)), (0, -0.24, 0.38), colour)
        yield part(box((1.05, 0.5, 0.2)), (0, 0.68, 0.37), CLOTH)
        yield part(box((1.15, 0.1, 0.95)), (0, 0.95, 0.47), WOOD)
    elif kind == "plant":
        yield part(cylinder(0.28, 0.5, sections=16), (0, 0, 0.25), colour)
        for x, y, z, r in (
            (0, 0, 1.0, 0.3),
            (0.18, 0.1, 0.78, 0.25),
            (-0.18, 0.05, 0.82, 0.25),
            (0, -0.18, 0.75, 0.22),
        ):
            yield part(icosphere(1, r), (x, y, z), LEAVES)
    elif kind == "box":
        yield part(box((0.65, 0.65, 0.6)), (0, 0, 0.3), colour)
        yield part(box((0.67, 0.12, 0.62)), (0, 0, 0.31), dark)
    elif kind == "ball":
        yield part(icosphere(2, 0.36), (0, 0, 0.36), colour)


Triangles = tuple[np.ndarray, np.ndarray]
"""Corners (n, 3, 3) of triangles and their colours (n, 3)."""


def joined(parts: Iterable[Part]) -> Triangles:
    """The triangles of parts."""
    shapes, colours = zip(*parts, strict=True)
    return np.concatenate([shape.triangles for shape in shapes]), np.concatenate(colours)


@cache
def model_of(kind: str, colour: str) -> Triangles:
    """The triangles of an object of a kind and colour."""
    return joined(furniture(kind, RGB[colour]))


def shell(scene: Scene) -> Iterator[Part]:
    """Floor and walls, each of its own colour, a window in one wall and a door in another."""
    (w, d), (floor, *walls) = scene.size, scene.paint
    yield part(box((w, d, 0.1)), (w / 2, d / 2, -0.05), floor)
    for n, paint in enumerate(walls):
        along, thin = (d, n * w) if n < 2 else (w, (n - 2) * d)
        size = (0.02, along, HEIGHT) if n < 2 else (along, 0.02, HEIGHT)
        yield part(box(size), (thin, d / 2, HEIGHT / 2) if n < 2 else (w / 2, thin, HEIGHT / 2), paint)
    yield part(box((0.06, 1.3, 1.0)), (0, d / 2, 1.55), (190, 225, 250))
    yield part(box((0.9, 0.06, 2.0)), (w / 2, d, 1.0), WOOD)


View = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Colours (n, n, 3), owners and depths (n, n) of n² rays."""


class Cast:
    """The triangles of a room, ready for rays; ``owner`` of a face: the object's number, -1 for the room itself."""

    def __init__(self, scene: Scene):
        corners, paint = joined(shell(scene))
        parts, paints, owners = [corners], [paint], [np.full(len(paint), -1)]
        for number, thing in enumerate(scene.things):
            corners, paint = model_of(thing.kind, thing.colour)
            cos, sin = np.cos(thing.turn), np.sin(thing.turn)
            turned = corners @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + (*thing.place, 0.0)
            parts, paints = [*parts, turned], [*paints, paint]
            owners.append(np.full(len(paint), number))
        self.corners, self.paint, self.owner = map(np.concatenate, (parts, paints, owners))
        normal = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        faces = np.arange(3 * len(self.corners)).reshape(-1, 3)
        self.rays = RayMeshIntersector(trimesh.Trimesh(self.corners.reshape(-1, 3), faces, process=False))

    def view(self, pose: Pose, side: int) -> View:
        """What a camera sees by ``side`` squared rays: colours (side, side, 3), owners and depths (side, side)."""
        forward = np.subtract(pose.target, pose.camera)
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0, 0, 1))
        right /= np.linalg.norm(right)
        steps = (np.arange(side) + 0.5) / side * 2 - 1
        reach = np.tan(np.radians(FIELD / 2)) * steps
        rays = forward + reach[None, :, None] * right - reach[:, None, None] * np.cross(right, forward)
        rays = rays.reshape(-1, 3)
        origins = np.broadcast_to(np.asarray(pose.camera, float), rays.shape)
        hit = self.rays.intersects_first(origins, rays)
        normal, on = self.normal[hit], self.corners[hit, 0]
        # rays reach one metre along the axis, so this is the depth along it
        depth = ((on - origins) * normal).sum(1) / (rays * normal).sum(1)
        depth[hit < 0] = np.inf
        facing = np.abs((rays * normal).sum(1)) / np.linalg.norm(rays, axis=1)
        bright = 0.45 + 0.35 * np.clip(normal @ LIGHT, 0, 1) + 0.25 * facing
        colour = np.where((hit < 0)[:, None], 245, np.clip(self.paint[hit] * bright[:, None], 0, 255))
        owner = np.where(hit < 0, -1, self.owner[hit])
        return colour.reshape(side, side, 3), owner.reshape(side, side), depth.reshape(side, side)


def picture(colours: np.ndarray) -> Image.Image:
    """A view of ``SIDE`` pixels: the mean of each pixel's rays."""
    mean = colours.reshape(SIDE, FINER, SIDE, FINER, 3).mean((1, 3))
    return Image.fromarray(np.rint(mean).astype(np.uint8))


def seen(view: View, things: int) -> list[list[float]]:
    """[object, pixels, column, row, depth] of every object that a view shows.

    Column and row are those of the visible part's point nearest its centroid, in pixels; depth is the visible part's
    mean.
    """
    _, owner, depth = view
    finer, found = len(owner) / SIDE, []
    for number in range(things):
        rows, columns = np.nonzero(owner == number)
        if len(rows):
            middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            at = [int(columns[middle] / finer), int(rows[middle] / finer)]
            mean = round(float(depth[rows, columns].mean()), 2)
            found.append([number, max(1, round(len(rows) / finer**2)), *at, mean])
    return found


def draw_things(rng: np.random.Generator, size: tuple[float, float], alike: int, held_out: bool) -> list[Thing] | None:
    """Five to nine objects, ``alike`` of which look the same, or None if they found no room.

    ``held_out``: those that look the same have a combination of kind and colour that training never shows; elsewhere
    no object has.
    """

    def look(kinds: tuple[str, ...], kept: bool) -> tuple[str, str]:
        while True:
            kind, colour = str(rng.choice(kinds)), str(rng.choice(COLOURS))
            if is_held_out(kind, colour) == kept:
                return kind, colour

    groups = [[look(SEVERAL, held_out)] * alike]
    groups += [[look(SEVERAL, False)] * 2 for _ in range(int(rng.integers(2)))]
    groups += [[look((kind,), False)] for kind in ("sofa", "bed", "shelf") if rng.random() < 0.4]
    groups += [[look((groups[0][0][0],), False)]]  # of the first kind in another colour
    groups += [[look(SEVERAL, False)] for _ in range(int(rng.integers(1, 3)))]
    if len({group[0] for group in groups}) < len(groups) or sum(map(len, groups)) not in range(5, 10):
        return None
    looks = [one for group in groups for one in group]
    things: list[Thing] = []
    for one in sorted(looks, key=lambda one: -RADIUS[one[0]]):
        kind, colour = one
        for _ in range(40):
            place = [rng.uniform(0.35 + RADIUS[kind] * 0.6, side - 0.35 - RADIUS[kind] * 0.6) for side in size]
            free = all(
                dist(place, other.place)
                > (ALIKE[looks.count(one)] if one == (other.kind, other.colour) else RADIUS[kind] + RADIUS[other.kind])
                for other in things
            )
            if free:
                turn = pi / 2 * rng.integers(4) + rng.uniform(-0.3, 0.3)
                things.append(Thing(kind, colour, (round(place[0], 2), round(place[1], 2)), round(float(turn), 2)))
                break
        else:
            return None
    return [things[i] for i in rng.permutation(len(things))]


def draw_poses(rng: np.random.Generator, scene: Scene, held_out: bool) -> list[Pose] | None:
    """One pose at each wall, in an order going round the room, or None where an object stands in the way.

    ``held_out``: cameras are higher than any of training (2.1 to 2.4 m against 1.3 to 1.8 m) and look down on the room.
    """
    w, d = scene.size
    low, high = (2.1, 2.4) if held_out else (1.3, 1.8)
    found, first = [], int(rng.integers(4))
    for n in range(VIEWS):
        across = rng.uniform(0.25, 0.75)
        x, y = ((0.12, across * d), (across * w, 0.12), (w - 0.12, across * d), (across * w, d - 0.12))[(first + n) % 4]
        target = (w / 2 + rng.uniform(-1.2, 1.2), d / 2 + rng.uniform(-1.2, 1.2), 0.55)
        if any(dist((x, y), one.place) < RADIUS[one.kind] + 0.45 for one in scene.things):
            return None
        camera = (x, y, rng.uniform(low, high))
        found.append(Pose(tuple(round(float(c), 2) for c in camera), tuple(round(float(c), 2) for c in target)))
    return found


def draw_scene(rng: np.random.Generator, alike: int, held_out: str) -> tuple[Scene, list[Pose]] | None:
    """A room with its poses, or None if the draw does not work out."""
    size = (round(rng.uniform(4.2, 5.2), 2), round(rng.uniform(3.8, 4.6), 2))
    paint = tuple(tuple(int(c) for c in rng.integers(low, low + 50, 3)) for low in (150, 195, 195, 195, 195))
    things = draw_things(rng, size, alike, held_out == "combination")
    if things is None:
        return None
    scene = Scene(size, paint, tuple(things))
    poses = draw_poses(rng, scene, held_out == "pose")
    return None if poses is None else (scene, poses)


def make_room(split: str, index: int) -> tuple[dict, Image.Image]:
    """The entry and the strip of views of room ``index`` of a split.

    The first draw in which some view shows each object well, no view all of them, and every view at least two. Of three
    rooms one has three objects that look the same, one has two and shows them so that they can be mistaken for one
    another, the third has two. A few rays tell most draws that do not fit.
    """
    held_out, name = "" if split == "train" else HELD_OUT[index % len(HELD_OUT)], f"{split}-{index:03}"
    for attempt in count():
        drawn = draw_scene(generator("room", split, index, attempt), 3 if index % 3 == 0 else 2, held_out)
        if drawn is None:
            continue
        scene, poses = drawn
        entry = {
            "id": name,
            "file": f"{name}.webp",
            "split": split,
            "held_out": held_out,
            "licence": "Apache-2.0",
            "size": list(scene.size),
            "objects": [[one.kind, one.colour, *one.place, one.turn] for one in scene.things],
            "poses": [[*pose.camera, *pose.target] for pose in poses],
        }
        cast = Cast(scene)
        for rays in (SIDE // 2, SIDE * FINER):
            views = [cast.view(pose, rays) for pose in poses]
            entry["views"] = [seen(view, len(scene.things)) for view in views]
            if not fits(room_of(entry), index % 3 == 1):
                break
        else:
            strip = Image.new("RGB", (SIDE * VIEWS, SIDE))
            for number, (colours, _, _) in enumerate(views):
                strip.paste(picture(colours), (number * SIDE, 0))
            return entry, strip
    raise AssertionError("count has no end")


def mistakable(room: Room) -> bool:
    """Whether two views show one of several marked objects that look the same, each another."""
    alone = []
    for view in range(VIEWS):
        shown = [room.looks[number] for number in room.views[view]]
        alone.append({room.looks[n]: n for n in room.shown_well(view) if shown.count(room.looks[n]) == 1})
    return any(
        here[look] != there[look] and {here[look], there[look]} <= set(room.marked)
        for here, there in combinations(alone, 2)
        for look in here.keys() & there.keys()
    )


def fits(room: Room, mistaken: bool) -> bool:
    """Whether the views show every object, none of them all; ``mistaken``: and two alike as if they were one."""
    well = [room.shown_well(view) for view in range(VIEWS)]
    enough = all(2 <= len(view) < len(room.looks) for view in well) and set().union(*well) == set(
        range(len(room.looks))
    )
    return enough and (not mistaken or mistakable(room))


def webp(strip: Image.Image) -> bytes:
    """A strip as WebP."""
    buffer = io.BytesIO()
    strip.save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def build(folder: Path) -> None:
    """Write ``rooms.zip`` and ``rooms.jsonl``."""
    asked = [(split, index) for split, rooms in SPLITS.items() for index in range(rooms)]
    with ProcessPoolExecutor() as pool:
        made = list(pool.map(make_room, *zip(*asked, strict=True), chunksize=8))
    entries = [entry for entry, _ in made]
    write_corpus(folder, "rooms", entries, {entry["file"]: webp(strip) for entry, strip in made})


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder to write (default: the package's)")
    folder = parser.parse_args(arguments).output
    folder.mkdir(parents=True, exist_ok=True)
    build(folder)
    pack(folder)
    write_sums(folder)


if __name__ == "__main__":
    main()
