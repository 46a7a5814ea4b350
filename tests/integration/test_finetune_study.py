"""Fine-tuning as a whole on the shipped small model: what it writes, what it does not do again, what it refuses."""

import json
import shutil

import pandas as pd
import pytest

import oryx
from oryx.errors import SettingsError
from oryx.evidence.rows import read_rows
from oryx.train.datasets import read_records
from tests.records import save, turns, write_records
from workbook.stages.registry import main
from workbook.studies import finetune
from workbook.studies.finetune import Settings, begin, majority, run, split

pytestmark = pytest.mark.finetune


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data"), 12)


@pytest.fixture(scope="module")
def options(data):
    return {"data": str(data), "held_out": 0.34, "batch": 4, "rank": 2, "max_new_tokens": 4, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def done(options, tmp_path_factory):
    """A fine-tuning from the command line, and what it printed."""
    folder, printed = tmp_path_factory.mktemp("done"), []
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(finetune, "print", lambda text, **_: printed.append(text), raising=False)
        main(["finetune", "--folder", str(folder), "--merge", "true", "--epochs", "2", *words])
    assert ended.value.code == 0
    return folder, printed


def test_answers_scores_curve_adapter_and_merged_model_are_written(done):
    folder, printed = done
    curve = pd.read_csv(folder / "curve.csv")
    assert list(curve["step"]) == [1, 2, 3, 4] and curve["loss"].iloc[-1] < curve["loss"].iloc[0]
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG") and (folder / "adapter").is_dir()
    rows = read_rows([folder / arm / "rows.jsonl" for arm in ("before", "after")])
    assert len(rows) == 4 * 2 * 2 and rows["error"].isna().all() and set(rows["task"]) == {"hue"}
    assert (rows[rows["condition"] == "visual"]["frames"] == 1).all() and set(rows["truth"]) <= {"red", "blue"}
    table = pd.read_csv(folder / "table.csv")
    assert list(table["arm"]) == ["before", "after"] * 2 and list(table["condition"][:2]) == ["visual"] * 2
    assert any("tokens/s" in line for line in printed) and printed[-1].startswith("change: ")
    assert oryx.load(folder / "merged").processor.prompt == "plain"


def test_what_was_done_is_not_done_again(done, options, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(done[0], folder)
    kept = {path: path.read_bytes() for path in folder.glob("*/rows.jsonl")}
    said = []
    run(Settings(folder=str(folder), epochs=2, **options), said.append)
    assert {path: path.read_bytes() for path in kept} == kept
    assert not any(line.startswith("step ") for line in said)
    assert pd.read_csv(folder / "curve.csv").equals(pd.read_csv(done[0] / "curve.csv"))
    with pytest.raises(SettingsError, match=r"folder: .*again holds a fine-tuning of epochs 2\.0, not 3\.0"):
        begin(folder, Settings(folder=str(folder), epochs=3, **options))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["--data", ""], "expected data"),
        (["--batch", "0"], "batch: expected at least 1, got 0"),
        (["--rank", "many"], "rank: expected a valid integer"),
        (["--score", "fuzzy"], "score: expected 'exact' or 'contains', got 'fuzzy'"),
        (["--sampling", "fps"], "sampling: expected 'number' or 'time', got 'fps'"),
        (["--accumulate", "5"], "accumulate: 8 records to train on and a batch of 4 do not give 5 pieces"),
        (["--model", "no/such/place/here"], "there is no such folder"),
        (["--decoder", "decrod"], "unknown decoder 'decrod'"),
    ],
)
def test_what_cannot_run_is_one_line_and_exit_code_2(options, tmp_path, capsys, values, said):
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert finetune.main([*words, "--folder", str(tmp_path / "out"), *values]) == 2
    error = capsys.readouterr().err
    assert error.startswith("oryx: ") and said in error and error.count("\n") == 1
    assert not (tmp_path / "out" / "training.pt").exists()


def test_records_of_one_file_are_on_one_side(tmp_path, data):
    fields = json.loads(data.read_text())
    twice = [one | {"id": f"{one['id']}{letter}"} for one in fields for letter in "ab"]
    records = read_records(save(tmp_path, twice), data.parent)
    learned, held = split(records, 0.25, 0)
    assert len(held) == 6 and len(learned) == 18
    assert not {one.cluster for one in held} & {one.cluster for one in learned}
    assert split(records, 0.25, 0) == (learned, held) != split(records, 0.25, 1) and split(records, 0, 0)[1] == []


def test_chance_is_what_the_commonest_answer_scores(tmp_path):
    def record(number, question, answer, task="t"):
        return {"id": number, "task": task, "conversations": turns(question, answer)}

    known = [
        record(0, "a?", "x"),
        record(1, "a?", "x"),
        record(2, "a?", "y"),
        record(3, "b?", "y"),
        record(4, "b?", "y"),
    ]
    asked = [record(5, "a?", "x"), record(6, "a?", "y"), record(7, "new?", "y", "other")]
    records = read_records(save(tmp_path, [*known, *asked]))
    assert majority(records[:5], records[5:], "exact") == {"t": 0.5, "other": 1.0}


def test_every_setting_is_an_option(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["finetune", "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and all(f"--{name.replace('_', '-')}" in shown for name in Settings.model_fields)
