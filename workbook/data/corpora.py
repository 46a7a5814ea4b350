"""The real material shipped inside the package: pictures, fonts, words, tables and clips. Needs Pillow, not torch.

Nothing is read before it is asked for. The pictures of a corpus lie in one stored ZIP that is
held in memory as bytes, so that forked and spawned workers never share a file position. Every entry names its licence
(docs/data.md has the table of sources).
"""

import csv
import hashlib
import io
import json
import lzma
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from PIL import Image

from oryx.errors import MissingResource, SettingsError

PICTURES = ("icons", "clipart", "flags", "photos", "backgrounds")
"""Names that :func:`load` takes."""

NAMES = (*PICTURES, "fonts", "words", "glosses", "tables", "clips", "rooms")
"""Names that :func:`data_hash` takes."""


@dataclass(frozen=True)
class Item:
    """One picture: ``title`` names what it shows, ``category`` its kind, ``style`` the drawing style (icons only).

    ``file`` is the member of the corpus ZIP; ``facts`` holds what only some corpora have (flags: country code, capital,
    continent). ``licence``, ``author`` and ``source`` belong to this very file where a corpus mixes licences.
    """

    id: str
    title: str
    category: str
    file: str
    licence: str
    style: str = ""
    author: str = ""
    source: str = ""
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Font:
    """One face; ``style`` is serif, sans, mono, script or hand, ``weight`` regular or bold.

    ``id`` is its name in the assets folder; :func:`read` gives the file, TrueType or OpenType.
    """

    id: str
    family: str
    style: str
    weight: str
    package: str


@dataclass(frozen=True)
class Word:
    """A word or two-word term with its part of speech (noun, verb, adj, adv) and the gloss of its first sense."""

    word: str
    part: str
    gloss: str


@dataclass(frozen=True)
class Table:
    """A table of real data: ``rows`` are tuples of strings as in the CSV, one per line, as wide as ``columns``."""

    id: str
    title: str
    file: str
    licence: str
    author: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def numbers(self, rows: int | None = None) -> list[tuple[float, ...]]:
        """The columns that hold nothing but numbers in their first ``rows``."""
        found = []
        for column in zip(*self.rows[:rows], strict=True):
            with suppress(ValueError):
                found.append(tuple(map(float, column)))
        return found


@dataclass(frozen=True)
class Clip:
    """A video file: ``size`` is (height, width), ``rate`` frames a second."""

    id: str
    title: str
    file: str
    frames: int
    rate: float
    size: tuple[int, int]
    licence: str
    author: str

    @property
    def path(self) -> str:
        """Where it lies on disk."""
        return str(assets_folder() / self.file)


class Corpus:
    """A named set of pictures. ``items`` is sorted by id; ``image`` decodes one of them."""

    def __init__(self, name: str):
        self.name = name
        self.items = tuple(Item(**entry) for entry in _index(name))
        self._by_id = {item.id: item for item in self.items}

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(read(f"{self.name}.zip")))

    def item(self, identifier: str) -> Item:
        """The item of that id; raises KeyError, naming it, if there is none."""
        return self._by_id[identifier]

    def image(self, item: Item | str) -> Image.Image:
        """The picture: RGBA if it has transparency, else RGB."""
        file = (self.item(item) if isinstance(item, str) else item).file
        with Image.open(io.BytesIO(self._archive.read(file))) as picture:
            return picture.convert("RGBA" if picture.mode in ("RGBA", "P", "LA") else "RGB")


@cache
def load(name: str) -> Corpus:
    """The corpus ``name`` (one of ``PICTURES``); raises SettingsError for another name."""
    if name not in PICTURES:
        raise SettingsError(f"corpus {name!r}: expected one of {', '.join(PICTURES)}")
    return Corpus(name)


@cache
def fonts() -> tuple[Font, ...]:
    """All faces."""
    return tuple(Font(**entry) for entry in _index("fonts"))


@cache
def words() -> tuple[Word, ...]:
    """Common lower-case words of 3 to 8 letters, the most frequent first."""
    return _word_table("words.tsv")


@cache
def glosses() -> tuple[Word, ...]:
    """Words and two-word terms with a definition of 15 to 120 characters, in alphabetical order."""
    return _word_table("glosses.tsv")


@cache
def tables() -> tuple[Table, ...]:
    """Small tables of real data."""
    archive, found = zipfile.ZipFile(io.BytesIO(read("tables.zip"))), []
    for entry in _index("tables"):
        header, *rows = csv.reader(io.StringIO(archive.read(entry["file"]).decode("utf-8")))
        found.append(Table(**entry, columns=tuple(header), rows=tuple(map(tuple, rows))))
    return tuple(found)


@cache
def clips() -> tuple[Clip, ...]:
    """Real video clips (H.264 in MP4, no sound)."""
    return tuple(Clip(**{**entry, "size": tuple(entry["size"])}) for entry in _index("clips"))


def assets_folder() -> Path:
    """The folder of the assets. Clips are handed out as paths, so the package must lie unpacked on disk."""
    return Path(__file__).with_name("assets")


@cache
def checksums() -> dict[str, str]:
    """File of the assets folder -> sha256, as ``SHA256SUMS`` states it.

    Of a file that lies packed its own name and content are stated, so that packing changes no hash of the data.
    """
    return {name: digest for digest, name in (line.split("  ", 1) for line in read("SHA256SUMS").decode().splitlines())}


def data_hash(names: Iterable[str] = NAMES) -> str:
    """One sha256 over the stated hashes of the files of these corpora; the order of ``names`` does not matter.

    Raises SettingsError for a name not in ``NAMES``.
    """
    chosen = set(names)
    if unknown := sorted(chosen - set(NAMES)):
        raise SettingsError(f"corpus {unknown[0]!r}: expected some of {', '.join(NAMES)}")
    stated = sorted(checksums().items())
    lines = [f"{digest}  {name}" for name, digest in stated if name.split("/")[0].split(".")[0] in chosen]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read(name: str) -> bytes:
    """Content of a file of the assets folder, which may lie packed as ``NAME.xz``; raises MissingResource."""
    path = assets_folder() / name
    packed = path.with_name(f"{path.name}.xz")
    if path.is_file():
        return path.read_bytes()
    if packed.is_file():
        return lzma.decompress(packed.read_bytes())
    raise MissingResource(
        f"the shipped file workbook/data/assets/{name} is missing: reinstall the package with pip, unpacked"
    )


def _index(name: str) -> list[dict]:
    return [json.loads(line) for line in read(f"{name}.jsonl").decode("utf-8").splitlines()]


def _word_table(name: str) -> tuple[Word, ...]:
    return tuple(Word(*line.split("\t")) for line in read(name).decode("utf-8").splitlines())
