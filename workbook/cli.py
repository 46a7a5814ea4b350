"""The command line: ``python -m oryx run|plan|status|report|diff|rerun|publish|doctor|convert``.

Exit codes: 0 done, 2 usage (nothing was started), 3 failed items or a failed run, 4 notebook error, 137 killed;
130 and 143 stopped by Ctrl-C or SIGTERM.
"""

import argparse
import json
import re
import signal
import sys
import threading
from pathlib import Path

from oryx.errors import InputError, OryxError, SettingsError, check_known, did_you_mean
from oryx.evidence.store import failed_rows
from workbook.runs.seeds import report_seeds, seeds_of
from workbook.runs.settings import SCALES, StudySettings
from workbook.studies.base import Study, study_at

STOPPED, TERMINATED = 130, 143
STUDIES = {
    "native_vs_fixed_resolution": "workbook.studies.native_resolution.study:NativeVsFixedResolution",
    "oryxvit_vs_siglip": "workbook.studies.encoders.study:OryxViTvsSigLIP",
    "pooling_vs_dynamic_compression": "workbook.studies.compressor.study:PoolingVsDynamicCompression",
    "needle_in_a_haystack": "workbook.studies.needle.study:NeedleInAHaystack",
    "spatial_correspondence": "workbook.studies.spatial.study:SpatialCorrespondence",
}
"""Id -> import path of the workbook's own studies, in the order of the notebooks."""
TEMPLATES = {
    "own_data": "workbook.studies.own_data.study:OwnData",
    "one_model": "workbook.studies.one_model.study:OneModel",
    "benchmarks": "workbook.studies.benchmarks.study:Benchmarks",
    "ocr_resolution": "workbook.studies.ocr.study:OcrResolution",
}
"""Known by name too, but not trained for a claim of the paper: ``all`` leaves them out."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors are one line on stderr."""
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        signal.signal(signal.SIGTERM, _terminate)
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if not words:
            build_parser().print_help()
            return 0
        parsed = build_parser().parse_args(words)
        return parsed.verb(parsed)
    except (OryxError, OSError) as error:  # of the system: folders that cannot be read or written
        print(f"oryx: {error}", file=sys.stderr)
        return getattr(error, "exit_code", OryxError.exit_code)
    except (KeyboardInterrupt, _Terminated) as error:
        print("oryx: stopped; finished rows are kept, the same command goes on", file=sys.stderr)
        return TERMINATED if isinstance(error, _Terminated) else STOPPED


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that workers are ended and the status is written."""


def _terminate(*_: object) -> None:
    raise _Terminated


class _Parser(argparse.ArgumentParser):
    """argparse with the nearest match for a misspelt word, no abbreviations, and our exit code."""

    known: tuple[str, ...] = ()

    def error(self, message: str):
        word, known = message.removeprefix("unrecognized arguments: ").split(" ")[0], self.known
        if choice := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            word, known = choice[1], re.findall(r"[\w-]+", choice[2])
        raise SettingsError(f"{message}; {did_you_mean(word, known)}see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The argument parser with one sub-command per verb."""
    about = "Run and inspect the studies of the Oryx workbook."
    parser = _Parser(prog="python -m oryx", description=about, epilog=EXAMPLES, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # the examples keep their lines
    verbs = parser.add_subparsers(required=True, metavar="VERB", parser_class=_Parser)
    for name, (function, text) in _VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        verb.set_defaults(verb=function)
        for owners, word, options in _OPTIONS:
            if name in owners.split():
                verb.add_argument(word, **options)
        parser.known += tuple(verb._option_string_actions)
    return parser


def find_study(name: str) -> Study:
    """The study of an id or ``module:Class``; raises SettingsError with the nearest match for an unknown one."""
    if name == "paper_vs_ours":
        raise SettingsError("paper_vs_ours is a report over results/, not a study: python -m oryx report --notebook")
    known = {**STUDIES, **TEMPLATES}
    if ":" not in name:
        check_known([name], [*known, "all"], "study")
    return study_at(known.get(name, name))


def find_studies(name: str) -> dict[str, Study]:
    """Name as on the command line -> study; ``all`` means every study of :data:`STUDIES`."""
    return {each: find_study(each) for each in (STUDIES if name == "all" else [name])}


def _values(parsed: argparse.Namespace) -> dict:
    options = ("scale", "seeds", "results", "jobs", "from_scratch", "retry_failed")
    values = {name: value for name in options if (value := getattr(parsed, name, None))}
    for text in parsed.parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"-p {text!r}: expected NAME=VALUE")
        if name in values:
            raise SettingsError(f"-p {name}: given twice, or an option of its own (--{name.replace('_', '-')})")
        values[name] = value
    return values


