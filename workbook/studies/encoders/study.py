"""Study 2: is OryxViT the better encoder than SigLIP, and is it native resolution or more training?

    python -m oryx run oryxvit_vs_siglip     # nano: 2 cores; all seeds but 0 train their encoders first
    python -m oryx run oryxvit_vs_siglip --scale small -p data=COPIES     # docs/small.md; paper: with larger parts

Paper claim (H2a to H2c, ``reading.toml``): OryxViT aligns image and language better than SigLIP; SigLIP cannot be
used at native resolution; with OryxViT native beats dynamic partition. Tile layout, benchmarks, data and numbers of the
paper's ablation are not public ("not found"). OryxViT had seen far more training than SigLIP; the control that tells
this apart from native resolution is ours.

At small and paper a public SigLIP is continued twice on public records, and every arm learns from such; asked are
OCRBench and MMBench (:mod:`workbook.studies.public`). Never run on hardware. At the other scales:

Each seed pre-trains a SigLIP and continues it three times (``workbook/stages/encoders.py``). Then every arm freezes one
encoder, and the same language model with the same new projector learns from its features: same pictures, order and
steps. That language model has read pictures in every form before, with an encoder that is not compared
(``workbook/stages/encoders.py``; at scales of another shape it is new). Seed 0's encoders ship with the package;
other seeds train their own.
"""

from pathlib import Path
from typing import Any, ClassVar

from oryx.errors import MissingResource, SettingsError
from oryx.files import atomic_write_text, sha256_file
from workbook.studies.base import Progress, Run
from workbook.studies.encoders.arms import ARMS, ENCODERS, arm_view, encoders_of
from workbook.studies.encoders.settings import PART_SCALES, Settings
from workbook.studies.pictures import FACTS, PictureArm
from workbook.studies.public.settings import Course
from workbook.studies.public.study import PublicStudy

TEXT_TASKS = ("number", "word", "page")
MIXTURE = {"number": 3.0, "word": 3.0, "page": 2.0, "icon": 2.0}
"""How often the arms meet each task in training; reading takes longest to learn."""
ENCODER_JOBS = tuple(f"encoder_{name}" for name in ENCODERS)
SHIPPED = ("siglip", "continued_fixed", "continued_native", "continued_mixed")
PROBES = "probes"


