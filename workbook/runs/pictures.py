"""Lighter pictures for published results: PNG with a palette, a third of the bytes of what matplotlib writes.

Charts hold few colours, so the difference is not visible; photographs lose a little. What a run wrote stays as it is,
only the published copy is repacked.
"""

import base64
import io
import json
from pathlib import Path

from PIL import Image

__all__ = ["with_palette", "with_palette_in_notebook"]

COLOURS = 128


def with_palette(png: bytes) -> bytes:
    """The same picture with at most COLOURS colours on white, or the bytes unchanged if that is no smaller."""
    with Image.open(io.BytesIO(png)) as image:
        opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
    out = io.BytesIO()
    opaque.quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return min(png, out.getvalue(), key=len)


def with_palette_in_notebook(source: Path, target: Path) -> None:
    """Copy an executed notebook, its PNG outputs through :func:`with_palette`; everything else stays as it was."""
    notebook = json.loads(source.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                png = base64.b64decode("".join(data["image/png"]))
                data["image/png"] = base64.b64encode(with_palette(png)).decode() + "\n"
    target.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
