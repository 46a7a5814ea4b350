"""Study 5: do marks that say which object of one view is which of another help a model to understand a room?

    python -m oryx run spatial_correspondence                            # nano: 2 cores, about 8 minutes per seed

Expected at nano: what one view shows is learned in part; whether marks help across views, five seeds and 160 rooms
tell only where the difference is large.

Paper claim (H5a): for 3D understanding Oryx trains on ScanQA with coarse correspondences, numbers painted on tracked
objects. How they are drawn, and any comparison without them, is not public ("not found"), and the released code has no
format for them: marked frames are ordinary frames of a video. Rooms, marks and questions are ours
(``workbook/data/rooms.py``), fixed before any report run. H5b, that several views are understood together, is implied.

All arms start from the one model that ships. Its encoder stays frozen, views are encoded once and shown in the layout
of videos at 4x; compressor, projector and language model learn from the same questions about the same rooms in the same
order. Arms differ in what is painted onto the views, and in how many of them are shown.
"""

from math import isqrt
from pathlib import Path
from typing import ClassVar

from oryx.errors import InputError
from workbook.data.rooms import ANSWERS, OF_VIEWS, SIDE
from workbook.stages import shipped
from workbook.studies.base import Progress, Study
from workbook.studies.spatial.arms import ARMS
from workbook.studies.spatial.settings import Settings

ONE_MODEL, TRAINED = "one_model", "marked_training"


class SpatialCorrespondence(Study[Settings]):
    """Arms, items and rows of the study; statistics are shared with the other studies."""

    id = "spatial_correspondence"
    title = "Spatial correspondence"
    notebook = "05_spatial_correspondence.ipynb"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = tuple(ARMS)
    baseline = "unmarked"
    weights, weight_files, weights_job = shipped.WEIGHTS / "nano" / "one", ("model",), ONE_MODEL
    corpora = ("rooms",)
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "of one view": OF_VIEWS[1],
        "across views": (*OF_VIEWS[2], *OF_VIEWS[4]),
    }
    facts: ClassVar[dict] = {
        "prompt": "<visual>QUESTION\\n",
        "dtype": "as precision says, features of views kept in float16",
        "view": f"{SIDE} x {SIDE} pixels",
        "questions": {family: list(answers) for family, answers in ANSWERS.items()},
    }

    def check(self, settings: Settings) -> None:
        """As every study's; raises InputError also for a ratio that is no square, which regions cannot have."""
        if isqrt(settings.ratio) ** 2 != settings.ratio:
            raise InputError(f"ratio: expected a square such as 1, 4 or 16, got {settings.ratio}")
        super().check(settings)

    def prepare(self, settings: Settings, seed: int) -> list[list[str]]:
        """Each seed first trains the weights that two arms ask, from scratch (and at smoke) after the one model."""
        shared = any(self._asks(arm) == TRAINED for arm in self.arms(settings))
        return [*super().prepare(settings, seed), *([[TRAINED]] if shared else [])]

    def _asks(self, arm: str) -> str:
        """The job whose weights an arm asks, its own unless two arms share them."""
        return TRAINED if ARMS[arm].trained or any(other.trained == arm for other in ARMS.values()) else arm

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train one arm and ask it, writing its rows into ``folder``; resumes where a killed job stopped."""
        from workbook.studies.spatial import training

        if arm == ONE_MODEL:
            return training.train_one_model(settings, seed, folder, progress)
        weights = self.weights_of(settings, folder)
        if arm == TRAINED:
            return training.train(settings, "marked", seed, folder, weights, progress)
        if self._asks(arm) == arm:
            training.train(settings, arm, seed, folder, weights, progress)
        base = self.base_row(settings, arm, seed, weights)
        training.ask(settings, arm, folder, folder.parent / self._asks(arm), weights, base, progress)
