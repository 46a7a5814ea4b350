"""Study 1: does native resolution beat a fixed one, and is it the detail that decides?

    python -m oryx run native_vs_fixed_resolution                # nano: 2 cores, about 7 minutes per seed
    python -m oryx run native_vs_fixed_resolution --scale medium --from-scratch     # one GPU, hours not measured
    python -m oryx run native_vs_fixed_resolution --scale small -p data=COPIES    # one GPU, public parts: docs/small.md
    python -m oryx run native_vs_fixed_resolution --scale paper -p checkpoint=THUdyh/Oryx-1.5-7B -p data=COPIES

Expected at nano: native beats a fixed area of S² on text, most of all on large pictures; among fixed sizes larger is
better; on objects no difference can be shown.

Paper claim (our hypotheses H1a to H1c, ``hypotheses.toml``): native input clearly beats resizing to a fixed size with
the shape kept, above all where the task depends on detail; among fixed sizes larger is better. The sizes, data and
training of the paper's ablation are not public; ours are below, fixed before any report run.

At nano every arm starts from the same shipped encoder and reader (trained on native and square inputs), keeps the
encoder frozen (or trains it: ``encoder="trained"``), and trains on the same pictures in the same order for the same
steps. Arms differ only in the size at which pictures reach the encoder. The low-resolution second view is off in all
arms.

At small every arm is trained from public parts on public records at its size, with a tower that was made at native
size, and asked about OCRBench and MMBench (:mod:`workbook.studies.public`). Never run on hardware.

At paper nothing is trained: released weights, trained at native size, are asked about public benchmarks whose pictures
are brought to each arm's size before (:mod:`workbook.studies.native_resolution.released`), each with its second view.
Whether the paper's arms were trained apart or asked differently is not found; here a fixed arm is also asked away from
what it was trained at.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from oryx.errors import SettingsError
from oryx.processing.context import PATCH
from oryx.processing.sizes import Resolution
from workbook.data.items import OBJECT_TASKS
from workbook.data.pictures import PictureSizes
from workbook.data.protocols import protocol
from workbook.runs.settings import setting
from workbook.stages.shipped import SHARED as SHARED_FILES
from workbook.studies import released
from workbook.studies.base import Progress
from workbook.studies.pictures import FACTS, PictureArm, PictureSettings
from workbook.studies.public.settings import SMALL, Course, PublicSettings, public_presets
from workbook.studies.public.study import PublicStudy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT_TASKS = ("number", "word", "list", "page")
LEGIBLE_TASKS = tuple(f"{task}_legible" for task in TEXT_TASKS)
CONTROL, BLIND, SHARED = "area_matched_legible", "blind", "shared"
ARMS = ("native", "area_quarter", "area_1", "area_matched", "area_4", "squash", "pad", CONTROL, BLIND)
# Areas log-uniform in S²/4 to 4 S² have a mean above S². With this side the shape-keeping arm has native's mean number
# of tokens within 5 % (tests/unit/studies/test_native_vs_fixed_resolution.py).
MATCHED = 1.2
"""Side of the token-matched arms over S."""


def arm_resolution(arm: str, side: int, scale: str = "nano") -> Resolution | None:
    """The resolution of an arm for the side S in pixels; None for the arm that never sees a picture.

    On public pictures, whose sizes are what they are, squares have the side S.
    """
    matched = side if scale in (SMALL, "paper") else round(side * MATCHED)
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


class Settings(PictureSettings, PublicSettings):
    """What a run of this study depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.native_vs_fixed_resolution"

    arms: tuple[Literal[ARMS], ...] = setting(ARMS, "arms to train and evaluate")
    encoder: Literal["frozen", "trained"] = setting(
        "frozen", "frozen: cached features; trained: learns with the reader"
    )
    side: int = setting(48, "S in pixels: areas of pictures are S²/4 to 4 S²", least=1)
    checkpoint: str = setting("", "scale paper: released weights, a folder or a repository name")
    benchmarks: tuple[str, ...] = setting(("ocrbench", "mmbench_en_dev"), "scale paper: public benchmarks")

    presets = public_presets(__file__)