class OryxViTvsSigLIP(PublicStudy[Settings]):
    """Arms, items and rows of the study; statistics and most figures are shared with the other studies."""

    id = "oryxvit_vs_siglip"
    title = "OryxViT against SigLIP"
    notebook = "02_oryxvit_vs_siglip.ipynb"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("reading.toml")
    arm_order = tuple(ARMS)
    baseline = "oryxvit_native"
    corpora = ("fonts", "words", "icons", "clipart", "photos", "tables")
    facts: ClassVar[dict] = FACTS | {"dtype": f"{FACTS['dtype']}; encoders stored in 8 bits, features in float16"}
    long_arms: ClassVar[tuple[str, ...]] = tuple(arm for arm in ARMS if arm.endswith("_partition"))
    tables: ClassVar[tuple[str, ...]] = ("probes.csv",)
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {"text": TEXT_TASKS, "objects": ("icon",)}
    known, needed = ("ocrbench", "mmbench"), ("pretrain", "align", "sft")
    released_scales, copy_scales, part_scales = (), PART_SCALES, PART_SCALES
    drawn_arms = ("oryxvit_partition_matched", "oryxvit_budget", "mixed_fixed", "mixed_native")

    def check(self, settings: Settings) -> None:
        """Raises MissingResource or SettingsError before any work if this run cannot be done."""
        if settings.side % (2 * settings.patch):
            raise SettingsError(f"side: expected a multiple of two patches ({2 * settings.patch}), got {settings.side}")
        super().check(settings)
        if self.on_parts(settings):
            return
        if settings.scale == "medium" and not settings.from_scratch:
            raise MissingResource("scale 'medium' has no shipped encoders: add --from-scratch (one GPU)")
        if settings.batch > settings.train_items:
            raise SettingsError(f"batch: expected at most train_items, {settings.train_items}, got {settings.batch}")
        lacking = [name for name in SHIPPED if not (self.weights / f"{name}.safetensors").is_file()]
        if lacking and not all(map(settings.trains_encoders, settings.seeds)):
            raise MissingResource(
                f"{self.weights} lacks {', '.join(lacking)}: add --from-scratch to train the encoders"
            )

    def plan(self, settings: Settings) -> dict[str, Any]:
        """As every study's, with the steps and pictures of encoders that are trained on drawn pictures."""
        found, r = super().plan(settings), settings.recipe
        if settings.trains_encoders(settings.seeds[0]) and not self.on_parts(settings):
            found["steps of a continued encoder"] = f"{r.reader_steps} of {r.phases[-1].batch} pictures"
        return found

    def prepare(self, settings: Settings, seed: int) -> list[list[str]]:
        """SigLIP, then the continued encoders, unless shipped."""
        if self.on_parts(settings):
            return super().prepare(settings, seed)
        if not settings.trains_encoders(seed):
            return []
        first, *continued = (f"encoder_{name}" for name in encoders_of(settings.arms))
        return [[first], continued]

    def further_jobs(self, settings: Settings) -> list[str]:
        """The probes of the encoders."""
        return [PROBES]

    def hashes(self, settings: Settings) -> dict[str, str]:
        """The shipped encoders, or that a seed trains its own, and the data; rows name their seed's encoders."""
        if self.on_parts(settings):
            return super().hashes(settings)
        weights = "trained by this run"
        if not settings.trains_encoders(settings.seeds[0]):
            weights = "+".join(sha256_file(self.weights / f"{name}.safetensors")[:8] for name in SHIPPED)
        return super().hashes(settings) | {"weights_hash": weights}

    def picture_arm(self, settings: Settings, arm: str) -> PictureArm:
        """What an arm is trained on and asked."""
        return PictureArm(arm_view(arm, settings.side), MIXTURE, settings.recipe.phases[-1].sizes)

    def collect(self, settings: Settings) -> Run:
        """As every study's, and ``probes.csv``: the probes of the encoders, one line a number, all seeds."""
        import pandas as pd  # here, not above: workers need no frames

        folder = self.run_folder(settings)
        probed = [folder / f"seed-{seed}" / "arms" / PROBES / "probes.json" for seed in settings.seeds]
        if all(path.exists() for path in probed):
            text = pd.concat(map(pd.read_json, probed), ignore_index=True).to_csv(index=False)
            atomic_write_text(folder / "probes.csv", text)
        return super().collect(settings)

    def own_figures(self, run: Run, settings: Settings, arms: list[str]) -> dict[str, tuple]:
        """Scores by task, tokens, size and aspect ratio, and probes."""
        import pandas as pd

        from workbook.studies.encoders import figures

        return {
            **super().own_figures(run, settings, arms),
            "score_by_aspect": figures.score_by_aspect(run.rows, arms, self.groups(settings), self.arm_order),
            "probes": figures.probes_figure(probes := pd.read_csv(run.folder / "probes.csv"), encoders_of(ARMS)),
            "changes": figures.probes_figure(probes, encoders_of(ARMS), figures.CHANGES),
            "crossed_scores": figures.crossed_scores(run.rows, self.groups(settings)),
        }

    def towers(self, settings: Settings) -> list[str]:
        """As every study's: SigLIP continued on its own squares, and at native size; on the same records."""
        return list(ENCODER_JOBS[1:])

    def arm_course(self, settings: Settings, job: str) -> Course:
        """As every study's: a tower that stays frozen, and the input that its arm reads."""
        if job in ENCODER_JOBS:
            return Course(("pretrain",), arm_view("control_fixed", settings.side) if "control" in job else None)
        encoder, form = ARMS[job]
        view, tower = arm_view(job, settings.side), "" if encoder == "siglip" else f"encoder_{encoder}"
        stages = ("align", "sft") if form else ("sft",)  # the blind arm has nothing to align
        return Course(stages, None if form == "native" else view, tower, seeing=bool(form))

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train an encoder, probe all of them, or train one arm and write its rows; resumes after a kill."""
        from workbook.studies.encoders import jobs

        if self.on_parts(settings) and arm != PROBES:
            super().run_job(settings, arm, seed, folder, progress)
        elif arm.startswith("encoder_"):
            jobs.train(settings, arm.removeprefix("encoder_"), seed, folder, progress)
        elif arm == PROBES:
            jobs.probe(settings, seed, folder, progress)
        else:
            own, base = self.picture_arm(settings, arm), self.base_row(settings, arm, seed)
            jobs.run_arm(settings, arm, own, seed, folder, base, progress)
