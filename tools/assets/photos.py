"""Photographs that carry a free notice of their own: GCompris' photo folders and the Lomiri wallpapers.

Of GCompris nothing else is used: no text, no drawing, no file without its own entry in the README beside it. (The
README files are taken, not the Debian copyright file: some photographs were replaced and only the README follows.)
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from PIL import Image

from tools.assets.licences import ALLOWED

from .packages import Packages, read_rcc
from .store import fit, flat, webp, write_corpus

LONGEST, QUALITY = 512, 60
BACKGROUND_LONGEST, BACKGROUND_QUALITY = 768, 66
ACTIVITIES = "gcompris/src/activities/"

with (Path(__file__).parent / "photo_titles.tsv").open(encoding="utf-8") as table:
    _ROWS = [line.rstrip("\n").split("\t") for line in list(table)[1:]]
TITLES = {file: (title, category) for file, title, category in _ROWS if category != "background"}
"""File in GCompris' activities folder, without suffix -> what it shows in our words, class."""
BACKGROUNDS = {file: title for file, title, category in _ROWS if category == "background"}
"""Wallpaper, without suffix -> what it shows."""


def build(packages: Packages, folder: Path) -> None:
    """Write ``photos.zip``/``.jsonl`` and ``backgrounds.zip``/``.jsonl``."""
    build_photos(packages, folder)
    build_backgrounds(packages, folder)


def build_photos(packages: Packages, folder: Path) -> None:
    """Every photograph with a title of ours and an allowed notice, the first of those from one source."""
    files = {}
    for content in packages.read("gcompris-qt-data", lambda p: p.endswith(".rcc")).values():
        files.update(read_rcc(content))
    entries, pictures, seen = [], {}, set()
    notices = {
        str(PurePosixPath(path).parent / file): notice
        for path, content in files.items()
        if path.endswith("/README")
        for file, notice in readme_notices(content.decode("utf-8"))
    }
    for key, (title, category) in sorted(TITLES.items()):
        path = f"{ACTIVITIES}{key}.webp"
        if path not in notices or path not in files:
            raise SystemExit(f"{path}: no file or no notice of its own; take it out of the table of titles")
        notice = notices[path]
        if notice["licence"] not in ALLOWED:
            raise SystemExit(f"{path}: licence {notice['licence']!r} is not an allowed one")
        if notice["source"] in seen:
            continue
        seen.add(notice["source"])
        parts = [part for part in key.split("/") if part not in ("resource", "images", "animals", "music")]
        name = "-".join(dict.fromkeys(parts)) + ".webp"
        with Image.open(io.BytesIO(files[path])) as picture:
            picture = fit(picture.convert("RGBA" if picture.mode == "RGBA" else "RGB"), LONGEST)
        if flat(picture):
            raise SystemExit(f"{path}: shows nothing")
        pictures[name] = webp(picture, QUALITY)
        entries.append({"id": f"photos/{name[:-5]}", "title": title, "category": category, "file": name, **notice})
    write_corpus(folder, "photos", entries, pictures)


def readme_notices(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(file, {licence, author, source}) for each picture named in a README of the package."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields, name = {}, ""
        for line in paragraph.splitlines():
            found = re.match(r"(Copyright|Source|License|Files|Comments?):\s*(.*)", line)
            if found:
                name, line = found.groups()
            if name:
                fields.setdefault(name, []).append(line.strip())
        author = "; ".join(
            re.sub(r"^(?:Copyright )?©? ?(?:\d{4} )?", "", line) for line in fields.get("Copyright", []) if line
        )
        source = "".join(fields.get("Source", [])) or " ".join(fields.get("Comment", [])).rpartition(" at ")[2]
        notice = {"licence": spdx("".join(fields.get("License", []))), "author": author, "source": source}
        for file in fields.get("Files", []):
            if file.endswith(".webp"):
                yield file, notice


def spdx(licence: str) -> str:
    """The licence in the spelling of ``ALLOWED``."""
    if licence.casefold() == "public domain":
        return "public-domain"
    return re.sub(r"^(CC-BY(?:-SA)?) ", r"\1-", licence)


def build_backgrounds(packages: Packages, folder: Path) -> None:
    """The wallpapers whose own paragraph of the copyright file names a CC licence."""
    files = packages.read("lomiri-wallpapers-16.04", lambda p: p.endswith((".jpg", "/copyright")))
    copyright_text = next(c.decode() for p, c in files.items() if p.endswith("/copyright"))
    notices = {}
    for paragraph in re.split(r"\n\s*\n", copyright_text):
        found = re.search(r"Files: 16\.04/(\S+)\.jpg\nCopyright: (.*)\nLicense: (\S+)", paragraph)
        if found:
            file, author, licence = found.groups()
            notices[file] = {"licence": licence, "author": re.sub(r",? ?\d{4}[.,]? ?", "", author).replace('"', "")}
    entries, pictures = [], {}
    for path, content in sorted(files.items()):
        stem = PurePosixPath(path).stem
        if stem not in BACKGROUNDS:
            continue
        if notices[stem]["licence"] not in ALLOWED:
            raise SystemExit(f"{path}: licence {notices[stem]['licence']!r} is not an allowed one")
        name = re.sub(r"_by_.*", "", stem).lower().replace("_", "-") + ".webp"
        with Image.open(io.BytesIO(content)) as picture:
            picture.draft("RGB", (2 * BACKGROUND_LONGEST, 2 * BACKGROUND_LONGEST))
            picture = fit(picture.convert("RGB"), BACKGROUND_LONGEST)
        pictures[name] = webp(picture, BACKGROUND_QUALITY)
        entries.append(
            {
                "id": f"backgrounds/{name[:-5]}",
                "title": BACKGROUNDS[stem],
                "category": "background",
                "file": name,
                **notices[stem],
                "source": "https://gitlab.com/ubports/development/core/lomiri-wallpapers",
            }
        )
    write_corpus(folder, "backgrounds", entries, pictures)
