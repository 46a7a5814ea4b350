"""Settings: strict names and types, text as papermill delivers it, presets, a hash of what changes numbers."""

import ast
import json
import math
import re
from pathlib import Path

import nbformat
import pytest
from pydantic import ValidationError

from oryx.errors import SettingsError
from tests.toy import ToySettings
from workbook import cli
from workbook.cli import STUDIES, TEMPLATES, find_study
from workbook.runs.settings import REPOSITORY
from workbook.studies.native_resolution.study import ARMS, Settings

PUBLISHED = sorted(Path(__file__).parents[3].glob("results/*/*/manifest.json"))


def test_defaults_presets_and_overrides():
    assert Settings.from_mapping({}).scale == "nano"
    smoke = Settings.from_mapping({"scale": "smoke", "text_items": 9})
    assert smoke.train_steps == 4 and smoke.text_items == 9
    assert Settings.from_mapping({}).arms == ARMS


@pytest.mark.parametrize(
    "values, message",
    [
        ({"train_step": 3}, "unknown parameter 'train_step'; did you mean 'train_steps'"),
        ({"train_steps": "many"}, "train_steps: expected a valid integer, .*got 'many'"),
        ({"train_steps": 2.5}, "train_steps: expected a valid integer, .*got 2.5"),
        ({"train_steps": True}, "train_steps: expected numbers or text, got True"),
        ({"scale": "nan"}, "scale: expected .*did you mean 'nano'"),
        ({"from_scratch": "maybe"}, "from_scratch: expected a valid boolean, .*got 'maybe'"),
        ({"seeds": [0, "x"]}, r"seeds\[1\]: expected a valid integer"),
        ({"seeds": []}, "at least one"),
        ({"seeds": [1, 1]}, "only once"),
        ({"arms": ["native", "nativ"]}, r"arms\[1\].*did you mean 'native'"),
        ({"encoder": 3}, "encoder: expected 'frozen' or 'trained', got 3"),
    ],
)
def test_wrong_names_and_values_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        Settings.from_mapping(values)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"jobs": 0}, "jobs: expected at least 1, got 0"),
        ({"seeds": [1, -1]}, "seeds: expected at least 0, got -1"),
        ({"limit_minutes": "NaN"}, "limit_minutes: expected a finite number, got 'NaN'"),
        ({"limit_minutes": float("inf")}, "limit_minutes: expected a finite number, got inf"),
        ({"span": [1]}, r"span\[1\]: Field required"),
        ({"span": "[1, true]"}, r"span: expected numbers or text, got \[1, True\]"),
        ({"seeds": {"a": 1}}, "seeds: expected a valid list, got {'a': 1}"),
    ],
)
def test_values_out_of_range_or_shape_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        ToySettings.from_mapping(values)


def test_pairs_and_limits_are_read():
    made = ToySettings.from_mapping({"span": "[3, 4]", "limit_minutes": "0.5", "items": 4.0})
    assert (made.span, made.limit_minutes, made.items) == ((3, 4.0), 0.5, 4)
    assert ToySettings.from_mapping({"scale": "medium"}).items == 8 and ToySettings.from_mapping({}).items == 6


def test_text_arrives_as_what_it_says():
    made = Settings.from_mapping(
        {"seeds": "[1,2]", "from_scratch": "true", "jobs": "null", "learning_rate": "1e-3", "train_steps": "7"}
    )
    assert (made.seeds, made.from_scratch, made.jobs, made.train_steps) == ((1, 2), True, None, 7)
    assert math.isclose(made.learning_rate, 1e-3)
    assert Settings.from_mapping({"arms": "native,area_1"}).arms == ("native", "area_1")
    assert Settings.from_mapping({"from_scratch": "False"}).from_scratch is False


def test_the_hash_covers_what_changes_numbers_and_nothing_else():
    base = ToySettings.from_mapping({})
    assert base.settings_hash == ToySettings.from_mapping({"seeds": [5], "jobs": 1, "results": "x"}).settings_hash
    assert base.settings_hash != ToySettings.from_mapping({"items": 7}).settings_hash
    assert len(base.settings_hash) == 12


