"""Study 1: does native resolution beat a fixed one, and is it the detail that decides?

Paper claim (our hypotheses H1a to H1c, ``hypotheses.toml``): native input clearly beats resizing to a fixed size with
the shape kept, above all where the task depends on detail; among fixed sizes larger is better. The sizes, data and
training of the paper's ablation are not public; ours are below, fixed before any report run.

At nano every arm starts from the same shipped encoder and reader (trained on native and square inputs), keeps the
encoder frozen (or trains it: ``encoder="trained"``), and trains on the same pictures in the same order for the same
steps. Arms differ only in the size at which pictures reach the encoder. The low-resolution second view is off in all
arms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from oryx.errors import MissingResource, SettingsError
from oryx.processing.resolution import Resolution
from workbook.data.corpora import data_hash
from workbook.data.pictures import PictureSizes
from workbook.runs.settings import StudySettings, setting
from workbook.stages import shipped
from workbook.studies.base import Study

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
CORPORA = ("fonts", "words", "icons", "clipart", "photos")
WEIGHTS = shipped.WEIGHTS / "nano"
SECONDS_A_STEP = {"frozen": 0.1, "trained": 0.5}
SECONDS_A_PICTURE = 0.0055


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


class NativeVsFixedResolution(Study[Settings]):
    """Arms, items and rows of the study; statistics and figures are shared with the other studies."""

    id = "native_vs_fixed_resolution"
    title = "Native against fixed resolution"
    notebook = "01_native_vs_fixed_resolution.ipynb"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = ARMS
    baseline = "native"
    long_arms: ClassVar[tuple[str, ...]] = ("native", "area_4")
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {"text": TEXT_TASKS, "objects": OBJECT_TASKS}

    def arms(self, settings: Settings) -> list[str]:
        """The arms of a run, in the order of all tables and figures."""
        return [arm for arm in ARMS if arm in settings.arms]

    def check(self, settings: Settings) -> None:
        """Raises, before any work, for a scale that cannot run here, settings that contradict each other or shared
        weights that are not the shipped ones."""
        if settings.scale == "paper":
            raise MissingResource(
                "scale 'paper' needs the public benchmarks through lmms-eval "
                f"({', '.join(settings.benchmarks)}) and released weights "
                f"(checkpoint={settings.checkpoint!r}); this study's benchmark adapter is not part of this version"
            )
        if settings.scale == "small" and not settings.from_scratch:
            raise MissingResource("scale 'small' has no shipped weights: add --from-scratch (one GPU)")
        if settings.batch > settings.train_items:
            raise SettingsError(f"batch: expected at most train_items, {settings.train_items}, got {settings.batch}")
        if settings.learning_rate <= 0:
            raise SettingsError(f"learning_rate: expected more than 0, got {settings.learning_rate:g}")
        if settings.side > (most := PictureSizes().largest_side):
            raise SettingsError(
                f"side: expected at most {most} (4 S² are too many patches beyond), got {settings.side}"
            )
        PictureSizes(settings.side)  # raises for a side that is too small
        if not trains_shared(settings):
            shipped.check_shared(WEIGHTS)

    def prepare(self, settings: Settings, seed: int) -> list[list[str]]:
        """From scratch (always at smoke, barely trained), each seed trains its own shared weights first."""
        return [[SHARED]] if trains_shared(settings) else []

    def hashes(self, settings: Settings, shared: Path | None = None) -> dict[str, str]:
        """What the numbers rest on beside the settings: the shared weights and the shipped data."""
        if trains_shared(settings) and shared is None:
            return {"weights_hash": "trained by this run", "data_hash": data_hash(CORPORA)}
        return {"weights_hash": shipped.shared_hash(shared or WEIGHTS), "data_hash": data_hash(CORPORA)}

    def describe(self, settings: Settings) -> dict:
        """Precision, attention, decoding and the prompts in full."""
        return {
            "dtype": "float32",
            "attention": "one picture at a time (exact path of the packed encoder)",
            "decoder": "none: stills",
            "prompt": "<visual>QUESTION\\n",
            "questions": QUESTIONS,
        }

    def plan(self, settings: Settings) -> dict:
        """Arms, steps and what they cost; minutes are those of the machine that the published run was made on."""
        steps = settings.train_steps * len(self.arms(settings)) * len(settings.seeds)
        pictures = settings.train_items * len(self.arms(settings)) * len(settings.seeds)
        minutes = steps * SECONDS_A_STEP[settings.encoder] / 60 + pictures * SECONDS_A_PICTURE / 60
        return {
            **super().plan(settings),
            "training steps": steps,
            "training pictures": pictures,
            "CPU minutes, about": round(minutes, 1),
            "memory a worker, GB, about": round(0.8 + settings.train_items * 64 * 192 * 4 / 1e9, 1),
            "disk, MB, about": round((20 * len(self.arms(settings)) + settings.train_items / 80) * len(settings.seeds)),
        }

    def run_job(
        self, settings: Settings, arm: str, seed: int, folder: Path, progress: Callable[[str, int, int], None]
    ) -> None:
        """Train one arm and write its rows into ``folder``; goes on where an earlier, killed job stopped."""
        from oryx.eval.pictures import ask_pictures
        from oryx.evidence.store import RowWriter
        from oryx.files import atomic_write_json
        from oryx.train.inputs import PictureInputs
        from oryx.train.loop import TrainPlan
        from workbook.stages.arm import ArmPlan, train_arm
        from workbook.stages.kept_items import kept_evaluation_items, shelf_of
        from workbook.stages.models import load_shared
        from workbook.stages.recipes import recipe
        from workbook.stages.shared import train_shared

        scale = settings.scale if trains_shared(settings) else "nano"
        if arm == SHARED:
            train_shared(recipe(scale), seed, folder, lambda done, total: progress("train", done, total))
            return
        shared = folder.parent / SHARED if trains_shared(settings) else WEIGHTS
        sizes = PictureSizes(side=settings.side)
        model = load_shared(recipe(scale), shared)
        tasks = (*(LEGIBLE_TASKS if arm == CONTROL else TEXT_TASKS), *OBJECT_TASKS)
        plan = ArmPlan(
            resolution=arm_resolution(arm, settings.side),
            mixture=dict.fromkeys(tasks, 1.0),
            sizes=sizes,
            items=settings.train_items,
            batch=settings.batch,
            plan=TrainPlan(settings.train_steps, settings.learning_rate, warmup=50),
            frozen=settings.encoder == "frozen",
        )
        curve = train_arm(model, plan, seed, folder, progress)
        atomic_write_json(folder / "curve.json", curve, indent=None)
        base = {
            "schema": 1,
            "study": self.id,
            "arm": arm,
            "seed": seed,
            "settings_hash": settings.settings_hash,
            **self.hashes(settings, shared),
        }
        runs = evaluations(arm, settings.side)
        total, done = sum(self._count(settings, task) for run in runs for task in run.tasks), 0
        shelf, count = shelf_of(folder), self._count
        items_of = cache(lambda task: kept_evaluation_items(shelf, task, settings.split, count(settings, task), sizes))
        with RowWriter(folder / "rows.jsonl") as writer:
            for run in runs:
                fields = {**base, "condition": run.condition}
                for task in run.tasks:
                    items = items_of(task)
                    if not all(writer.has({**fields, "item": item.id}) for item in items):
                        inputs = PictureInputs(items, run.resolution, sizes.patch, model)
                        ask_pictures(model, inputs, fields, run.visual, writer)
                    done += len(items)
                    progress("evaluate", done, total)

    @staticmethod
    def _count(settings: Settings, task: str) -> int:
        return settings.object_items if task in OBJECT_TASKS else settings.text_items


def trains_shared(settings: Settings) -> bool:
    """Whether a run trains its shared encoder and reader itself instead of using the shipped ones."""
    return settings.from_scratch or settings.scale == "smoke"


@dataclass(frozen=True)
class Evaluation:
    """One pass over held-out items: which tasks, at which resolution, with or without the picture."""

    condition: str
    tasks: tuple[str, ...]
    resolution: Resolution | None
    visual: bool = True


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
