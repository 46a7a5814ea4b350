"""What a batch asks for: checked before anything is submitted, and its command lines mean the same settings."""

import shlex

import pytest

from oryx.errors import SettingsError
from workbook import cli
from workbook.runs import batch

TOY = {"study": "tests.toy:ToyStudy"}


def runs(words):
    return batch.runs(words, cli.find_studies)


def settings_of(command: str):
    """The settings that the command line makes of a command."""
    parsed = cli.build_parser().parse_args(shlex.split(command)[3:])
    return cli.find_study(parsed.study).settings(cli._values(parsed))


def test_a_command_line_leads_to_the_settings_of_its_run(tmp_path):
    parameters = {"items": 3, "span": [4, 0.5], "fail": "it's me", "from_scratch": True, "limit_minutes": 2.5}
    (run,) = runs({**TOY, "seeds": [3, 4], "results": str(tmp_path / "a b"), "parameters": parameters, "jobs": 5})
    made = settings_of(run.command(run.settings.seeds))
    assert {**made.to_dict(), "jobs": 5} == run.settings.to_dict() and made.limit_minutes == 2.5
    one = settings_of(run.command([4], "--no-merge"))
    assert one.seeds == (4,) and str(run.study.run_folder(one)) == run.folder, "a seed of the same run"
    assert run.cores == 5 and run.made_from == {"weights_hash": "w", "data_hash": "d"}


@pytest.mark.parametrize(("given", "seeds"), [(3, (3,)), ("0,1,2", (0, 1, 2)), ([1, 0], (1, 0)), ("[5]", (5,))])
def test_seeds_arrive_as_numbers_text_or_lists(given, seeds):
    assert runs({**TOY, "seeds": given})[0].settings.seeds == seeds


def test_a_sweep_is_one_run_for_every_combination():
    found = runs({**TOY, "parameters": {"steps": 1}, "sweep": {"items": [2, 3], "kind": ["plain", "fancy"]}})
    values = [(run.settings.steps, run.settings.items, run.settings.kind) for run in found]
    assert values == [(1, 2, "plain"), (1, 2, "fancy"), (1, 3, "plain"), (1, 3, "fancy")]
    assert len({run.folder for run in found}) == 4


def test_all_means_every_study_of_the_workbook():
    assert [run.name for run in runs({"study": "all", "scale": "smoke"})] == list(cli.STUDIES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sacle": "nano"}, "unknown word of the batch 'sacle'; did you mean 'scale'"),
        ({"scale": "nan"}, "scale: expected .*did you mean 'nano'"),
        ({"study": "native_vs_fixed"}, "did you mean 'native_vs_fixed_resolution'"),
        ({"seeds": "a"}, r"seeds\[0\]: expected a valid integer"),
        ({"seeds": True}, r"seeds: expected numbers or text, got \[True\]"),
        ({"jobs": 0}, "jobs: expected at least 1"),
        ({"parameters": {"item": 3}}, "unknown parameter 'item'; did you mean 'items'"),
        ({"parameters": {"items": "many"}}, "items: expected a valid integer.*, got 'many'"),
        ({"parameters": ["items=3"]}, "parameters: expected settings with values"),
        ({"parameters": {"seeds": [1]}, "seeds": [2]}, "parameters: expected settings with values, .*got {'seeds'"),
        ({"parameters": {"source": "published"}}, "source: a batch runs studies"),
        ({"sweep": {"items": 3}}, "sweep: expected settings with lists of values, got items: 3"),
        ({"sweep": {"seeds": [1, 2]}}, "sweep: expected settings with values"),
        ({"sweep": {"fail": ["a", "b"]}}, "the same run as another one"),
        ({"sweep": {"item": [1, 2]}}, "did you mean 'items'"),
    ],
)
def test_wrong_words_are_refused_before_anything_starts(words, message):
    with pytest.raises(SettingsError, match=message):
        runs({**TOY, **words})
