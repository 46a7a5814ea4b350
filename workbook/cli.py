"""The command line: ``python -m oryx run|plan|status|report|diff|rerun|publish|doctor``.

Exit codes: 0 done, 2 usage (nothing was started), 3 failed items or a failed run, 4 notebook error, 137 killed;
130 and 143 stopped by Ctrl-C or SIGTERM.
"""

import argparse
import difflib
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oryx.errors import OryxError, SettingsError
from workbook.runs.settings import SCALES
from workbook.studies.base import Study, study_at

STOPPED, TERMINATED = 130, 143
STUDIES = {
    "native_vs_fixed_resolution": "workbook.studies.native_resolution.study:NativeVsFixedResolution",
    "oryxvit_vs_siglip": "workbook.studies.encoders.study:OryxViTvsSigLIP",
    "pooling_vs_dynamic_compression": "workbook.studies.compressor.study:PoolingVsDynamicCompression",
    "needle_in_a_haystack": "workbook.studies.needle.study:NeedleInAHaystack",
}
"""Id -> import path of the workbook's own studies, in the order of the notebooks."""
TEMPLATES = {
    "own_data": "workbook.studies.own_data.study:OwnData",
    "one_model": "workbook.studies.one_model.study:OneModel",
}
"""Known by name too, but no study of a claim of the paper: ``all`` leaves them out."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors are one line on stderr."""
    try:
        with _terminable():
            parsed = build_parser().parse_args(arguments)
            return parsed.verb(parsed)
    except OryxError as error:
        print(f"oryx: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, _Terminated) as error:
        print("oryx: stopped; finished rows are kept, the same command goes on", file=sys.stderr)
        return TERMINATED if isinstance(error, _Terminated) else STOPPED


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that workers are ended and the status is written."""


@contextmanager
def _terminable() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    earlier = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


class _Parser(argparse.ArgumentParser):
    """argparse with the nearest match for a misspelt word, no abbreviations, and our exit code."""

    known: tuple[str, ...] = ()

    def error(self, message: str):
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        word, _, _ = message.removeprefix("unrecognized arguments: ").partition(" ")
        if choice:
            word, known = choice[1], re.findall(r"[\w-]+", choice[2])
        else:
            known = self.known
        near = difflib.get_close_matches(word, known, 1, 0.5)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise SettingsError(f"{message}{hint}. See python -m oryx --help")


def build_parser() -> argparse.ArgumentParser:
    """The argument parser with one sub-command per verb."""
    about = "Run and inspect the studies of the Oryx workbook."
    parser = _Parser(prog="python -m oryx", description=about, allow_abbrev=False)
    verbs = parser.add_subparsers(required=True, metavar="VERB", parser_class=_Parser)
    for name, (function, text) in _VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        verb.set_defaults(verb=function)
        if name in ("run", "plan", "publish"):
            verb.add_argument("study", help=f"a study id or 'all' ({', '.join(STUDIES)})")
            verb.add_argument("--scale", choices=SCALES, default="nano")
            verb.add_argument("--seeds", help="comma-separated, for example 0,1,2")
            verb.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
            verb.add_argument("--from-scratch", action="store_true", help="train the shared weights anew as well")
        if name == "run":
            verb.add_argument("--no-notebook", action="store_true", help="run the study itself, no notebook needed")
            seeds_only = "do the jobs of these seeds and no more; a later run without it merges them"
            verb.add_argument("--no-merge", action="store_true", help=seeds_only)
        if name == "publish":
            verb.add_argument("--allow-dirty", action="store_true", help="publish from a tree with uncommitted changes")
            verb.add_argument(
                "--redraw", action="store_true", help="draw figures and notebook again, from the published rows"
            )
        if name == "report":
            verb.add_argument("--notebook", action="store_true", help="execute notebook 90 as well")
        if name == "diff":
            verb.add_argument("a", metavar="A", help="a published folder, a run's folder or one of its seed-N folders")
            verb.add_argument("b", metavar="B", help="another one of the same study")
        if name == "rerun":
            verb.add_argument("manifest", metavar="MANIFEST", help="results/<study>/<variant>/manifest.json")
            verb.add_argument("--seeds", help="comma-separated; all of the manifest unless given")
        if name in ("run", "plan", "status", "report", "publish", "rerun"):
            verb.add_argument("--results", default="results", help="results folder (default: results)")
        if name in ("run", "plan", "rerun"):
            verb.add_argument("--jobs", type=int, help="worker processes (default: one per GPU, else one per core)")
        parser.known += tuple(verb._option_string_actions)
    return parser


def find_study(name: str) -> Study:
    """The study of an id or ``module:Class``; raises SettingsError with the nearest match for an unknown one."""
    if name == "paper_vs_ours":
        raise SettingsError("paper_vs_ours is a report over results/, not a study: python -m oryx report --notebook")
    known = {**STUDIES, **TEMPLATES}
    if name not in known and ":" not in name:
        near = difflib.get_close_matches(name, [*known, "all"], 1, 0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(f"unknown study {name!r}; {hint}known: {', '.join(known)}")
    return study_at(known.get(name, name))


def find_studies(name: str) -> dict[str, Study]:
    """Name as on the command line -> study; ``all`` means every study of :data:`STUDIES`."""
    return {each: find_study(each) for each in (STUDIES if name == "all" else [name])}


def _seeds(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.lstrip("-").isdigit() for word in words):
        raise SettingsError(f"--seeds: expected whole numbers separated by commas, got {text!r}")
    return [int(word) for word in words]


def _values(parsed: argparse.Namespace) -> dict:
    values: dict = {"scale": parsed.scale, "results": parsed.results}
    if parsed.seeds is not None:
        values["seeds"] = _seeds(parsed.seeds)
    if parsed.from_scratch:
        values["from_scratch"] = True
    if getattr(parsed, "jobs", None) is not None:
        values["jobs"] = parsed.jobs
    for text in parsed.parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"-p {text!r}: expected NAME=VALUE")
        if name in values:
            raise SettingsError(f"-p {name}: given twice, or an option of its own (--{name.replace('_', '-')})")
        values[name] = value
    return values


def _run(parsed: argparse.Namespace) -> int:
    from workbook.report.page import build
    from workbook.runs.ending import print_ending

    chosen = [(study, study.settings(_values(parsed))) for study in find_studies(parsed.study).values()]
    for study, settings in chosen:
        if settings.source == "run":
            study.check(settings)
    worst = 0
    for study, settings in chosen:
        try:
            if parsed.no_merge:
                study.finish_seeds(settings)
                print(f"{study.id}: seeds {', '.join(map(str, settings.seeds))} done: {study.run_folder(settings)}")
                continue
            code = _run_one(study, settings, parsed.no_notebook)
            if code == 0 and print_ending(study, settings):
                code = 3
        except OryxError as error:  # one study's failure leaves the others alone
            print(f"oryx: {study.id}: {error}", file=sys.stderr)
            code = error.exit_code
        worst = max(worst, code)
    if not parsed.no_merge:
        print(f"report: {build(Path(parsed.results), Path(parsed.results) / 'runs' / 'report.html')}")
    return worst


def _run_one(study, settings, no_notebook: bool) -> int:
    if no_notebook or not study.notebook:
        study.run(settings)
        return 0
    from workbook.runs.notebooks import execute

    return execute(study, settings)


def _plan(parsed: argparse.Namespace) -> int:
    for study in find_studies(parsed.study).values():
        settings = study.settings(_values(parsed))
        print(f"{study.id} at {settings.scale}, settings {settings.settings_hash}")
        for name, value in study.plan(settings).items():
            print(f"  {name}: {value}")
        try:
            study.check(settings)
        except OryxError as error:
            print(f"  cannot start: {error}")
    return 0


def _status(parsed: argparse.Namespace) -> int:
    from workbook.runs.seeds import how_far
    from workbook.runs.status import read_status

    runs = Path(parsed.results, "runs")
    found = sorted([*runs.glob("*/*/*/seed-*/status.json"), *runs.glob("*/*/*/status.json")])
    for path in found:
        state, place = read_status(path), path.parent.relative_to(runs)
        shard = path.parent.name.startswith("seed-")
        words = [how_far(path.parent) if shard else "notebook", state.get("message", "").split("\n")[0]]
        print(f"{place}: {state['state']}" + "".join(f", {word}" for word in words if word))
    if not found:
        print(f"no runs under {runs}")
    return 0


def _report(parsed: argparse.Namespace) -> int:
    from workbook.report.page import build

    print(build(Path(parsed.results), Path(parsed.results) / "runs" / "report.html"))
    if parsed.notebook:
        from workbook.report.page import Settings
        from workbook.runs.notebooks import execute, notebook_folder

        settings = Settings.from_mapping({"results": parsed.results})
        if code := execute(Settings, settings):
            return code
        print(notebook_folder(Settings, settings) / "notebook.ipynb")
    return 0


def _diff(parsed: argparse.Namespace) -> int:
    from workbook.runs.difference import described, read_side

    print(described(read_side(parsed.a), read_side(parsed.b)))
    return 0


def _rerun(parsed: argparse.Namespace) -> int:
    from workbook.runs.difference import read_side
    from workbook.runs.rerun import rerun

    published = read_side(parsed.manifest, _seeds(parsed.seeds) if parsed.seeds else None)
    return 0 if rerun(find_study(published.first["study"]), published, parsed.results, parsed.jobs) else 3


def _publish(parsed: argparse.Namespace) -> int:
    from workbook.runs.publish import publish, redraw

    for study in find_studies(parsed.study).values():
        if parsed.redraw:
            print(redraw(study, study.settings(_values(parsed), source="published"), parsed.allow_dirty))
        else:
            print(publish(study, study.settings(_values(parsed)), parsed.allow_dirty))
    return 0


def _doctor(parsed: argparse.Namespace) -> int:
    from workbook.runs.doctor import examine

    checks = examine()
    for check in checks:
        print(f"{'ok  ' if check.ok else 'FAIL' if check.needed else 'note'} {check.name}: {check.found}")
    return 0 if all(check.ok or not check.needed for check in checks) else 3


_VERBS = {
    "run": (_run, "run a study, or all of them; goes on where an earlier run stopped"),
    "plan": (_plan, "say what a run would do and cost, without doing it"),
    "status": (_status, "say how far the runs in the results folder are"),
    "report": (_report, "write the report over the published results and print its path"),
    "diff": (_diff, "say what changed between two runs: settings, versions, rows, scores, verdicts"),
    "rerun": (_rerun, "run a committed result again from its manifest alone and compare; 3 if scores differ"),
    "publish": (_publish, "copy a finished run into results/<study>/<scale>/"),
    "doctor": (_doctor, "examine the installation"),
}
