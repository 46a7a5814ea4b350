"""Asking a random arm about real files: the rows, going on, failures as rows, and the answers of the plain path."""

import pandas as pd
import pytest
import torch

from oryx.eval.generate import read_videos
from oryx.evidence.rows import read_rows
from oryx.evidence.store import RowWriter
from oryx.layout import Layout
from oryx.train.device import compute
from oryx.train.inputs import END, decode, text_batch
from tests.rows import same_rows
from workbook.data.stories import QUESTIONS
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe
from workbook.stages.videos import with_connector
from workbook.studies.compressor import evaluation as compressor_evaluation
from workbook.studies.compressor.cells import cells, stories
from workbook.studies.compressor.evaluation import Evaluation
from workbook.studies.compressor.features import Features
from workbook.studies.compressor.probes import probes
from workbook.studies.compressor.study import Settings
from workbook.studies.frames import evaluate_arm

pytestmark = pytest.mark.integration

BASE = {"schema": 1, "study": "s", "seed": 0, "settings_hash": "h", "weights_hash": "w", "data_hash": "d"}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_reader(recipe("smoke")).eval()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def evaluation_of(model, results, arm="dynamic", **values):
    settings = Settings.from_mapping(
        {"scale": "smoke", "split": "dev", "results": str(results), "short_stories": 3, "long_stories": 1, **values}
    )
    with_connector(model, {"average": "average", "mlp_smaller": "mlp"}.get(arm, "dynamic"), 0)
    return Evaluation(
        settings, arm, model, Features(settings, model, "w", compute("fp32"), blind=False), {**BASE, "arm": arm}
    )


def asked(model, results, path, arm="dynamic", **values):
    evaluation = evaluation_of(model, results, arm, **values)
    with RowWriter(path) as writer:
        evaluate_arm([*evaluation.shift_batches("start"), *evaluation.batches()], writer, compute(), lambda *_: None)
    return evaluation, read_rows([path])


def test_rows_of_an_arm(model, results, tmp_path):
    evaluation, rows = asked(model, results, tmp_path / "rows.jsonl")
    films = {length: stories(evaluation.settings, length) for length in ("short", "long")}
    questions = {length: sum(len(film.facts) for film in own) for length, own in films.items()}
    for condition in ("visual", "no_visual"):
        counts = rows[rows["condition"] == condition].groupby(["ratio", "length"]).size().to_dict()
        assert counts == {
            (1, "short"): questions["short"],
            **{(ratio, length): questions[length] for ratio in (4, 16) for length in films},
        }
    seen = rows[rows["condition"] == "visual"]
    tokens = {(1, "short"): 170, (4, "short"): 58, (16, "short"): 26, (4, "long"): 170, (16, "long"): 74}
    assert seen.groupby(["ratio", "length"])["visual_tokens"].unique().map(list).to_dict() == {
        key: [value] for key, value in tokens.items()
    }
    assert (rows.loc[rows["condition"] == "no_visual", "visual_tokens"] == 0).all() and seen["held_kb"].gt(0).all()
    assert set(seen["task"]) == {f"{kind}_{ratio}x" for kind in QUESTIONS for ratio in (1, 4, 16)}
    shift = rows[rows["condition"] == "shift_start"]
    assert len(shift) == 2 * 3 and shift["score"].between(0, 1).all() and (shift["shift_variance"] > 0).all()


def test_answers_are_those_of_the_plain_path(model, results, tmp_path):
    evaluation, rows = asked(model, results, tmp_path / "rows.jsonl")
    for film in stories(evaluation.settings, "short"):
        tokens = evaluation.features.story(film.path, 32).tokens.float().flatten(0, 1)
        for kind, question in QUESTIONS.items():
            if kind in film.facts:
                prompt = text_batch([question], None)
                out = model.generate(
                    **prompt, vision_features=tokens, max_new_tokens=12, do_sample=False,
                    image_grids=torch.tensor([[4, 4]] * 8), visual_spec=torch.tensor([[Layout.VIDEO, 8, 2]]),
                    eos_token_id=END, pad_token_id=END,
                )  # fmt: skip
                name = f"{film.id}/{kind}/4x"
                row = rows[(rows["item"] == name) & (rows["condition"] == "visual")].iloc[0]
                assert (
                    row["answer"] == decode(out[0, prompt["input_ids"].shape[1] :].tolist())
                    and row["truth"] == film.facts[kind]
                )