def _settings(study: Study, parsed: argparse.Namespace) -> StudySettings:
    """The settings that the words say; ``--seeds stated`` says those that the hypotheses name for the report run."""
    values = _values(parsed)
    if values.get("seeds") == "stated":
        one = study.settings({**values, "seeds": [0]})
        if not (seeds := report_seeds(study.judged_by(one), one.variant)):
            raise SettingsError(f"--seeds stated: {study.id} states no seeds for {one.variant}")
        values["seeds"] = list(seeds)
    return study.settings(values)


def _run(parsed: argparse.Namespace) -> int:
    chosen = {name: (study, _settings(study, parsed)) for name, study in find_studies(parsed.study).items()}
    for study, settings in chosen.values():
        if settings.source == "run":
            try:
                study.check(settings)
            except InputError as error:  # nothing was started: usage
                raise SettingsError(str(error)) from error
    worst = 0
    for number, (name, (study, settings)) in enumerate(chosen.items(), 1):
        print(f"study {number} of {len(chosen)}: {study.title}, scale {settings.scale}", flush=True)
        try:
            if parsed.no_merge:
                study.finish_seeds(settings)
                print(f"{study.id}: seeds {', '.join(map(str, settings.seeds))} done: {study.run_folder(settings)}")
                jobs = [job for seed in seeds_of(study, settings) for job in seed.jobs]
                _say_failed(name, study, settings, sum(failed_rows(job.folder) for job in jobs))
                continue
            code = _run_one(study, settings, parsed.no_notebook)
            if code == 0 and (failed := print_ending(study, settings)):
                _say_failed(name, study, settings, failed)
                code = 3
        except OryxError as error:  # one study's failure leaves the others alone
            print(f"oryx: {study.id}: {error}", file=sys.stderr)
            code = error.exit_code
        worst = max(worst, code)
    if not parsed.no_merge:
        print(f"report: {_write_report(parsed.results)}")
    return worst


def _run_one(study: Study, settings: StudySettings, no_notebook: bool) -> int:
    if no_notebook or not study.notebook:
        study.run(settings)
        return 0
    from workbook.runs.notebooks import execute

    return execute(study, settings)


def print_ending(study: Study, settings: StudySettings) -> int:
    """Print the last lines of a run: verdicts, comparison, where it lies; returns how many items failed."""
    import pandas as pd

    from oryx.evidence.stats import LEAST_SEEDS
    from workbook.report.published import estimate_text

    folder, seeds = study.run_folder(settings), settings.seeds
    if settings.source == "published":  # seeds of the rows that are shown, whatever this run was asked for
        run = study.run(settings)
        failed, seeds = run.failed, sorted(run.rows["seed"].unique())
    else:
        failed = int(pd.read_csv(folder / "table.csv")["failed"].sum())
    print(f"\n{study.title}, scale {settings.scale}, seeds {', '.join(map(str, seeds))}")
    verdicts = json.loads((folder / "verdicts.json").read_text())
    for verdict in verdicts:
        print(f"  {verdict['id']:<30}  {verdict['verdict']}  {estimate_text(verdict)}\n      {verdict['statement']}")
    if not verdicts:
        print(f"  no verdict: no hypothesis is stated for scale {settings.scale}")
    elif len(seeds) < LEAST_SEEDS and settings.scale not in study.released_scales:
        stated = ",".join(map(str, report_seeds(study.judged_by(settings), settings.variant) or ()))
        how = stated and f": the same with --seeds {stated}"
        print(f"  one seed gives directions; verdicts come from {LEAST_SEEDS} on{how}")
    if (comparison := folder / "comparison.txt").exists():
        print(comparison.read_text().rstrip())
    print(f"rows, tables and figures: {folder}")
    return failed


def _say_failed(name: str, study: Study, settings: StudySettings, failed: int) -> None:
    """Say how many items failed, if any did, and the command that asks them again."""
    from workbook.runs.batch import BatchRun

    if failed:
        print(f"{failed} items failed; their rows name the error")
    if failed and settings.source == "run":
        once = settings.model_copy(update={"retry_failed": False})
        print(f"to ask them again: {BatchRun(name, study, once).command(settings.seeds, '--retry-failed')}")


def _plan(parsed: argparse.Namespace) -> int:
    if not parsed.study or parsed.fit or parsed.gpu:
        return _plan_memory(parsed)
    from workbook.runs import planning

    chosen = [(study, _settings(study, parsed)) for study in find_studies(parsed.study).values()]
    if parsed.show_parameters:
        found = {study.id: planning.parameters(settings) for study, settings in chosen}
        print(_json(found) if parsed.json else planning.parameters_described(found))
        return 0
    plans = [planning.plan_of(study, settings) for study, settings in chosen]
    print(_json({"plans": plans, "sum": planning.total(plans)}) if parsed.json else planning.described(plans))
    return 0