def test_a_setting_that_was_added_later_counts_only_away_from_its_default():
    base = ToySettings.from_mapping({})
    assert base.settings_hash == ToySettings.from_mapping({"precision": "auto"}).settings_hash
    assert "names" not in base.counting and "names" in ToySettings.from_mapping({"names": "b"}).counting, "lists too"
    other = ToySettings.from_mapping({"precision": "fp32"})
    assert other.settings_hash != base.settings_hash and other.variant == "nano,precision=fp32"


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_the_hashes_of_published_runs_stay(path):
    manifest = json.loads(path.read_text())
    for seed in manifest["seeds"].values():
        made = cli.find_study(manifest["study"]).settings(seed["settings"])
        assert made.settings_hash == seed["settings_hash"] == manifest["settings_hash"]
        assert made.variant == path.parent.name


def test_published_runs_are_there():
    assert len(PUBLISHED) >= 8


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        ToySettings.from_mapping({}).items = 3


def test_a_notebook_in_its_own_folder_finds_the_repositorys_results(monkeypatch, tmp_path):
    root = Path(__file__).parents[3]
    monkeypatch.chdir(root / "notebooks")
    assert Settings.from_notebook({"scale": "smoke"}).results == str(root / "results")
    assert Settings.from_notebook({"results": str(tmp_path)}).results == str(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert Settings.from_notebook({"scale": "smoke"}).results == "results"


def test_notebook_names_that_are_no_data_are_passed_over_but_others_are_refused():
    names = {
        "__name__": "__main__",
        "math": math,
        "In": ["x"],
        "_hidden": 1,
        "scale": "smoke",
        "seeds": [3],
        "f": print,
    }
    study = cli.find_study("native_vs_fixed_resolution")
    assert study.settings(names).seeds == (3,)
    with pytest.raises(SettingsError, match="unknown parameter 'sacle'; did you mean 'scale'"):
        study.settings({**names, "sacle": "nano"})


@pytest.mark.parametrize("name", ["study", "plots", "_scale"])
def test_what_papermill_was_given_is_a_parameter_whatever_a_later_line_makes_of_the_name(name):
    cells = ["", "scale: str = 'nano'", f"# Parameters\nscale = 'smoke'\n{name} = 'other'\n", "study = 3"]
    names = {"__name__": "__main__", "In": cells, "scale": "smoke", name: print}
    with pytest.raises(SettingsError, match=f"unknown parameter '{name}'"):
        ToySettings.from_notebook(names)
    assert ToySettings.from_notebook({**names, "In": cells[:2]}).scale == "smoke", "nothing was given: a name like any"


def test_parameters_lead_back_to_the_same_settings():
    made = Settings.from_mapping({"scale": "smoke", "seeds": [4, 5], "encoder": "trained", "batch": 3})
    assert Settings.from_mapping(made.parameters()) == made


def test_unknown_studies_get_the_nearest_match():
    with pytest.raises(SettingsError, match="did you mean 'native_vs_fixed_resolution'"):
        cli.find_study("native_vs_fixed")
    assert cli.find_study("tests.toy:ToyStudy").title == "Toy"


def test_a_variant_names_what_counts_and_differs_from_the_preset():
    def variant(**values):
        return Settings.from_mapping(values).variant

    assert variant() == variant(seeds=[3], jobs=1, source="published") == "nano"
    assert variant(scale="smoke") == "smoke", "a preset's own values are no variant"
    assert variant(encoder="trained", from_scratch=True) == "nano,from_scratch=true,encoder=trained"
    assert variant(arms=["native", "squash"], learning_rate=0.001) == "nano,learning_rate=0.001,arms=native+squash"
    assert variant(checkpoint="../a b").endswith("checkpoint=.._a_b")
    long = Settings.from_mapping({"checkpoint": "x" * 200})
    assert long.variant == f"nano,{long.settings_hash}"


@pytest.mark.parametrize("name", [*STUDIES, *TEMPLATES])
def test_nothing_that_a_notebook_imports_is_named_as_a_setting(name):
    """Settings are read from a notebook's globals."""
    study = find_study(name)
    if not (path := REPOSITORY / "notebooks" / study.notebook).is_file():
        pytest.skip("a study without a notebook")
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    source = "\n".join(re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE) for cell in cells)
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    assert names and not names & set(study.settings_class.model_fields)
