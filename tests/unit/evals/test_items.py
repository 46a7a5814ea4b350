"""Items of the studies, and copies of benchmarks, as tasks of lmms-eval."""

import json
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import yaml
from PIL import Image

from oryx.errors import InputError, MissingResource
from tests.benchmark_copies import write_mlvu, write_mmbench
from workbook.data.own_data import read_table
from workbook.evals import __main__ as command
from workbook.evals import items
from workbook.evals.tasks import tasks

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("items")
    with pytest.MonkeyPatch.context() as shorter:
        shorter.setattr(items, "FRAMES", 8)
        assert items.write_items(made, 1) == ["oryx_pictures", "oryx_films", "oryx_needles"]
    return made


def rows(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_every_table_is_one_that_the_study_of_own_data_takes(folder):
    for name, least in (("pictures", 8), ("films", 6), ("needles", 3)):
        table = read_table(folder / f"{name}.jsonl")
        assert len(table) >= least and all(item.path.is_file() and item.chance is not None for item in table)
        assert {row["task"] for row in rows(folder, name)} == {item.task for item in table}
        assert all(len(row["question"].split()) > 3 and "{" not in row["question"] for row in rows(folder, name))


def test_items_are_the_same_wherever_they_are_written(folder, tmp_path):
    again = [(path.relative_to(tmp_path).as_posix(), *rest) for path, *rest in items.films(tmp_path / "films", 1)]
    assert again == [tuple(row.values()) for row in rows(folder, "films")]


def test_a_task_says_where_its_items_are_and_how_they_are_scored(folder):
    task = yaml.safe_load((folder / "oryx_films.yaml").read_text())
    assert task["dataset_kwargs"] == {"data_files": {"test": str(folder / "films.jsonl")}}
    given, film, shown = (
        task["lmms_eval_specific_kwargs"]["default"],
        rows(folder, "films")[0],
        rows(folder, "pictures")[0],
    )
    assert tasks.visual(film, given) == [str(folder / film["file"])]
    [picture] = tasks.visual(shown, given)
    assert picture.size == Image.open(folder / shown["file"]).size and picture.mode == "RGB"
    right, wrong = f" {film['answer'].upper()}.", f"{film['answer']}s"
    assert tasks.score(film, [right]) == {"exact_match": 1.0} and tasks.score(film, [wrong]) == {"exact_match": 0.0}


def test_copies_get_the_harness_s_own_task(tmp_path, monkeypatch):
    write_mlvu(tmp_path / "mlvu")
    write_mmbench(tmp_path / "mmbench")
    spec = ModuleSpec("lmms_eval", None, is_package=True)
    spec.submodule_search_locations = ["/harness"]
    monkeypatch.setattr(items, "find_spec", lambda name: spec)
    assert items.write_local_tasks(tmp_path) == ["mmbench_local", "mlvu_local"]
    task = yaml.safe_load((tmp_path / "mmbench_local.yaml").read_text())
    assert task["include"] == "/harness/tasks/mmbench/mmbench_en_dev_static.yaml"
    assert task["dataset_kwargs"] == {"data_files": {"dev": str(tmp_path / "mmbench" / "en" / "dev-*.parquet")}}


def test_a_folder_without_copies_and_an_absent_harness_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(items, "find_spec", lambda name: None)
    with pytest.raises(MissingResource, match=r"lmms-eval is not installed here: see docs/lmms-eval\.md"):
        items.write_local_tasks(tmp_path)
    monkeypatch.setattr(items, "find_spec", lambda name: ModuleSpec("lmms_eval", None, is_package=True))
    with pytest.raises(InputError, match=r"expected one of ocrbench/data/test-\*\.parquet, .*; there is none"):
        items.write_local_tasks(tmp_path)
    assert command.main(["local", str(tmp_path)]) == 3 and str(tmp_path) in capsys.readouterr().err


def test_the_command_prints_what_to_add_to_one_of_the_harness(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "write_items", lambda folder, count: [f"oryx_{count}"])
    assert command.main(["write", str(tmp_path), "--items", "3"]) == 0
    assert capsys.readouterr().out == f"--include_path {tmp_path} --tasks oryx_3\n"


def test_the_pins_of_the_harness_are_those_of_the_project():
    """Where both lists name a package."""
    pins = {}
    for name in ("constraints", "lmms-eval"):
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        pins[name] = dict(line.lower().replace("_", "-").split("==") for line in lines if line and line[0] != "#")
    both = pins["constraints"].keys() & pins["lmms-eval"].keys()
    assert both and all(pins["constraints"][name] == pins["lmms-eval"][name] for name in both)
    assert not {"torch", "torchvision", "av"} & pins["lmms-eval"].keys(), "they would replace the project's"