def _plan_memory(parsed: argparse.Namespace) -> int:
    from oryx.processing.shapes import read_shape
    from workbook.report import fits

    if parsed.study or parsed.fit is None or parsed.gpu is None:
        raise SettingsError("plan: expected a study, or --fit MODEL --gpu GB (what the GPU's memory holds) without one")
    shape, size, tera = read_shape(parsed.fit), parsed.size, parsed.tflops
    found = fits.memory_table(shape, parsed.gpu, parsed.frames, size, tera)
    rests = fits.assumptions(shape, parsed.gpu, size, tera)
    if parsed.json:
        print(_json({"table": found.to_dict("records"), "assumptions": rests}))
    else:
        print(found.to_string(index=False), "", *rests, sep="\n")
    return 0


def _size(text: str) -> tuple[int, int]:
    if not (sides := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in pixels, such as 1280x720; got {text!r}")
    return int(sides[2]), int(sides[1])


def _status(parsed: argparse.Namespace) -> int:
    from workbook.runs.shards import read_status

    runs, found = Path(parsed.results, "runs"), []
    for path in sorted([*runs.glob("*/*/*/seed-*/status.json"), *runs.glob("*/*/*/status.json")]):
        state, arms = read_status(path), [arm for arm in path.parent.glob("arms/*") if arm.is_dir()]
        run = {"run": str(path.parent.relative_to(runs)), "state": state["state"], "arms_started": len(arms)}
        run |= {"arms_done": sum((arm / "done").exists() for arm in arms), "message": state.get("message", "")}
        found.append(run)
    if parsed.json:
        print(_json(found))
        return 0
    for run in found:
        done = "{arms_done} of {arms_started} started arms done".format(**run) if run["arms_started"] else "notebook"
        print(f"{run['run']}: {', '.join(filter(None, (run['state'], done, run['message'].split(chr(10))[0])))}")
    if not found:
        print(f"no runs under {runs}")
    return 0


def _write_report(results: str) -> Path:
    from workbook.report.page import build
    from workbook.runs.provenance import writer

    return build(Path(results), Path(results) / "runs" / "report.html", writer())


def _report(parsed: argparse.Namespace) -> int:
    if parsed.latex:
        from workbook.report.latex import latex

        print(latex(Path(parsed.latex)))
        return 0
    print(_write_report(parsed.results))
    if parsed.notebook:
        from workbook.report.page import Settings
        from workbook.runs.notebooks import execute, notebook_folder

        settings = Settings.from_mapping({"results": parsed.results})
        if code := execute(Settings, settings):
            return code
        print(notebook_folder(Settings, settings) / "notebook.ipynb")
    return 0


def _diff(parsed: argparse.Namespace) -> int:
    from workbook.runs.difference import described, differences, read_side

    sides = read_side(parsed.a), read_side(parsed.b)
    print(_json(differences(*sides)) if parsed.json else described(*sides))
    return 0


def _rerun(parsed: argparse.Namespace) -> int:
    from workbook.runs.difference import read_side
    from workbook.runs.rerun import rerun

    published = read_side(parsed.manifest, parsed.seeds.split(",") if parsed.seeds else None)
    return 0 if rerun(find_study(published.first["study"]), published, parsed.results, parsed.jobs) else 3


def _publish(parsed: argparse.Namespace) -> int:
    from workbook.runs.publish import publish, redraw

    for study in find_studies(parsed.study).values():
        settings, act = _settings(study, parsed), redraw if parsed.redraw else publish
        shown = settings.model_copy(update={"source": "published"}) if parsed.redraw else settings
        print(act(study, shown, parsed.allow_dirty))
    return 0


def _doctor(parsed: argparse.Namespace) -> int:
    from workbook.runs.doctor import examine

    checks = examine()
    if parsed.json:
        print(_json([check._asdict() for check in checks]))
    for check in () if parsed.json else checks:
        print(f"{'ok  ' if check.ok else 'FAIL' if check.needed else 'note'} {check.name}: {check.found}")
    return 0 if all(check.ok or not check.needed for check in checks) else 3


def _convert(parsed: argparse.Namespace) -> int:
    from oryx.model.convert import convert

    print(convert(parsed.source, parsed.target))
    return 0


def _json(found: object) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)


def _flag(text: str) -> dict:
    return {"action": "store_true", "help": text}