class NativeVsFixedResolution(PublicStudy[Settings]):
    """Arms, items and rows of the study; statistics and figures are shared with the other studies."""

    id = "native_vs_fixed_resolution"
    title = "Native against fixed resolution"
    notebook = "01_native_vs_fixed_resolution.ipynb"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = ARMS
    baseline = "native"
    weight_files, weights_job, corpora = SHARED_FILES, SHARED, ("fonts", "words", "icons", "clipart", "photos")
    facts = FACTS
    long_arms: ClassVar[tuple[str, ...]] = ("native", "area_4")
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {"text": TEXT_TASKS, "objects": tuple(OBJECT_TASKS)}
    known, drawn_arms = ("ocrbench", "mmbench"), ("area_matched", CONTROL)

    def check(self, settings: Settings) -> None:
        """Raises, before any work, for what is missing, settings that contradict each other or shared weights that are
        not the shipped ones."""
        if settings.scale == "paper" and (lacking := set(settings.arms) & {"area_matched", CONTROL, BLIND}):
            raise SettingsError(f"arms: {', '.join(sorted(lacking))} are for pictures that are drawn, not for paper")
        if settings.scale in self.copy_scales:
            return super().check(settings)
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

    def gallery(self, settings: Settings) -> "Figure":
        """Pictures as the encoder gets them in every arm: items that are drawn, or the benchmarks' own."""
        from workbook.studies import gallery

        if settings.scale not in self.copy_scales:
            return gallery.gallery(self, settings, ["number", "page", "icon"], "area_ratio")
        from workbook.studies.native_resolution.released import largest

        views = {arm: arm_resolution(arm, settings.side, "paper") for arm in self.arms(settings) if arm != BLIND}
        return gallery.drawn(largest(settings), views, PATCH, protocol(settings.protocol).options.high.stride)

    def picture_arm(self, settings: Settings, arm: str) -> PictureArm:
        """What an arm is trained on and asked."""
        tasks = (*(LEGIBLE_TASKS if arm == CONTROL else TEXT_TASKS), *OBJECT_TASKS)
        # the price of a mismatch between training and test
        other = {"native": "area_matched", "area_matched": "native"}.get(arm)
        return PictureArm(
            resolution=arm_resolution(arm, settings.side),
            mixture=dict.fromkeys(tasks, 1.0),
            sizes=PictureSizes(side=settings.side),
            also=[(f"at_{other}", task, arm_resolution(other, settings.side)) for task in TEXT_TASKS if other],
            warmup=50,
            frozen=settings.encoder == "frozen",
        )

    def arm_course(self, settings: Settings, job: str) -> Course:
        """As every study's: arms differ in the size of pictures alone, and share a tower made at native size."""
        view = None if job == "native" else arm_resolution(job, settings.side, settings.scale)
        return Course(("sft",), seeing=False) if job == BLIND else Course(("align", "sft"), view)

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train one arm (at scale paper only ask it) and write its rows into ``folder``; a killed job goes on."""
        if self.on_parts(settings):
            return super().run_job(settings, arm, seed, folder, progress)
        if settings.scale == "paper":
            from workbook.studies.native_resolution.released import asked

            base, resolution = self.base_row(settings, arm, seed), arm_resolution(arm, settings.side, "paper")
            base["protocol"] = settings.protocol
            return released.ask(settings, asked(settings, settings.side, resolution), base, folder, progress)
        from oryx.train.device import compute
        from workbook.stages.models import load_shared
        from workbook.stages.shared import run as train_shared
        from workbook.stages.stage import Options
        from workbook.studies.picture_training import run_arm

        scale, weights = settings.recipe_scale, self.weights_of(settings, folder)
        if arm == SHARED:
            machine, show = compute(settings.precision), partial(progress, "train")
            return train_shared(Options(scale, seed, folder, compute=machine, progress=show))
        model, base = load_shared(scale, weights), self.base_row(settings, arm, seed, weights)
        run_arm(settings, self.picture_arm(settings, arm), model, folder, base, progress)
