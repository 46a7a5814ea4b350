"""What one small model for everything can do, and what it costs beside models that were trained for one purpose.

    python -m oryx run one_model --no-notebook                      # a few minutes on one core: asks the shipped model
    python -m oryx run one_model --no-notebook --from-scratch       # trains it first

Hardware: one CPU core, or a GPU. Expected: the scores of ``oryx/weights/nano/one/scores.csv``; pictures and videos near
the single-purpose models at 1x and 4x, needles well below them. One training seed ships, so intervals cover items alone
and every verdict is a direction only; its rows therefore stay beside the weights and are no published run.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from oryx.errors import MissingResource, SettingsError
from oryx.files import sha256_file
from workbook.data.corpora import data_hash
from workbook.runs.settings import StudySettings, setting
from workbook.stages import shipped
from workbook.studies.base import Run, Study
from workbook.studies.one_model import comparison
from workbook.studies.videos import Progress, base_row, trains_shared

if TYPE_CHECKING:
    import pandas as pd

ARM, TRAINING = "nano", "one_model"
CORPORA = ("fonts", "words", "icons", "clipart", "photos", "clips", "glosses", "tables")


class Settings(StudySettings):
    """What a run of this study depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.one_model"

    split: Literal["dev", "report"] = setting("report", "held-out items: dev or report")
    ratios: tuple[int, ...] = setting((1, 4, 16), "compression ratios of pictures, videos and scenes", least=1)
    text_items: int = setting(150, "pictures of each task with text", least=1)
    object_items: int = setting(300, "pictures of each task with objects", least=1)
    short_stories: int = setting(80, "held-out synthetic videos of 8 frames", least=1)
    long_stories: int = setting(48, "held-out synthetic videos of 24 frames", least=1)
    video_sides: tuple[int, ...] = setting(
        (32, 64), "sides of the frames in pixels: study 3's, and what the model's own rule makes of the files", least=8
    )
    scenes: int = setting(120, "scenes of several views", least=1)
    needle_lengths: tuple[int, ...] = setting((16, 50), "frames around a needle", least=8)
    needle_trials: int = setting(20, "needles of each depth", least=1)
    needle_ratios: tuple[int, ...] = setting((4, 16), "compression ratios of videos with a needle", least=1)
    train_steps: int = setting(3600, "training steps from scratch", least=1)

    presets: ClassVar[dict[str, dict]] = {
        "smoke": {
            "split": "dev",
            "ratios": (1, 16),
            "text_items": 2,
            "object_items": 2,
            "short_stories": 2,
            "long_stories": 1,
            "video_sides": (32,),
            "scenes": 2,
            "needle_lengths": (16,),
            "needle_trials": 1,
            "needle_ratios": (16,),
            "train_steps": 6,
        },
    }


class OneModel(Study[Settings]):
    """Arms, items and rows of the study; statistics are shared with the other studies."""

    id = "one_model"
    title = "One model for everything"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = (ARM,)
    baseline = ARM

    def arms(self, settings: Settings) -> list[str]:
        """The one model; what it is compared with are published rows of the other studies."""
        return [ARM]

    def check(self, settings: Settings) -> None:
        """Raises MissingResource or SettingsError before any work if this run cannot be done."""
        if settings.scale not in ("smoke", "nano"):
            raise SettingsError(f"scale {settings.scale!r}: the one model exists at smoke and nano")
        if trains_shared(settings):
            return
        if settings.seeds != (0,):
            raise SettingsError(
                f"seeds: one training ships, with seed 0, got {list(settings.seeds)}; add --from-scratch"
            )
        if not (comparison.FOLDER / "model.safetensors").is_file():
            raise MissingResource(f"the one model is not in {comparison.FOLDER}: add --from-scratch to train it first")
        shipped.check_shared(shipped.WEIGHTS / "nano")

    def prepare(self, settings: Settings, seed: int) -> list[list[str]]:
        """From scratch, and at smoke, each seed first trains its model."""
        return [[TRAINING]] if trains_shared(settings) else []

    def hashes(self, settings: Settings, folder: Path | None = None) -> dict[str, str]:
        """What the numbers rest on beside the settings: the model, and the shipped data."""
        if trains_shared(settings) and folder is None:
            return {"weights_hash": "trained by this run", "data_hash": data_hash(CORPORA)}
        weights = (folder or comparison.FOLDER) / "model.safetensors"
        return {"weights_hash": sha256_file(weights)[:16], "data_hash": data_hash(CORPORA)}

    def describe(self, settings: Settings) -> dict:
        """Precision, attention, decoding and the form of the prompts."""
        return {
            "dtype": "as precision says; frame features kept in float16, weights in 8 bits",
            "attention": "sdpa",
            "decoder": "auto: decord, PyAV where decord reads wrongly",
            "prompt": "<visual>QUESTION\\n",
        }

    def published_folder(self, settings: Settings) -> Path:
        """The shipped model's folder, where its rows lie, for its own settings."""
        own = settings.variant == "nano"
        return comparison.FOLDER if own else super().published_folder(settings)

    def evidence(self, settings: Settings, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The rows of the run, and of the single-purpose models on the same items."""
        return comparison.with_specialists(rows, settings.results)

    def figures(self, run: Run, settings: Settings) -> dict[str, tuple]:
        """The difference to the single-purpose models, task by task; the training curve; verdicts."""
        from workbook.report import plots
        from workbook.studies.one_model.figures import comparison_figure

        found = comparison.comparison(run.rows, settings.results)
        return {
            "comparison": (comparison_figure(found), found),
            "training_curves": plots.training_curves(run.curves, self.arm_order),
            "verdicts": plots.difference_forest(run.verdicts),
        }

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train the model, or ask it; an interrupted run resumes from ``folder``."""
        from oryx.files import atomic_write_json, read_json
        from oryx.train.device import compute
        from workbook.stages.joint_recipe import recipe
        from workbook.stages.one_model import train_one_model

        machine = compute(settings.precision)
        if arm == TRAINING:
            train_one_model(recipe(settings.scale, steps=settings.train_steps), seed, folder, progress, machine)
            return
        from workbook.studies.one_model.evaluation import run_arm

        weights = folder.parent / TRAINING if trains_shared(settings) else comparison.FOLDER
        atomic_write_json(folder / "curve.json", read_json(weights / "manifest.json")["curve"], indent=None)
        base = base_row(self.id, settings, arm, seed, self.hashes(settings, weights))
        run_arm(settings, folder, weights, base, machine, progress)