_VERBS = {
    "run": (_run, "run a study, or all of them; an interrupted run resumes"),
    "plan": (_plan, "say what a run would do and cost, without doing it; --fit: what a model would need"),
    "status": (_status, "say how far the runs in the results folder are"),
    "report": (_report, "write the report over the published results and print its path"),
    "diff": (_diff, "say what changed between two runs: settings, versions, rows, scores, verdicts"),
    "rerun": (_rerun, "run a committed result again from its manifest alone and compare; 3 if scores differ"),
    "publish": (_publish, "copy a finished run into results/<study>/<scale>/"),
    "doctor": (_doctor, "examine the installation"),
    "convert": (_convert, "write a checkpoint of the authors as a folder that transformers' Auto classes load"),
}
"""Verb -> what does it, and what it does."""
EXAMPLES = f"""studies: {", ".join(STUDIES)}
outside all: {", ".join(TEMPLATES)}

examples:
  python -m oryx doctor                                        is everything there?
  python -m oryx plan all                                      what every study would do, and how long it takes
  python -m oryx run needle_in_a_haystack --scale smoke        one study, barely trained: does it run here?
  python -m oryx run spatial_correspondence --seeds stated     verdicts: one seed gives directions only
  python -m oryx plan own_data --parameters                    what -p may say, with defaults and meanings
  python -m oryx run own_data -p data=my_table.csv             your own pictures or videos
  python -m oryx VERB --help                                   every option of a verb
"""
_STUDY = f"a study id, 'all' ({', '.join(STUDIES)}), or a template ({', '.join(TEMPLATES)})"
_SETTING = "a parameter of the study, as often as needed; plan STUDY --parameters lists all"
_REPEATED = {"dest": "parameters", "action": "append", "default": []}
_OPTIONS = (
    ("run publish", "study", {"help": _STUDY}),
    ("plan", "study", {"nargs": "?", "help": f"{_STUDY}; none with --fit"}),
    ("plan", "--parameters", {"dest": "show_parameters", **_flag("list what -p may say: names, defaults, meanings")}),
    ("plan", "--fit", {"metavar": "MODEL", "help": "no study: does 7b, 34b, 1.5-7b, 1.5-32b, a folder, a repo fit?"}),
    ("plan", "--gpu", {"metavar": "GB", "type": float, "help": "with --fit: memory of one GPU in 10⁹ bytes"}),
    ("plan", "--frames", {"type": int, "default": 64, "help": "with --fit: of the video (default: 64)"}),
    ("plan", "--size", {"metavar": "WxH", "type": _size, "default": "1280x720", "help": "with --fit: pixels"}),
    ("plan", "--tflops", {"type": float, "default": 312, "help": "with --fit: the GPU's peak (312: an A100)"}),
    ("run plan publish", "--scale", {"choices": SCALES, "default": "nano", "help": "(default: nano, two cores)"}),
    ("run plan publish", "--seeds", {"help": "0,1,2 or stated (the report run's); one (default: 0) gives directions"}),
    ("run plan publish", "-p", {**_REPEATED, "metavar": "NAME=VALUE", "help": _SETTING}),
    ("run plan publish", "--from-scratch", _flag("train the shared weights anew as well")),
    ("run", "--retry-failed", _flag("ask items again that failed in an earlier attempt")),
    ("run", "--no-notebook", _flag("run the study itself, no notebook needed")),
    ("run", "--no-merge", _flag("do the jobs of these seeds and no more; a later run without it merges them")),
    ("publish", "--allow-dirty", _flag("publish from a tree with uncommitted changes")),
    ("publish", "--redraw", _flag("judge, draw figures and execute the notebook again, from the published rows")),
    ("report", "--notebook", _flag("execute notebook 90 as well")),
    ("report", "--latex", {"metavar": "TABLE", "help": "print this table (a csv or verdicts.json) as LaTeX instead"}),
    ("plan status diff doctor", "--json", _flag("print JSON for programs")),
    ("diff", "a", {"metavar": "A", "help": "a published folder, a run's folder or one of its seed-N folders"}),
    ("diff", "b", {"metavar": "B", "help": "another one of the same study"}),
    ("rerun", "manifest", {"metavar": "MANIFEST", "help": "results/<study>/<variant>/manifest.json"}),
    ("rerun", "--seeds", {"help": "comma-separated; all of the manifest unless given"}),
    ("convert", "source", {"metavar": "FOLDER_OR_REPOSITORY", "help": "in the authors' format or ours"}),
    ("convert", "target", {"metavar": "TARGET", "help": "the folder to write; there must be none of its name"}),
    ("run plan status report publish rerun", "--results", {"default": "results", "help": "results folder"}),
    ("run plan rerun", "--jobs", {"help": "worker processes (default: one per GPU, else one per core)"}),
)
"""Verbs that have an option, the option, and what argparse gets of it."""
