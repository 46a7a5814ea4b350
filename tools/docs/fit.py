"""The tables of docs/fit.md: what the released models need (``workbook/report/fits.py``); ``python -m tools.docs``."""

from oryx.processing.shapes import read_shape
from workbook.report.fits import assumptions, memory_table
from workbook.report.tables import as_table

BEGIN, END = "<!-- will it fit: python -m tools.docs -->", "<!-- end of will it fit -->"
SHOWN, GPU, FRAMES, SIZE = ("7b", "34b"), 80, 64, (720, 1280)


def blocks() -> str:
    """A table of each of :data:`SHOWN` on a GPU of :data:`GPU` GB, and what they rest on."""
    parts = []
    for name in SHOWN:
        shape = read_shape(name)
        first, second, *general = assumptions(shape, GPU, SIZE)
        parts += [
            f"### {shape.name} on {GPU} GB",
            f"{first} {second}",
            as_table(memory_table(shape, GPU, FRAMES, SIZE)),
        ]
    return "\n\n".join([BEGIN, *parts, "\n".join(f"- {line}" for line in general), END])
