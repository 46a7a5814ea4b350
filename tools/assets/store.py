"""Write assets so that the same input gives the same bytes: sorted names, fixed times, stored ZIP members."""

import hashlib
import io
import json
import lzma
import zipfile
from pathlib import Path

from PIL import Image

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a ZIP can state."""


def webp(picture: Image.Image, quality: int) -> bytes:
    """``picture`` (RGB or RGBA) as WebP; the slowest method gives the smallest file."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=6, alpha_quality=80)
    return buffer.getvalue()


def fit(picture: Image.Image, longest: int) -> Image.Image:
    """``picture`` with its longer side scaled down to ``longest`` pixels; a smaller one is returned as it is."""
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """A stored ZIP of ``files`` in the order of their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, files[name])
    path.write_bytes(buffer.getvalue())


def write_index(path: Path, entries: list[dict]) -> None:
    """One JSON object per line, sorted by ``id``; empty fields are left out."""
    lines = [
        json.dumps({key: value for key, value in entry.items() if value not in ("", {}, None)}, ensure_ascii=False)
        for entry in sorted(entries, key=lambda entry: entry["id"])
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def write_corpus(folder: Path, name: str, entries: list[dict], files: dict[str, bytes]) -> None:
    """``<name>.zip`` with ``files`` and ``<name>.jsonl`` with ``entries``, whose ``file`` names a member of the ZIP."""
    write_zip(folder / f"{name}.zip", files)
    write_index(folder / f"{name}.jsonl", entries)


PACKED = ("icons.jsonl", "clipart.jsonl", "rooms.jsonl", "words.tsv", "fonts/*.ttf", "fonts/*.otf")
"""What xz makes at most half as large: long tables of short words, and fonts."""


def pack(folder: Path) -> None:
    """Put ``NAME.xz`` in the place of every file that fits ``PACKED``."""
    for path in [path for pattern in PACKED for path in folder.glob(pattern)]:
        packed = lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME)
        path.with_name(f"{path.name}.xz").write_bytes(packed)
        path.unlink()


def write_sums(folder: Path) -> None:
    """``SHA256SUMS`` over every other file of ``folder``; of packed ones it states name and content without packing."""
    contents = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    contents.pop("SHA256SUMS", None)
    for path in [path for pattern in PACKED for path in folder.glob(f"{pattern}.xz")]:
        name = path.relative_to(folder).as_posix()
        contents[name.removesuffix(".xz")] = lzma.decompress(contents.pop(name))
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in sorted(contents.items())]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def flat(picture: Image.Image) -> bool:
    """Whether a rendering shows nothing: under 2 % of it has ink, or it is one plain area (a failed drawing)."""
    rgba = picture.convert("RGBA").resize((32, 32), Image.Resampling.BOX)
    alpha = rgba.getchannel("A").tobytes()
    if sum(a > 24 for a in alpha) < 20:
        return True
    page = Image.new("RGBA", rgba.size, "white")
    page.alpha_composite(rgba)
    low, high = page.convert("L").getextrema()
    return high - low < 24


def fingerprint(picture: Image.Image) -> int:
    """A 64-bit difference hash of ``picture`` on white; drawings closer than a few bits look the same."""
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture.convert("RGBA"))
    grey = page.convert("L").resize((9, 8), Image.Resampling.BOX).tobytes()
    bits = [grey[r * 9 + c] > grey[r * 9 + c + 1] for r in range(8) for c in range(8)]
    return sum(bit << i for i, bit in enumerate(bits))