def test_what_was_asked_is_not_asked_again(model, results, tmp_path, monkeypatch):
    _, before = asked(model, results, tmp_path / "rows.jsonl")
    monkeypatch.setattr(compressor_evaluation, "read_videos", lambda *_: pytest.fail("read again"))
    _, after = asked(model, results, tmp_path / "rows.jsonl")
    pd.testing.assert_frame_equal(before, after)


def test_missing_rows_come_from_the_batches_of_an_undisturbed_run(model, results, tmp_path, monkeypatch):
    _, whole = asked(model, results, tmp_path / "rows.jsonl")
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    (tmp_path / "rows.jsonl").write_text("\n".join(lines[: len(lines) // 3]) + "\n")
    batches = []
    monkeypatch.setattr(
        compressor_evaluation,
        "read_videos",
        lambda model, videos: batches.append(len(videos)) or read_videos(model, videos),
    )
    _, again = asked(model, results, tmp_path / "rows.jsonl")
    assert set(batches) == {1, 3} and same_rows(whole, again) == []


def test_a_failure_is_a_row_with_an_error(model, results, tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("no memory")

    monkeypatch.setattr(compressor_evaluation, "read_videos", fail)
    _, rows = asked(model, results, tmp_path / "rows.jsonl")
    seen = rows[rows["condition"] == "visual"]
    assert set(seen["error"]) == {"ValueError: no memory"} and seen["score"].isna().all()


def test_smaller_pictures_and_the_varied_arm(model, results, tmp_path):
    evaluation, rows = asked(model, results, tmp_path / "a.jsonl", "mlp_smaller")
    seen = rows[rows["condition"] == "visual"]
    assert seen.groupby("ratio")["input_side"].first().to_dict() == {1: 32, 4: 16, 16: 8}
    assert seen.groupby("ratio")["visual_tokens"].min().to_dict() == {1: 170, 4: 58, 16: 26}
    evaluation = evaluation_of(model, results, "on_demand", panel="on_demand", on_demand_stories=1)
    cell = next(c for c in cells(evaluation.settings, "on_demand") if (c.side, c.frames, c.ratio) == (96, 4, 9))
    with RowWriter(tmp_path / "b.jsonl") as writer:
        evaluate_arm(evaluation.cell_batches(cell), writer, compute(), lambda *_: None)
    rows = read_rows([tmp_path / "b.jsonl"])
    assert set(rows["condition"]) == {"at_96px_4f"} and set(rows["visual_tokens"]) == {4 * (4 * 5 + 1) + 2}
    assert (rows["encode_seconds"] > 0).all() and (rows["frames"] == 4).all()


def test_probes_need_one_short_story(model, results):
    evaluation = evaluation_of(model, results, short_stories=1)
    assert probes(evaluation.settings, "dynamic", model, evaluation.features)["attention"]


def test_probes_hold_a_weight_for_every_token_and_an_answer_for_every_question(model, results, tmp_path):
    evaluation = evaluation_of(model, results)
    found = probes(evaluation.settings, "dynamic", model, evaluation.features)
    maps = pd.DataFrame(found["attention"]).set_index(["film", "ratio", "frame", "row"])
    assert maps.shape == (3 * 2 * 8 * 4, 4) and set(maps.index.unique("film")) == {"story", "bunny", "city"}
    means = maps.mean(axis=1).groupby(["film", "ratio"]).mean()
    assert means.sub(1).abs().max() < 1e-3, "weights of a region sum to one"
    assert len(found["answers"]) == 2 * 3 and set(found["answers"][0]) == {"arm", "clip", "ratio", *QUESTIONS.values()}
