"""Titled clip art from the Open Clip Art Library: English titles, one drawing of each look, natural aspect ratio."""

import io
import re
from collections import Counter
from pathlib import Path

import cairosvg
from PIL import Image

from .clipart_titles import title_of
from .packages import Packages
from .store import fingerprint, fit, flat, webp, write_corpus
from .words import nouns

CATEGORIES = {
    "animals": "animal",
    "buildings/furniture": "furniture",
    "buildings": "building",
    "computer/hardware": "electronics",
    "education": "school",
    "electronics": "electronics",
    "food": "food",
    "geography": "nature",
    "office": "office",
    "people/bodypart": "body",
    "people/clothing": "clothing",
    "people": "person",
    "plants": "plant",
    "recreation/games": "game",
    "recreation/holiday": "celebration",
    "recreation/music": "music",
    "recreation/party": "celebration",
    "recreation/religion": "celebration",
    "recreation/sports": "sport",
    "recreation/toys": "toy",
    "recreation": "sport",
    "science": "science",
    "signs_and_symbols/clocks": "household",
    "signs_and_symbols/money": "office",
    "signs_and_symbols/weather": "nature",
    "signs_and_symbols/awards": "sport",
    "tools": "tool",
    "transportation": "vehicle",
    "unsorted": "other",
    "computer": "electronics",
}
"""Folder of the library -> category; the longest matching prefix counts, other folders are left out."""

NOT_DRAWINGS = re.compile(
    r"^(computer/(icons|buttons|folders|diagrams|games)|shapes|special|signs_and_symbols/(flags|map_symbols|led)|"
    r"recreation/games/cards|transportation/roadsigns|tools/weapons|people/(stickmen|smilies))/|boating_rules|nazi|swastika|"
    r"gun|kalash|ak47|smok|cigar|nude|pin_?up|confederate|bullet|grenade"
)
SIDE, QUALITY, PER_TITLE, MAX_ASPECT = 160, 55, 3, 5.0
SAME_LOOK = 4
"""Drawings whose fingerprints differ in at most this many bits of 64 count as one."""


def build(packages: Packages, folder: Path) -> None:
    """Write ``clipart.zip`` and ``clipart.jsonl``."""
    known = nouns(packages)
    files = packages.read("openclipart-svg", lambda p: p.endswith(".svg"))
    entries, pictures, looks, used = [], {}, [], Counter()
    for path in sorted(files):
        name = path.split("/svg/", 1)[1]
        category, svg = category_of(name), files[path].decode("utf-8", "replace")
        title = title_of(name, svg, known) if category else None
        if title is None or used[title] >= PER_TITLE or "cc/PublicDomain" not in svg:
            continue
        picture = render(files[path])
        if picture is None or max(picture.size) > MAX_ASPECT * min(picture.size):
            continue
        look = fingerprint(picture)
        if any((look ^ other).bit_count() <= SAME_LOOK for other in looks):
            continue
        looks.append(look)
        used[title] += 1
        file = f"{title.replace(' ', '-')}-{used[title]}.webp"
        pictures[file] = webp(picture, QUALITY)
        entries.append(
            {
                "id": f"clipart/{file[:-5]}",
                "title": title,
                "category": category,
                "file": file,
                "licence": "CC-PDDC",
                "author": author_of(svg),
                "source": name,
            }
        )
    write_corpus(folder, "clipart", entries, pictures)


def category_of(name: str) -> str | None:
    """The category of a file of the library; None if it is no drawing of a thing."""
    if NOT_DRAWINGS.search(name):
        return None
    parts = name.split("/")[:-1]
    prefixes = ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    return next((CATEGORIES[prefix] for prefix in prefixes if prefix in CATEGORIES), None)


def author_of(svg: str) -> str:
    """The author that the metadata states, without an address."""
    stated = re.search(r"<dc:creator.*?<dc:title[^>]*>\s*([^<]*)", svg, re.DOTALL)
    return re.sub(r"\s*[<\[(&].*", "", stated.group(1)).strip()[:60] if stated else ""


def render(svg: bytes) -> Image.Image | None:
    """The drawing as RGBA, cut to its ink, the longer side ``SIDE`` pixels; None if it fails or shows nothing.

    A file that embeds or points to another picture is refused: it may carry someone else's work, and fetch things.
    """
    if re.search(rb"<image|href=[\"'](?!#)[a-z]+:|<!ENTITY[^>]*SYSTEM", svg):
        return None
    try:
        png = cairosvg.svg2png(bytestring=svg, output_width=3 * SIDE)
        with Image.open(io.BytesIO(png)) as picture:
            picture = picture.convert("RGBA")
    except Exception:
        return None
    box = picture.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 24:
        return None
    picture = fit(picture.crop(box), SIDE)
    return None if flat(picture) else picture
