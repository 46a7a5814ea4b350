"""Study 1: does native resolution beat a fixed one, and is it the detail that decides?

    python -m oryx run native_vs_fixed_resolution                # nano: 2 cores; "plan" estimates the time
    python -m oryx run native_vs_fixed_resolution --scale small --from-scratch     # one GPU

Expected at nano: native beats a fixed area of S² on text, most of all on large pictures; among fixed sizes larger is
better; on objects no difference can be shown.

Paper claim (our hypotheses H1a to H1c, ``hypotheses.toml``): native input clearly beats resizing to a fixed size with
the shape kept, above all where the task depends on detail; among fixed sizes larger is better. The sizes, data and
training of the paper's ablation are not public; ours are below, fixed before any report run.

At nano every arm starts from the same shipped encoder and reader (trained on native and square inputs), keeps the
encoder frozen (or trains it: ``encoder="trained"``), and trains on the same pictures in the same order for the same
steps. Arms differ only in the size at which pictures reach the encoder. The low-resolution second view is off in all
arms.
"""

from pathlib import Path
from typing import ClassVar, Literal

from oryx.errors import MissingResource, SettingsError
from oryx.processing.sizes import Resolution
from workbook.data.pictures import PictureSizes
from workbook.runs.settings import StudySettings, setting
from workbook.stages.shipped import SHARED as SHARED_FILES
from workbook.studies.base import Progress
from workbook.studies.pictures import ITEM_JOBS, Evaluation, PictureArm, PictureStudy

TEXT_TASKS = ("number", "word", "list", "page")
OBJECT_TASKS = ("icon", "clipart", "photo")
LEGIBLE_TASKS = tuple(f"{task}_legible" for task in TEXT_TASKS)
CONTROL, BLIND, SHARED = "area_matched_legible", "blind", "shared"
ARMS = ("native", "area_quarter", "area_1", "area_matched", "area_4", "squash", "pad", CONTROL, BLIND)
MATCHED = 1.2
"""Side of the token-matched arms over S: areas log-uniform in S²/4 to 4 S² have a mean above S². Then the shape-keeping
arm has native's mean number of tokens within 5 % (``tests/unit/studies/test_native_vs_fixed_resolution.py``)."""
QUESTIONS = {
    **dict.fromkeys(("number", "word"), "read"),
    "list": "the letter whose number is asked",
    "page": "marked",
    "icon": "name",
    **dict.fromkeys(("clipart", "photo"), "kind"),
}


