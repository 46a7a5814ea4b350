"""Study 1 on released weights: pictures of public benchmarks at their own size, or brought to a fixed one first.

Whatever its size, a picture is then shown as the model was trained: with the second, small view made from the first
(the public scripts add it to pictures of a fixed size too). At one S, area, squash and pad cost equal tokens.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

from oryx.processing.images import open_image
from oryx.processing.sizes import Resolution
from workbook.data.benchmarks import BenchmarkItem
from workbook.data.protocols import protocol
from workbook.studies.asking import Question, Way
from workbook.studies.released import ReleasedSettings, about, items_of, question, way

SHOWN = 12
"""Pictures of a benchmark of which the gallery shows the largest."""


@dataclass(frozen=True)
class Resized:
    """An encoded picture as an open file of the same picture at a resolution, resized when it is read."""

    source: bytes
    resolution: Resolution
    stride: int
    name = "resized picture"

    def read(self) -> bytes:
        """A bitmap, which loses nothing and is quickly written."""
        buffer = io.BytesIO()
        self.resolution.apply(open_image(self.source), self.stride).save(buffer, "BMP")
        return buffer.getvalue()


def asked(settings: ReleasedSettings, side: int, resolution: Resolution) -> Iterator[tuple[list[Question], Way]]:
    """Every benchmark as an arm asks it."""
    used = protocol(settings.protocol)
    stride = used.options.high.stride

    def shown(item: BenchmarkItem) -> bytes | Resized:
        return item.visual if resolution.kind == "native" else Resized(item.visual, resolution, stride)

    for name, items in items_of(settings).items():
        questions = [question(name, item, shown(item), **about(item.visual, side)) for item in items]
        yield questions, way(used, name)


def largest(settings: ReleasedSettings) -> list[SimpleNamespace]:
    """Of each benchmark the largest of its first pictures, as the gallery shows items."""
    found = []
    for name, items in items_of(settings).items():
        pictures = [(open_image(item.visual), item) for item in items[:SHOWN]]
        picture, item = max(pictures, key=lambda pair: pair[0].width * pair[0].height)
        found.append(SimpleNamespace(picture=picture, task=name, answer=item.truths[0]))
    return found
