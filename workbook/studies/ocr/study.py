"""Study 1's question to a reader that nobody here trained: does an OCR model read text better at native size?

    pip install -c requirements/constraints.txt -e ".[ocr]"
    python -m oryx run ocr_resolution       # two cores, minutes

Expected: native size beats smaller and misshapen pictures and larger areas beat smaller ones, as in study 1. Against
pictures that are enlarged the claim is not expected to hold: nothing is lost in enlarging, and PP-OCRv4 finds text
better that is larger, above all single characters.

The pictures, their sizes and the arms are study 1's, the same items by name; the reader is PP-OCRv4
(:mod:`workbook.studies.ocr.reading`), one pretrained model, so intervals cover items and nothing else. It answers no
questions: an item counts as right if what it asks for was read. Nor was it trained at an arm's size, where study 1
trains a reader for each.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from oryx.errors import SettingsError
from workbook.data.corpora import data_hash
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.runs.settings import StudySettings, setting
from workbook.studies.base import Progress, Run, Study
from workbook.studies.native_resolution.study import TEXT_TASKS, arm_resolution
from workbook.studies.ocr import reading

if TYPE_CHECKING:
    from PIL import Image

    from workbook.data.items import Item
    from workbook.studies.evaluate import Batch

ARMS = ("native", "area_quarter", "area_1", "area_matched", "area_4", "squash", "pad")
"""Study 1's, but for those that are trained on other text or without pictures."""
CONDITIONS = ("visual", "no_visual", "other_truth")
"""As it is; a grey picture of the same size; what was read held against what the task's next item asks."""


class Settings(StudySettings):
    """What a run of this study depends on."""

    arms: tuple[Literal[ARMS], ...] = setting(ARMS, "sizes at which pictures are read")
    text_items: int = setting(50, "items of each task, the first of study 1's", least=2)

    presets: ClassVar[dict[str, dict]] = {"smoke": {"arms": ["native", "area_quarter"], "text_items": 2}}


class OcrResolution(Study[Settings]):
    """Arms, items and rows; statistics and figures are shared with the other studies."""

    id = "ocr_resolution"
    title = "An OCR model at native and fixed resolution"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = ARMS
    baseline = "native"
    released_scales = ("smoke", "nano")
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {"text": TEXT_TASKS}
    facts: ClassVar[dict] = {
        "dtype": "float32",
        "attention": "none: convolutions and the package's own recogniser",
        "decoder": "none: stills",
        "prompt": "none: all text is read",
    }

    def check(self, settings: Settings) -> None:
        """Raises MissingResource without the package, SettingsError for several seeds or weights to be trained."""
        if settings.from_scratch:
            raise SettingsError("from_scratch: nothing is trained here")
        super().check(settings)
        self.hashes(settings)

    def hashes(self, settings: Settings) -> dict[str, str]:
        """sha256 over the package's networks, and over fonts and words."""
        return {"weights_hash": reading.weights_hash(), "data_hash": data_hash(("fonts", "words"))}

    def own_figures(self, run: Run, settings: Settings, arms: list[str]) -> dict[str, tuple]:
        """Scores by task and by size; there are no tokens."""
        from workbook.report import plots

        by_size = plots.score_by_bin(run.rows, arms, self.groups(settings), ARMS)
        return {"score_by_task": plots.score_by_task(run.rows, arms, ARMS), "score_by_size": by_size}

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Read every item at an arm's size; a killed job goes on."""
        from oryx.evidence.store import RowWriter
        from workbook.studies.evaluate import evaluate

        reader, batches = reading.Reader(), list(self._batches(settings, arm, self.base_row(settings, arm, seed)))

        def read(shown: "tuple[Image.Image, list[Item]]") -> list[dict]:
            picture, asked = shown
            lines = reader.lines(picture)
            answers = (lines, reader.blank(picture.size), lines)
            pairs = zip(asked, answers, strict=True)
            return [{"answer": "\n".join(answer), "score": reading.score(item, answer)} for item, answer in pairs]

        with RowWriter(folder / "rows.jsonl") as writer:
            total = sum(len(batch.rows) for batch in batches)
            evaluate(batches, read, writer, lambda done: progress("read", done, total))

    def _batches(self, settings: Settings, arm: str, base: dict) -> "Iterator[Batch]":
        """Each picture under all CONDITIONS: their rows, and what is read with the item that each asks about."""
        from workbook.studies.evaluate import Batch

        sizes = PictureSizes()
        view = arm_resolution(arm, sizes.side)
        for task in TEXT_TASKS:
            items = evaluation_items(task, settings.split, settings.text_items, sizes)
            for item, other in zip(items, [*items[1:], items[0]], strict=True):
                picture, asked = view.apply(item.picture, sizes.patch), [item, item, other]
                shared = {**base, "item": item.id, **item.fields, "chance": 0.0, "visual_tokens": 0}
                seen = {"frames": 1, "sizes": [[picture.height, picture.width]]}
                rows = [
                    {**shared, "condition": condition, "truth": reading.wanted(one), **seen}
                    for condition, one in zip(CONDITIONS, asked, strict=True)
                ]
                rows[1] |= {"frames": 0, "sizes": []}
                yield Batch(rows, (picture, asked))
