"""One's own pictures and videos: a table of questions asked under several conditions, judged as the studies are.

    python -m oryx run own_data --no-notebook -p data=my_table.csv -p compressions=4x,16x       # a GPU for large models

Expected: what your hypotheses say. Arms are every combination of the listed models, resolutions and compression ratios.
A model is an Oryx, or a folder of any other image-text-to-text model of transformers, which has no ratio to choose and
is asked at ``auto`` alone. Nothing is trained. Unless a file of hypotheses is given, the first arm is held against
chance and against every other arm.

A model is one training run, so its rows are one seed, and verdicts give a direction only: the interval covers the
items, not what another training of the same model would answer. Whoever has several trainings of one model names them
by a pattern, ``my-model-{seed}``, and passes their seeds.
"""

import hashlib
import re
from itertools import product
from math import isqrt
from pathlib import Path
from typing import Any, ClassVar

from oryx.errors import SettingsError
from oryx.evidence.hypotheses import Hypothesis, load_hypotheses
from oryx.files import read_json
from workbook.data.own_data import OwnItem, data_hash, read_table, write_example
from workbook.studies.base import Progress, Study
from workbook.studies.own_data.settings import EXAMPLE, Settings

SEED = "{seed}"
OWN = "own data"
"""What stands in the place of the paper's number."""


def arms_of(settings: Settings) -> dict[str, dict[str, str]]:
    """Name -> model, resolution and compression of an arm, the baseline first.

    A name says what differs between the arms of the run, or the resolution.
    """
    parts = {"model": settings.models, "resolution": settings.resolutions, "compression": settings.compressions}
    differing = [part for part, values in parts.items() if len(values) > 1] or ["resolution"]
    found: dict[str, dict[str, str]] = {}
    for values in product(*parts.values()):
        arm = dict(zip(parts, values, strict=True))
        if arm["compression"] != "auto" and is_public(arm["model"].replace(SEED, str(settings.seeds[0]))):
            continue
        shown = {**arm, "model": Path(arm["model"].replace(SEED, "")).name.strip("-_.") or "model"}
        name = "_".join(shown[part] for part in differing)
        if name in found:
            raise SettingsError(f"two arms would both be called {name!r}: {found[name]} and {arm}")
        found[name] = arm
    if not found:
        raise SettingsError("models, resolutions, compressions: expected at least one each, auto if it is no Oryx")
    return found


