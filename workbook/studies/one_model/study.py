"""What one small model for everything can do, and what it costs beside models that were trained for one purpose.

    python -m oryx run one_model --no-notebook                      # a few minutes on one core: asks the shipped model
    python -m oryx run one_model --no-notebook --from-scratch       # trains it first

Hardware: one CPU core, or a GPU. Expected: the scores of ``oryx/weights/nano/one/scores.csv``; pictures and videos near
the single-purpose models at 1x and 4x, needles well below them. One training seed ships, so intervals cover items alone
and every verdict is a direction only; its rows therefore stay beside the weights and are no published run.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from oryx.errors import SettingsError
from oryx.files import atomic_write_json, read_json
from workbook.stages import shipped
from workbook.studies.base import VIDEO_FACTS, Progress, Run, Study
from workbook.studies.one_model import comparison
from workbook.studies.one_model.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

ARM, TRAINING = "nano", "one_model"


class OneModel(Study[Settings]):
    """Arms, items and rows of the study; statistics are shared with the other studies."""

    id = "one_model"
    title = "One model for everything"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = (ARM,)
    baseline = ARM
    weights, weight_files, weights_job = comparison.FOLDER, ("model",), TRAINING
    corpora = ("fonts", "words", "icons", "clipart", "photos", "clips", "glosses", "tables")
    facts: ClassVar[dict] = VIDEO_FACTS | {
        "dtype": "as precision says; frame features kept in float16, weights in 8 bits"
    }

    def arms(self, settings: Settings) -> list[str]:
        """The one model; what it is compared with are published rows of the other studies."""
        return [ARM]

    def check(self, settings: Settings) -> None:
        """Raises MissingResource, CheckpointError or SettingsError before any work if this run cannot be done."""
        if not settings.trains_shared and settings.seeds != (0,):
            raise SettingsError(f"seeds: one training ships, of seed 0, got {list(settings.seeds)}; add --from-scratch")
        super().check(settings)
        if not settings.trains_shared:
            shipped.check(shipped.WEIGHTS / "nano")

    def published_folder(self, settings: Settings) -> Path:
        """The shipped model's folder, where its rows lie, for its own settings."""
        own = settings.variant == "nano"
        return comparison.FOLDER if own else super().published_folder(settings)

    def evidence(self, settings: Settings, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The rows of the run, and of the single-purpose models on the same items."""
        return comparison.with_specialists(rows, settings.results)

    def own_figures(self, run: Run, settings: Settings, arms: list[str]) -> dict[str, tuple]:
        """The difference to the single-purpose models, task by task."""
        from workbook.studies.one_model.figures import comparison_figure

        return {"comparison": comparison_figure(comparison.comparison(run.rows, settings.results))}

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train the model, or ask it; an interrupted run resumes from ``folder``."""
        from oryx.evidence.store import RowWriter
        from oryx.train.device import compute
        from workbook.stages import one_model
        from workbook.stages.stage import Options
        from workbook.studies.frames import evaluate_arm
        from workbook.studies.one_model.evaluation import Evaluation

        machine = compute(settings.precision)
        if arm == TRAINING:
            changes, show = {"steps": settings.train_steps}, partial(progress, "train")
            return one_model.run(Options(settings.scale, seed, folder, None, machine, show, changes))
        weights = self.weights_of(settings, folder)
        atomic_write_json(folder / "curve.json", read_json(weights / "manifest.json")["curve"], indent=None)
        model, base = machine.place(one_model.load_one_model(weights)), self.base_row(settings, arm, seed, weights)
        with RowWriter(folder / "rows.jsonl") as writer:
            evaluate_arm(Evaluation(settings, model, base, machine).batches(), writer, machine, progress)