def arm_resolution(arm: str, side: int) -> Resolution | None:
    """The resolution of an arm for the side S in pixels; None for the arm that never sees a picture."""
    matched = round(side * MATCHED)
    return {
        "native": Resolution("native"),
        "area_quarter": Resolution("area", side // 2),
        "area_1": Resolution("area", side),
        "area_matched": Resolution("area", matched),
        "area_4": Resolution("area", side * 2),
        "squash": Resolution("squash", matched),
        "pad": Resolution("pad", matched),
        CONTROL: Resolution("area", matched),
        BLIND: None,
    }[arm]


class Settings(StudySettings):
    """What a run of this study depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.native_vs_fixed_resolution"

    arms: tuple[Literal[ARMS], ...] = setting(ARMS, "arms to train and evaluate")
    encoder: Literal["frozen", "trained"] = setting(
        "frozen", "frozen: cached features; trained: learns with the reader"
    )
    split: Literal["dev", "report"] = setting("report", "held-out items: dev (seeds from 100) or report (seeds 0 to 4)")
    side: int = setting(48, "S in pixels: areas of pictures are S²/4 to 4 S²", least=1)
    train_items: int = setting(4000, "training pictures of a seed", least=1)
    train_steps: int = setting(400, "training steps of every arm", least=1)
    batch: int = setting(32, "pictures in a step", least=1)
    learning_rate: float = setting(5e-4, "peak learning rate")
    text_items: int = setting(150, "evaluation items of each text task", least=1)
    object_items: int = setting(300, "evaluation items of each object task", least=1)
    checkpoint: str = setting("", "scale paper: released weights, a folder or a repository name")
    benchmarks: tuple[str, ...] = setting(("ocrbench", "mmbench_en_dev"), "scale paper: public benchmarks")

    presets: ClassVar[dict[str, dict]] = {
        "smoke": {
            "arms": ("native", "area_matched", CONTROL, BLIND),
            "train_items": 40,
            "train_steps": 4,
            "batch": 8,
            "text_items": 4,
            "object_items": 4,
        },
        "small": {"train_items": 40000, "train_steps": 4000, "batch": 128, "text_items": 500, "object_items": 500},
        "paper": {"side": 768},
    }


class NativeVsFixedResolution(PictureStudy[Settings]):
    """Arms, items and rows of the study; statistics and figures are shared with the other studies."""

    id = "native_vs_fixed_resolution"
    title = "Native against fixed resolution"
    notebook = "01_native_vs_fixed_resolution.ipynb"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = ARMS
    baseline = usual_arm = "native"
    text_tasks, object_tasks = TEXT_TASKS, OBJECT_TASKS
    weight_files, weights_job, corpora = SHARED_FILES, SHARED, ("fonts", "words", "icons", "clipart", "photos")
    facts: ClassVar[dict] = PictureStudy.facts | {"questions": QUESTIONS}
    long_arms: ClassVar[tuple[str, ...]] = ("native", "area_4")
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {"text": TEXT_TASKS, "objects": OBJECT_TASKS}

    def check(self, settings: Settings) -> None:
        """Raises, before any work, for a scale that cannot run here, settings that contradict each other or shared
        weights that are not the shipped ones."""
        if settings.scale == "paper":
            raise MissingResource(
                "scale 'paper' needs the public benchmarks through lmms-eval "
                f"({', '.join(settings.benchmarks)}) and released weights "
                f"(checkpoint={settings.checkpoint!r}); this study's benchmark adapter is not part of this version"
            )
        if settings.batch > settings.train_items:
            raise SettingsError(f"batch: expected at most train_items, {settings.train_items}, got {settings.batch}")
        if settings.learning_rate <= 0:
            raise SettingsError(f"learning_rate: expected more than 0, got {settings.learning_rate:g}")
        if settings.side > (most := PictureSizes().largest_side):
            raise SettingsError(
                f"side: expected at most {most} (4 S² are too many patches beyond), got {settings.side}"
            )
        PictureSizes(settings.side)  # raises for a side that is too small
        super().check(settings)

    def picture_arm(self, settings: Settings, arm: str) -> PictureArm:
        """What an arm is trained on and asked."""
        tasks = (*(LEGIBLE_TASKS if arm == CONTROL else TEXT_TASKS), *OBJECT_TASKS)
        return PictureArm(
            resolution=arm_resolution(arm, settings.side),
            mixture=dict.fromkeys(tasks, 1.0),
            sizes=PictureSizes(side=settings.side),
            evaluations=evaluations(arm, settings.side),
            warmup=50,
            frozen=settings.encoder == "frozen",
        )

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train one arm and write its rows into ``folder``; goes on where an earlier, killed job stopped."""
        if arm in ITEM_JOBS:
            self.write_items(settings, arm, seed, folder, progress)
            return
        from workbook.stages.models import load_shared
        from workbook.stages.recipes import recipe
        from workbook.stages.shared import train_shared
        from workbook.studies.picture_training import compute, run_arm

        r = recipe(settings.recipe_scale)
        if arm == SHARED:
            machine = compute(settings.precision)
            train_shared(r, seed, folder, lambda done, total: progress("train", done, total), machine)
            return
        shared = self.weights_of(settings, folder)
        base = self.base_row(settings, arm, seed, shared)
        run_arm(self, settings, arm, load_shared(r, shared), seed, folder, base, progress)


def evaluations(arm: str, side: int) -> list[Evaluation]:
    """What an arm is asked.

    Beside its own resolution every arm answers without the picture. The native and the token-matched arm also answer at
    each other's resolution (the price of a train/test mismatch), and the control arm answers its own kind of items.
    """
    own = arm_resolution(arm, side)
    tasks = (*TEXT_TASKS, *OBJECT_TASKS)
    if arm == BLIND:
        return [Evaluation("no_visual", tasks, None, visual=False)]
    if arm == CONTROL:
        tasks = (*LEGIBLE_TASKS, *OBJECT_TASKS)
    asked = [Evaluation("visual", tasks, own), Evaluation("no_visual", tasks, None, visual=False)]
    if arm == "native":
        asked.append(Evaluation("at_area_matched", TEXT_TASKS, arm_resolution("area_matched", side)))
    if arm == "area_matched":
        asked.append(Evaluation("at_native", TEXT_TASKS, arm_resolution("native", side)))
    return asked
