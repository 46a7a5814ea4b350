"""Tables of the README's first screen: what a minute, five, half an hour or a GPU give; what runs at which scale.

Minutes of a CPU are those of the published runs (what ``plan`` says), hours of a GPU arithmetic (``hours.py``,
``small.py``), megabytes were measured (``footprint.py``), and so was notebook 00 (``executed.py``).
"""

import json
import tomllib
from math import ceil
from typing import Any

from oryx.processing.shapes import read_shape
from tools.docs import hours, small
from tools.docs.footprint import KEPT, ROOT
from workbook.cli import STUDIES, find_study
from workbook.report.tables import as_table
from workbook.runs.planning import plan_of, total
from workbook.runs.seeds import report_seeds
from workbook.studies.base import Study

CORES, FIRST = 2, "native_vs_fixed_resolution"
MINUTES, MEMORY = "wall minutes with these workers", "memory of a worker, MB, as published"
HOURS, GPU = "Oryx-7B, hours", "Oryx-7B, GB"
NOTHING, UNMEASURED = "–", "not measured"
EVERY = (
    ("*needs*", "two cores", "two cores", "one GPU", "one GPU, [public parts](docs/small.md)",
     "one GPU, [released weights](docs/released-models.md) (study 2: public parts), copies of benchmarks"),
    ("*typed after* `-m oryx run STUDY`", "", "`--seeds stated`", "`--scale medium --from-scratch`",
     "`--scale small -p data=COPIES -p joint=RECORDS`", "`--scale paper -p checkpoint=FOLDER -p data=COPIES`"),
)  # fmt: skip
"""What holds for every study at a scale."""
RELEASED = ("7b", "34b", "1.5-7b", "1.5-32b")
HEAD = ("you have", "type", "you get", "time", "download", "on disk")


def start() -> str:
    """What to type, what comes of it, and what it costs, from a minute to a GPU."""
    size, asked = tomllib.loads(KEPT.read_text("utf-8")), hours.table()
    download = _gb(size["clone_mb"] + size["packages_mb"]), _gb(size["checkout_mb"] + size["unpacked_mb"])
    weights = _gb(sum(read_shape(hours.MODELS[0]).weights(hours.NUMBERS).values()) / 1e6)
    played = json.loads((ROOT / "results" / "start_here" / "notebook.ipynb").read_text("utf-8"))
    read, panels = (f"[as executed](results/{name}/notebook.ipynb)" for name in ("paper_vs_ours", "start_here"))
    lines = [
        ["1 minute", "nothing", f"every claim of the paper beside our verdicts and figures: {read}", "", "", ""],
        ["5 minutes", "`make lab`", f"a small model to play with, your own picture by the released rules: {panels}"],
        ["30 minutes", f"`make reproduce STUDY={FIRST} SEEDS=stated`", "one study with its seeds: its *verdicts*"],
        ["an hour", "`make reproduce`", "every study with one seed: *directions*, compared with the result below"],
        ["an evening", "`make reproduce SEEDS=stated`", "every study with the seeds it states: the *verdicts* below"],
        ["a GPU", "[released weights](#released-weights)", "the paper's tables, seven benchmarks asked of Oryx-7B"],
    ]  # fmt: skip
    lines[1] += [f"{ceil(played['metadata']['cpu_seconds'] / 60)} min on one core", *download]
    for line, names, stated in ((lines[2], [FIRST], True), (lines[3], STUDIES, False), (lines[4], STUDIES, True)):
        line += [f"{total([_plan(name, stated) for name in names])[MINUTES]:.0f} min on two cores", *download]
    lines[5] += [f"{asked[HOURS].iloc[0]} h by arithmetic", f"{weights} and the benchmarks", "as much"]
    setup = (
        f"The first command also sets up `.venv`: {ceil(size['setup_seconds'] / 60)} min more with a fast connection."
    )
    return as_table([dict(zip(HEAD, line, strict=True)) for line in lines]) + f"\n\n{setup}"


def scales() -> str:
    """What every study takes at every scale, where something says so."""
    lines, asked, trained = [], hours.table(), small.table().set_index("study")
    for name in STUDIES:
        study, one, more = find_study(name), _plan(name), _plan(name, stated=True)
        number, line = study.notebook[:2], {"study": f"[{study.title}](notebooks/{study.notebook}) `{name}`"}
        line["`nano`, one seed"] = f"{one[MINUTES]} min, {_gb(one[MEMORY])}"
        line["`nano`, stated seeds"] = f"{', '.join(map(str, _stated(study)))}: {more[MINUTES]} min"
        line["`medium`"] = UNMEASURED if "medium" in study.settings_class.presets else NOTHING
        line["`small`"] = _hours_of(trained.loc[name]) if name in trained.index else NOTHING
        found = asked.loc[asked["notebook"].str.startswith(number), [HOURS, GPU]].to_numpy().tolist()
        line["`paper`"] = "{} h, {} GB".format(*found[0]) if found else _by_arithmetic(study)
        lines.append(line)
    return as_table([*lines, *(dict(zip(lines[0], (title, *cells), strict=True)) for title, *cells in EVERY)])


def weights() -> str:
    """The repositories of released weights, with what they take in bfloat16, by arithmetic on their shapes."""
    shapes = [read_shape(name) for name in RELEASED]
    sizes = [_gb(sum(shape.weights(hours.NUMBERS).values()) / 1e6) for shape in shapes]
    return as_table(
        [
            {"repository": f"`THUdyh/{s.name}`", "size in bfloat16, by arithmetic": size}
            for s, size in zip(shapes, sizes, strict=True)
        ]
    )


def _hours_of(line: Any) -> str:
    return f"{int(line['hours of training']) + int(line['hours of asking'])} h, {line['GPU memory, GB']} GB"


def _by_arithmetic(study: Study) -> str:
    plan = plan_of(study, study.settings({"scale": "paper"}))
    if "GPU hours, by arithmetic" not in plan:
        return UNMEASURED
    return f"{plan['GPU hours, by arithmetic']:.0f} h per seed, {plan['GB, by arithmetic'].split()[0]} GB"


def _plan(name: str, stated: bool = False) -> dict[str, Any]:
    study = find_study(name)
    return plan_of(study, study.settings({"jobs": CORES} | ({"seeds": _stated(study)} if stated else {})))


def _stated(study: Study) -> tuple[int, ...]:
    settings = study.settings()
    return report_seeds(study.judged_by(settings), settings.variant)


def _gb(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB"