def is_public(model: str) -> bool:
    """Whether this is the folder of a model that transformers knows as image-text-to-text, which no Oryx is."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    config = Path(model) / "config.json"
    return config.is_file() and read_json(config).get("model_type") in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def options_of(arm: dict[str, str]) -> dict[str, Any]:
    """Resolution and compression as ``model.ask`` takes them; raises SettingsError for a word that is neither."""
    from oryx.processing.sizes import KINDS, Resolution

    resolution, compression = arm["resolution"], arm["compression"]
    kind, _, side = resolution.partition("_")
    if resolution != "native" and (kind not in KINDS[1:] or not side.isdecimal()):
        raise SettingsError(f"resolutions: expected native, area_S, squash_S or pad_S (S pixels), got {resolution!r}")
    ratio = int(compression[:-1]) if re.fullmatch(r"[1-9]\d*x", compression) else 0
    if compression != "auto" and (not ratio or isqrt(ratio) ** 2 != ratio):
        raise SettingsError(f"compressions: expected auto or the square of a whole side (1x, 4x), got {compression!r}")
    return {"resolution": Resolution(kind, int(side)) if side else resolution, "compression": ratio or compression}


class OwnData(Study[Settings]):
    """The study behind ``notebooks/templates/own_data.ipynb``."""

    id = "own_data"
    title = "Own data"
    notebook = "templates/own_data.ipynb"
    settings_class = Settings
    arm_order = ()
    baseline = ""
    facts: ClassVar[dict] = {
        "dtype": "bfloat16 on a GPU, float32 elsewhere",
        "attention": "auto (packed encoder)",
        "decoder": "PyAV",
        "prompts": "the model's own form around each question; every question of the table is in the rows",
    }

    def table(self, settings: Settings) -> Path:
        """The table of a run; the example is drawn when it is asked for first."""
        example = Path(settings.results) / "runs" / self.id / EXAMPLE
        return write_example(example) if settings.data == EXAMPLE else Path(settings.data)

    def items(self, settings: Settings) -> list[OwnItem]:
        """The items of a run; raises SettingsError as :func:`workbook.data.own_data.read_table`, or if none is left."""
        found = [item for item in read_table(self.table(settings)) if item.split in (None, settings.split)]
        if not found:
            raise SettingsError(f"data: {settings.data} has no item of split {settings.split!r}")
        return found[: settings.items]

    def arms(self, settings: Settings) -> list[str]:
        """Every combination of models, resolutions and compressions; the first is what the others are compared with."""
        return list(arms_of(settings))

    def check(self, settings: Settings) -> None:
        """Raises, before any work, for a table, an arm, a model, a decoder or hypotheses that cannot be used."""
        if settings.from_scratch:
            raise SettingsError("from_scratch: nothing is trained on one's own data; name models instead")
        super().check(settings)
        self.items(settings)
        for arm in arms_of(settings).values():
            options_of(arm)
            if SEED not in arm["model"] and len(settings.seeds) > 1:
                raise SettingsError(
                    f"seeds: model {arm['model']!r} gives the same answers again for every seed; name several "
                    f"trainings by a pattern such as 'my-model-{SEED}', or pass one seed"
                )
        self.hashes(settings)
        self.hypotheses(settings)

    def hashes(self, settings: Settings) -> dict[str, str]:
        """sha256 over the files of all models of the run, and over the table with every file it names."""
        from oryx.model.loading import checkpoint_hash, files_hash

        names = sorted({model.replace(SEED, str(seed)) for model in settings.models for seed in settings.seeds})
        weights = [files_hash(name) if is_public(name) else checkpoint_hash(name) for name in names]
        one = weights[0] if len(weights) == 1 else hashlib.sha256(" ".join(weights).encode()).hexdigest()[:16]
        return {"weights_hash": one, "data_hash": data_hash(self.table(settings), self.items(settings))}

    def hypotheses(self, settings: Settings) -> list[Hypothesis]:
        """Those of the file; without one: the first arm is above chance, and above every other arm."""
        if settings.hypotheses:
            return load_hypotheses(settings.hypotheses)
        tasks: dict[str, list[float]] = {}
        for item in self.items(settings):
            tasks.setdefault(item.task, []).append(item.chance)
        chance = sum(sum(each) / len(each) for each in tasks.values()) / len(tasks)
        first, *others = self.arms(settings)
        common = {"study": self.id, "paper": "own", "tasks": tuple(tasks), "paper_value": OWN}
        stated = {"id": f"own.{first}.above_chance", "statement": f"{first} scores above chance ({chance:.2f})"}
        made = [Hypothesis(**stated, **common, kind="level", arms=(first,), level=chance)]
        for arm in others:
            stated = {"id": f"own.{first}.{arm}", "statement": f"{first} scores higher than {arm}"}
            made.append(Hypothesis(**stated, **common, kind="difference", arms=(first, arm)))
        return made

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Ask one arm every item, with the visual and without; an interrupted run resumes from ``folder``."""
        from oryx.train.device import compute
        from workbook.studies.asking import Asker, Way, worded
        from workbook.studies.own_data.public import PublicAsker

        chosen = arms_of(settings)[arm]
        base = {**self.base_row(settings, arm, seed), "split": settings.split, **chosen}
        base["model"] = chosen["model"].replace(SEED, str(seed))
        asker = (PublicAsker if is_public(base["model"]) else Asker)(base["model"], compute(settings.precision))
        video = {"frames": settings.frames, "sampling": settings.sampling, **settings.decoding}
        questions = [worded(item, item.chance, settings, video) for item in self.items(settings)]
        asker.ask(folder, asker.batches(questions, Way(**options_of(chosen)), base), progress)
