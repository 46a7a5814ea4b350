"""Flags of the flag-icons package with country, capital and continent."""

import io
import json
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from .packages import Packages
from .store import flat, webp, write_corpus

WIDTH, QUALITY = 128, 80

KEPT_OF_EQUALS = ("fr", "gb", "id", "no", "ro", "us")
"""Of flags that look the same (territories that fly the state's flag, chance), only these are kept."""

SAME_LOOK = 6.0
"""Two flags whose pixels differ by less than this on average (of 255) look the same."""


def build(packages: Packages, folder: Path) -> None:
    """Write ``flags.zip`` and ``flags.jsonl``: the 4x3 flags of all entries with a capital and a continent."""
    files = packages.read("flag-icons", lambda p: "/flags/4x3/" in p or p.endswith("/country.json"))
    countries = json.loads(files["package/country.json"])
    drawn = {}
    for country in countries:
        if not (country.get("iso") and country.get("capital") and country.get("continent")):
            continue
        svg = files[f"package/{country['flag_4x3']}"].decode("utf-8")
        with Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=WIDTH)))) as picture:
            page = Image.new("RGB", picture.size, "white")
            page.paste(picture, mask=picture.convert("RGBA").getchannel("A"))
        if not flat(page):
            drawn[country["code"]] = (country, page)
    entries, pictures = [], {}
    pixels = {code: np.asarray(page, dtype=np.float32) for code, (_, page) in drawn.items()}
    for code, (country, page) in drawn.items():
        alike = any(np.abs(pixels[code] - pixels[other]).mean() < SAME_LOOK for other in drawn if other != code)
        if alike and code not in KEPT_OF_EQUALS:
            continue
        file = f"{code}.webp"
        pictures[file] = webp(page, QUALITY)
        facts = {key: country[key] for key in ("code", "capital", "continent")}
        entries.append(
            {
                "id": f"flags/{code}",
                "title": country["name"],
                "category": "flag",
                "file": file,
                "licence": "MIT",
                "facts": facts,
            }
        )
    write_corpus(folder, "flags", entries, pictures)
