"""Study 3: does the dynamic compressor beat a plain connector, is average pooling best inside it, and for its reason?

    python -m oryx run pooling_vs_dynamic_compression                    # nano: 2 cores, about 6 minutes per seed
    python -m oryx run pooling_vs_dynamic_compression -p panel=arms      # every connector; also ratios, on_demand
    python -m oryx run pooling_vs_dynamic_compression --scale medium --from-scratch     # one GPU, hours not measured
    python -m oryx run pooling_vs_dynamic_compression --scale small -p data=COPIES -p joint=RECORDS    # docs/small.md
    python -m oryx run pooling_vs_dynamic_compression --scale paper -p checkpoint=THUdyh/Oryx-7B -p data=COPIES

Expected at nano: no connector is clearly better than plain average pooling, the arms lie within a few points of each
other, and learned downsamplers that start cold move the features most.

Paper claim (H3a, H3b): on video the dynamic compressor beats an MLP; inside it average pooling beats learned
downsampling, "because having no parameters keeps the feature distribution". Benchmarks, data and sizes of the paper's
ablation are not public ("not found"), and there is no code for any other arm; ours are in
``oryx/model/connectors.py``, data in ``workbook/data/stories.py``, fixed before any report run.

At nano all arms start from one shipped encoder, which stays frozen, and from one projector and language model per seed
that learned the films uncompressed; then each trains connector, projector and language model on the same films at
mixed ratios. Arms differ in the connector alone.

At small every connector is trained on public pictures and videos from one start of a seed and asked about public video
benchmarks (:mod:`workbook.studies.public`). Never run on hardware.

At paper nothing is trained and only what released weights can show is asked, about public video benchmarks: ratios 1,
4 and 16, the compressor with its attention taken away, and frames against size against ratio at equal visual tokens
(:mod:`workbook.studies.compressor.released`). No released weights hold another connector.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from oryx.errors import InputError
from oryx.files import atomic_write_text, read_json
from workbook.data.stories import COARSE, FINE, QUESTIONS
from workbook.stages.shipped import SHARED as SHARED_FILES
from workbook.studies.base import VIDEO_FACTS, Progress, Run
from workbook.studies.compressor.arms import ARMS, PATCH, RELEASED, region_side
from workbook.studies.compressor.cells import arms_of, picture_side, ratios_of, trained_ratios
from workbook.studies.compressor.settings import Settings
from workbook.studies.public.settings import Course
from workbook.studies.public.study import PublicStudy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from workbook.studies.asking import Question, Way

SHARED, START = "shared", "start"


class PoolingVsDynamicCompression(PublicStudy[Settings]):
    """Arms, items and rows of the study; statistics are shared with the other studies."""

    id = "pooling_vs_dynamic_compression"
    title = "Pooling against dynamic compression"
    notebook = "03_pooling_vs_dynamic_compression.ipynb"
    settings_class = Settings
    hypotheses_file = Path(__file__).with_name("hypotheses.toml")
    arm_order = tuple(ARMS)
    baseline = "dynamic"
    weight_files, weights_job, corpora = SHARED_FILES, SHARED, ("fonts", "icons", "photos", "clipart")
    long_arms: ClassVar[tuple[str, ...]] = ("mlp", "on_demand")
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {"fine": FINE, "coarse": COARSE}
    needed, drawn_arms = ("align", "sft", "joint"), ("mlp_smaller", "on_demand")
    known = ("videomme", "mlvu", "nextqa", "mvbench", "longvideobench")
    facts: ClassVar[dict] = VIDEO_FACTS | {
        "dtype": "as precision says, frame features kept in float16",
        "questions": QUESTIONS,
    }

    def arms(self, settings: Settings) -> list[str]:
        """The arms of a run, in the order of all tables and figures."""
        return arms_of(settings)

    def check(self, settings: Settings) -> None:
        """Raises MissingResource, CheckpointError or InputError before any work if this run cannot be done."""
        for ratio in settings.ratios:
            if region_side(ratio) > 5:
                raise InputError(f"ratios: learned connectors have kernels up to 25x, got {ratio}")
        if settings.scale == "paper":
            if wrong := [arm for arm in arms_of(settings) if arm not in RELEASED]:
                raise InputError(f"arms: scale 'paper' trains nothing, it has {', '.join(RELEASED)}; got {wrong[0]}")
            super().check(settings)
            from workbook.studies.compressor.released import check_lengths

            return check_lengths(settings, arms_of(settings))
        if self.on_parts(settings):
            return super().check(settings)
        if settings.side % PATCH or not 16 <= picture_side(settings) <= 96:
            raise InputError(f"side: expected a multiple of {PATCH} from 16 to 96 pixels, got {settings.side}")
        asked = set(ratios_of(settings))
        if wrong := [arm for arm in arms_of(settings) if not {ARMS[arm].only or 1} <= asked]:
            raise InputError(f"arms: {', '.join(wrong)} train at a ratio that this run does not have: {sorted(asked)}")
        super().check(settings)

    def prepare(self, settings: Settings, seed: int) -> list[list[str]]:
        """Each seed first writes and encodes its films and trains the start that its arms share."""
        if self.on_parts(settings):
            return [*super().prepare(settings, seed), [START]]
        return [] if settings.scale == "paper" else [[SHARED]]

    def arm_course(self, settings: Settings, job: str) -> Course:
        """As every study's: all arms go on from one model that has learned pictures, where no connector compresses."""
        if job == START:
            return Course(("align", "sft"), connector="average_x2")
        own, sides = ARMS[job], {"video": tuple(map(region_side, trained_ratios(settings, job)))}
        return Course(("joint",), None, "", START, own.connector, own.factor, sides, not own.blind)

    def longest_course(self, settings: Settings) -> Course:
        """As every study's: pictures as all arms have them, videos at the lowest ratio of any."""
        sides = [side for arm in arms_of(settings) for side in self.course(settings, arm).sides["video"]]
        return Course((), sides={"video": (min(sides),)})

    def public_questions(self, settings: Settings, arm: str) -> "Iterator[tuple[list[Question], Way]]":
        """As every study's: every benchmark at each ratio of the arm."""
        from workbook.studies.compressor.released import asked

        return asked(settings, arm)

    def own_figures(self, run: Run, settings: Settings, arms: list[str]) -> dict[str, tuple]:
        """Scores by task and ratio, the shift of features, where attention looks, tokens and cost."""
        from workbook.studies.compressor import figures

        if settings.scale in self.copy_scales:
            ratios = {"score_by_ratio": figures.score_by_ratio(run.rows, arms, self.groups(settings))}
            return {"equal_tokens": figures.equal_tokens(run.rows)} if arms == ["on_demand"] else ratios
        found = {
            "score_by_ratio": figures.score_by_ratio(run.rows, arms, self.groups(settings)),
            "score_by_task": figures.score_by_kind(run.rows, arms),
            "shift": figures.shift_figure(run.rows, arms),
        }
        if len(maps := probes_of(run)["attention"]):
            found["attention"] = figures.attention_figure(settings, maps)
        if "on_demand" in arms:
            found["on_demand"] = figures.on_demand_figure(run.rows)
        return found

    def draw(self, run: Run, settings: Settings) -> None:
        """Also writes ``answers.csv`` and ``connectors.csv``: what the figures do not show."""
        super().draw(run, settings)
        found = probes_of(run)
        for name in ("answers", "connectors") if settings.scale not in self.copy_scales else ():
            atomic_write_text(run.folder / "figures" / f"{name}.csv", found[name].to_csv(index=False))

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train one arm (at scale paper only ask it) and write its rows into ``folder``; a killed job goes on."""
        if self.on_parts(settings):
            return super().run_job(settings, arm, seed, folder, progress)
        if settings.scale == "paper":
            from workbook.studies.compressor import released

            return released.run_arm(settings, arm, folder, self.base_row(settings, arm, seed), progress)
        from workbook.studies.compressor import training

        shared = folder.parent / SHARED
        encoder = self.weights_of(settings, folder)
        if arm == SHARED:
            return training.prepare(settings, seed, folder, encoder, progress)
        base = self.base_row(settings, arm, seed, encoder)
        return training.run_arm(settings, arm, seed, folder, shared, encoder, base, progress)


def probes_of(run: Run) -> "dict[str, pd.DataFrame]":
    """What the arms of the first seed left beside their rows, in a run's folders or its published files.

    ``attention``: maps; ``answers`` about the real clips; ``connectors``: what each arm's connector is, starts from and
    has in parameters, with the loss of the first steps over all seeds.
    """
    import pandas as pd  # here, not above: workers need no frames

    names = ("attention", "answers", "connectors")
    if not (folders := {path.parents[2] for path in run.folder.glob("seed-*/arms/*/probes.json")}):
        files = {name: run.folder / "figures" / f"{name}.csv" for name in names}
        return {name: pd.read_csv(file) if file.is_file() else pd.DataFrame() for name, file in files.items()}
    first = min(folders, key=lambda seed: int(seed.name.removeprefix("seed-")))
    left = [read_json(path) for path in sorted(first.glob("arms/*/probes.json"))]
    found = {name: pd.DataFrame([line for probes in left for line in probes[name]]) for name in names}
    losses = run.curves[run.curves["step"] == run.curves["step"].min()].groupby("arm")["loss"].mean().round(3)
    found["connectors"]["loss of the first steps"] = found["connectors"]["arm"].map(losses)
    return found
