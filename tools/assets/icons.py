"""The same concepts in three drawing styles, from the icon sets Noto, Twemoji and Fluent."""

import io
import json
import re
from pathlib import Path

import resvg_py
from PIL import Image

from .packages import Packages
from .store import flat, webp, write_corpus

STYLES = {
    "noto": "@iconify-json/noto",
    "twemoji": "@iconify-json/twemoji",
    "fluent": "@iconify-json/fluent-emoji-flat",
}
CATEGORIES = {
    "Activities": "activity",
    "Animals & Nature": "nature",
    "Food & Drink": "food",
    "Objects": "object",
    "People & Body": "person",
    "Smileys & Emotion": "face",
    "Travel & Places": "place",
}
"""Emoji groups that are kept. Symbols (letters, arrows, zodiac signs) and flags are not drawings of a thing."""

SIDE, QUALITY = 96, 72

LEFT_OUT = re.compile(
    r"skin|facing-right$|^love-hotel|-hair|-beard|^(man|woman|men|women)-|^person-in-|^(one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    r"twelve)-(oclock|thirty)|moon|^(sun|new-moon|full-moon)-face|^(backhand|index)|middle-finger|^family|kiss-|couple-|"
    r"-handshake|^mrs-|^mx-|-selfie|cigarette|^pistol|^water-pistol|^bomb|^syringe|^drop-of-blood|no-one-under|^pile-of-poo|"
    r"japanese-(?!castle|dolls)|^moai|^nazar|-square$|^(input|keycap)-|-heart$|heart-|^(left|right)-(speech|anger)|"
    r"^(hushed|sleepy|weary|tired|worried|confounded|pensive|relieved|unamused|disappointed|persevering|slightly)-"
)
"""Concepts that repeat another one with a small change, or that a reader may not want to see."""

SPELLED = {
    "e-mail": "e-mail",
    "t-shirt": "t-shirt",
    "x-ray": "x-ray",
    "yo-yo": "yo-yo",
    "jack-o-lantern": "jack-o'-lantern",
    "mans-shoe": "man's shoe",
    "womans-boot": "woman's boot",
    "womans-clothes": "woman's clothes",
    "womans-hat": "woman's hat",
    "womans-sandal": "woman's sandal",
    "rescue-workers-helmet": "rescue worker's helmet",
}
"""Titles that are not the name with its hyphens as blanks."""


def build(packages: Packages, folder: Path) -> None:
    """Write ``icons.zip`` and ``icons.jsonl``: every concept that renders well in all three styles."""
    sets, licences, groups = {}, {}, {}
    for style, package in STYLES.items():
        files = {Path(p).name: c for p, c in packages.read(package, lambda p: p.endswith(".json")).items()}
        sets[style] = json.loads(files["icons.json"])
        licences[style] = json.loads(files["info.json"])["license"]["spdx"]
        for group, names in json.loads(files["metadata.json"])["categories"].items():
            for name in names:
                groups.setdefault(name, group)
    common = sorted(set.intersection(*(set(icons["icons"]) for icons in sets.values())))
    entries, pictures = [], {}
    for name in common:
        category = CATEGORIES.get(groups.get(name, ""))
        if category is None or LEFT_OUT.search(name):
            continue
        drawn = {style: render(sets[style], name) for style in STYLES}
        if any(picture is None for picture in drawn.values()):
            continue
        for style, picture in drawn.items():
            file = f"{style}/{name}.webp"
            pictures[file] = webp(picture, QUALITY)
            entries.append(
                {
                    "id": f"icons/{style}/{name}",
                    "title": SPELLED.get(name, name.replace("-", " ")),
                    "category": category,
                    "style": style,
                    "file": file,
                    "licence": licences[style],
                }
            )
    write_corpus(folder, "icons", entries, pictures)


def render(icons: dict, name: str) -> Image.Image | None:
    """The icon as RGBA, ``SIDE`` pixels on both sides; None if nothing is seen."""
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{SIDE}" height="{SIDE}">{icon["body"]}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE))
    with Image.open(io.BytesIO(png)) as picture:
        picture = picture.convert("RGBA")
    return None if flat(picture) else picture
