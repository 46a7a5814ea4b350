"""Study 5: do marks that say which object of one view is which of another help a model to understand a room?

    python -m oryx run spatial_correspondence                            # nano: 2 cores, about 8 minutes per seed
    python -m oryx run spatial_correspondence --scale paper -p checkpoint=FOLDER -p data=COPIES -p marked=FRAMES

Expected at nano: what one view shows is learned in part; whether marks help across views, five seeds and 160 rooms
tell only where the difference is large.

Paper claim (H5a): for 3D understanding Oryx trains on ScanQA with coarse correspondences, numbers painted on tracked
objects. How they are drawn, and any comparison without them, is not public ("not found"), and the released code has no
format for them: marked frames are ordinary frames of a video. Rooms, marks and questions are ours
(``workbook/data/rooms.py``), fixed before any report run. H5b, that several views are understood together, is implied.

All arms start from the one model that ships. Its encoder stays frozen, views are encoded once and shown in the layout
of videos at 4x; compressor, projector and language model learn from the same questions about the same rooms in the same
order. Arms differ in what is painted onto the views, and in how many of them are shown.

At paper nothing is trained: released weights are asked about ScanQA, with all frames of a scene, with the one in its
middle, blind, and with marks where somebody has painted them (:mod:`workbook.studies.spatial.released`).
"""

from math import isqrt
from pathlib import Path
from typing import Any, ClassVar

from oryx.errors import SettingsError
from workbook.data.rooms import ANSWERS, OF_VIEWS, SIDE
from workbook.stages import shipped
from workbook.studies.base import Progress
from workbook.studies.released import Items, ReleasedStudy
from workbook.studies.spatial.arms import ARMS
from workbook.studies.spatial.settings import Settings

ONE_MODEL, TRAINED = "one_model", "marked_training"
MARKED = "marked"
RELEASED = (MARKED, "unmarked", "single_view", "blind")
"""What released weights are asked: nothing is trained, so nothing is trained with other marks."""


class SpatialCorrespondence(ReleasedStudy[Settings]):
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
    known = ("scanqa",)
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

    def prepare(self, settings: Settings, seed: int) -> list[list[str]]:
        """Each seed first trains the weights that two arms ask, from scratch (and at smoke) after the one model."""
        if settings.scale in self.released_scales:
            return []
        shared = any(self._asks(arm) == TRAINED for arm in self.arms(settings))
        return [*super().prepare(settings, seed), *([[TRAINED]] if shared else [])]

    def arms(self, settings: Settings) -> list[str]:
        """As every study's; of released weights ``marked`` only where there are frames with marks."""
        there = settings.marked or settings.scale not in self.released_scales
        return [arm for arm in super().arms(settings) if there or arm != MARKED]

    def describe(self, settings: Settings) -> dict[str, Any]:
        """As every study's; nothing is said of rooms where there are none."""
        said = super().describe(settings)
        if settings.scale not in self.released_scales:
            return said
        return {name: value for name, value in said.items() if self.facts.get(name) != value}

    def check(self, settings: Settings) -> None:
        """As every study's; raises SettingsError for a ratio that is no square, and arms that released weights lack."""
        if isqrt(settings.ratio) ** 2 != settings.ratio:
            raise SettingsError(f"ratio: expected a square such as 1, 4 or 16, got {settings.ratio}")
        if settings.scale in self.released_scales:
            if lacking := [arm for arm in settings.arms if arm not in RELEASED]:
                raise SettingsError(f"arms: {', '.join(lacking)}: not for paper, which has {', '.join(RELEASED)}")
            if not self.arms(settings):
                raise SettingsError("arms: marked alone needs frames with marks: -p marked=FOLDER")
        super().check(settings)

    def copies(self, settings: Settings) -> dict[str, Items]:
        """As every study's, with the frames that are marked if they are asked about."""
        from workbook.studies.spatial.released import scenes

        found = {settings.protocol: scenes(settings)}
        return found | ({MARKED: scenes(settings, marked=True)} if MARKED in self.arms(settings) else {})

    def _asks(self, arm: str) -> str:
        """The job whose weights an arm asks, its own unless two arms share them."""
        return TRAINED if ARMS[arm].trained or any(other.trained == arm for other in ARMS.values()) else arm

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train one arm and ask it, writing its rows into ``folder``; resumes where a killed job stopped."""
        if settings.scale in self.released_scales:
            from workbook.studies.spatial.released import run_arm

            return run_arm(settings, arm, folder, self.base_row(settings, arm, seed), progress)
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
