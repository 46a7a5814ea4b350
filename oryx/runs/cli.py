"""The command line: ``python -m oryx run|plan|status|report|publish|doctor``.

Exit codes: 0 done, 2 usage (nothing was started), 3 failed items or a failed run, 4 notebook error, 137 killed.
"""

import argparse
import difflib
import sys
from pathlib import Path

from oryx.errors import OryxError, SettingsError
from oryx.runs.settings import SCALES
from oryx.studies import registry


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors are one line on stderr."""
    parser = build_parser()
    try:
        parsed = parser.parse_args(arguments)
        return parsed.verb(parsed)
    except OryxError as error:
        print(f"oryx: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("oryx: stopped; finished rows are kept, the same command goes on", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """argparse with the nearest match for a misspelt word, and our exit code."""

    def error(self, message: str):
        raise SettingsError(f"{message}{self._nearest()}. See python -m oryx --help")

    def _nearest(self) -> str:
        known = [*_VERBS, *(o for a in self._actions for o in a.option_strings)]
        for word in sys.argv[1:]:
            if word not in known and (near := difflib.get_close_matches(word, known, 1, 0.6)):
                return f" (did you mean {near[0]!r}?)"
        return ""


def build_parser() -> argparse.ArgumentParser:
    """The argument parser with one sub-command per verb."""
    parser = _Parser(prog="python -m oryx", description="Run and inspect the studies of the Oryx workbook.")
    verbs = parser.add_subparsers(required=True, metavar="VERB", parser_class=_Parser)
    for name, (function, text) in _VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text)
        verb.set_defaults(verb=function)
        if name in ("run", "plan", "publish"):
            verb.add_argument("study", help=f"a study id or 'all' ({', '.join(registry.ids())})")
            verb.add_argument("--scale", choices=SCALES, default="nano")
            verb.add_argument("--seeds", help="comma-separated, for example 0,1,2")
            verb.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
            verb.add_argument("--from-scratch", action="store_true", help="train the shared weights anew as well")
        if name == "run":
            verb.add_argument("--no-notebook", action="store_true", help="run the study itself, no notebook needed")
        if name == "publish":
            verb.add_argument("--allow-dirty", action="store_true", help="publish from a tree with uncommitted changes")
        if name in ("run", "plan", "status", "report", "publish"):
            verb.add_argument("--results", default="results", help="results folder (default: results)")
        if name in ("run", "plan"):
            verb.add_argument("--jobs", type=int, help="worker processes (default: one per core)")
    return parser


def _studies(name: str) -> list:
    return [registry.get(i) for i in registry.ids()] if name == "all" else [registry.get(name)]


def _values(parsed: argparse.Namespace) -> dict:
    values: dict = {"scale": parsed.scale, "results": parsed.results}
    for text in parsed.parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"-p {text!r}: expected NAME=VALUE")
        if name in values:
            raise SettingsError(f"-p {name}: given twice, or as an option already")
        values[name] = value
    if parsed.seeds is not None:
        values["seeds"] = [s.strip() for s in parsed.seeds.split(",")]
        if not all(s.lstrip("-").isdigit() for s in values["seeds"]):
            raise SettingsError(f"--seeds: expected whole numbers separated by commas, got {parsed.seeds!r}")
        values["seeds"] = [int(s) for s in values["seeds"]]
    if parsed.from_scratch:
        values["from_scratch"] = True
    if getattr(parsed, "jobs", None) is not None:
        values["jobs"] = parsed.jobs
    return values


def _run(parsed: argparse.Namespace) -> int:
    from oryx.runs.ending import print_ending

    chosen = [(study, study.settings(_values(parsed))) for study in _studies(parsed.study)]
    for study, settings in chosen:
        study.check(settings)
    worst = 0
    for study, settings in chosen:
        if parsed.no_notebook:
            run = study.run(settings)
            code = 3 if run.failed else 0
        else:
            from oryx.runs.notebooks import execute

            code = execute(study, settings)
        print_ending(study, settings)
        worst = max(worst, code)
    return worst


def _plan(parsed: argparse.Namespace) -> int:
    for study in _studies(parsed.study):
        settings = study.settings(_values(parsed))
        print(f"{study.id} at {settings.scale}, settings {settings.settings_hash}")
        for name, value in study.plan(settings).items():
            print(f"  {name}: {value}")
    return 0


def _status(parsed: argparse.Namespace) -> int:
    from oryx.runs.status import read_status

    found = sorted(Path(parsed.results, "runs").glob("*/*/*/seed-*/status.json"))
    for path in found:
        state = read_status(path)
        place = path.parent.relative_to(Path(parsed.results, "runs"))
        print(f"{place}: {state['state']} {state.get('message', '')}".rstrip())
    if not found:
        print(f"no runs under {Path(parsed.results, 'runs')}")
    return 0


def _report(parsed: argparse.Namespace) -> int:
    from oryx.report.html import build

    print(build(Path(parsed.results), Path(parsed.results) / "runs" / "report.html"))
    return 0


def _publish(parsed: argparse.Namespace) -> int:
    from oryx.runs.publish import publish

    for study in _studies(parsed.study):
        print(publish(study, study.settings(_values(parsed)), allow_dirty=parsed.allow_dirty))
    return 0


def _doctor(parsed: argparse.Namespace) -> int:
    from oryx.runs.doctor import examine

    checks = examine()
    for check in checks:
        print(f"{'ok  ' if check.ok else 'FAIL' if check.needed else 'note'} {check.name}: {check.found}")
    return 0 if all(check.ok or not check.needed for check in checks) else 3


_VERBS = {
    "run": (_run, "run a study, or all of them; goes on where an earlier run stopped"),
    "plan": (_plan, "say what a run would do and cost, without doing it"),
    "status": (_status, "say how far the runs in the results folder are"),
    "report": (_report, "write the report over the published results and print its path"),
    "publish": (_publish, "copy a finished run into results/<study>/<scale>/"),
    "doctor": (_doctor, "examine the installation"),
}
