"""The study of benchmarks: a complete tiny checkpoint in the authors' format is asked six-item local copies."""

import pandas as pd
import pytest
from PIL import Image

from oryx.errors import CheckpointError, MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from oryx.processing.tokenizers import byte_tokenizer
from tests.benchmark_copies import COPIES, write_scanqa
from tests.rows import same_rows
from tests.unit.model.builders import tiny_model, write_released
from workbook.data.protocols import protocol
from workbook.report import captions, plots
from workbook.studies.benchmarks import figures, tables
from workbook.studies.benchmarks.evaluation import asked
from workbook.studies.benchmarks.study import Benchmarks

pytestmark = pytest.mark.integration

NAMES = list(COPIES)
STUDY = Benchmarks()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """In the authors' format, called as the released one, so that published numbers are found for it."""
    model = tiny_model(text={"vocab_size": 259, "max_position_embeddings": 8192}, vision={"patch_size": 16})
    folder = write_released(tmp_path_factory.mktemp("released") / "Oryx-7B", model, tokenizer_model_max_length=8192)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    for name, write in COPIES.items():
        write(folder / name)
    write_scanqa(folder / "scanqa")
    return folder


@pytest.fixture(scope="module")
def made(checkpoint, copies, tmp_path_factory):
    given = {"scale": "paper", "checkpoint": str(checkpoint), "data": str(copies), "benchmarks": NAMES, "frames": 3}
    given |= {"max_new_tokens": 3, "results": str(tmp_path_factory.mktemp("results"))}
    return lambda **values: STUDY.settings({**given, **values})


@pytest.fixture(scope="module")
def finished(made, tmp_path_factory):
    """Settings, folder and rows of both protocols."""
    settings, folder = made(protocols=["paper", "official"]), tmp_path_factory.mktemp("arms")
    STUDY.check(settings)
    for arm in STUDY.arms(settings):
        STUDY.run_job(settings, arm, 0, folder / arm, lambda *_: None)
    return settings, folder, read_rows([folder / arm / "rows.jsonl" for arm in STUDY.arms(settings)])


def test_every_question_is_asked_by_every_protocol_with_and_without_its_visual(finished):
    *_, rows = finished
    assert rows["error"].isna().all() and len(rows) == 2 * 2 * 6 * len(NAMES)
    seen = rows[rows["condition"] == "visual"]
    videos = seen[seen["benchmark"].isin(["videomme", "mlvu", "nextqa"])]
    assert (videos["frames"] == 3).all() and videos["decoder"].isin(["decord", "pyav"]).all()
    assert (videos["cluster"].nunique(), rows["arm"].nunique()) == (9, 2)
    assert set(seen.loc[seen["benchmark"] == "videomme", "task"]) == {
        "videomme: short", "videomme: medium", "videomme: long",
    }  # fmt: skip
    assert set(seen.loc[seen["benchmark"] == "nextqa", "task"]) == {"nextqa"}
    asked = rows[rows["benchmark"] == "mlvu"].groupby("arm")["question"].first()
    assert asked["paper"].endswith("Best option: (") and asked["official"].endswith("A, B, C, or D.")


def test_published_numbers_stand_beside_ours_with_both_averages_and_controls(finished):
    _settings, _folder, rows = finished
    table = tables.results_table(rows, "Oryx 7B").set_index(["benchmark", "protocol"])
    found = table["published"].xs("paper", level="protocol")
    assert found.to_dict() == {
        "OCRBench": "672 0-1000", "MMBench": "81.4 %", "VideoMME": "58.3 %", "MLVU": "67.5 %", "NExT-QA": "81.9 %",
    }  # fmt: skip
    assert table.loc[["OCRBench", "MMBench", "NExT-QA"], "inside"].isin(["yes", "no"]).all() and (table["n"] == 6).all()
    assert set(table.loc["VideoMME", "inside"]) == {"no interval"}, "one video a task has none"
    assert (table["all turns"] != "").sum() == 2, "MMBench alone has turned options"
    unknown = tables.results_table(rows, "my model")
    assert (unknown["published"] == "not found").all() and "yes" not in set(unknown["inside"])
    parts = tables.results_table(rows, "Oryx 7B", parts=True)
    part = parts[(parts["benchmark"] == "VideoMME") & (parts["kind"] == "long")]
    assert set(part["published"]) == {"50.3 %"} and (part["n"] == 2).all()
    assert set(parts[parts["kind"] == "short"]["published"]) == {"not found"}
    conditions = tables.conditions_table(rows).set_index(["benchmark", "protocol"])
    assert conditions.loc[("mlvu", "paper"), "frames"] == "3" and not conditions["failed"].any()


def test_the_papers_tables_stand_beside_what_was_asked(finished):
    _settings, _folder, rows = finished
    table = tables.paper_table(rows, "Oryx 7B", found := tables.captions_table(rows))
    assert found.empty, "no benchmark of open answers was asked"
    asked = table[table["ours"] != tables.NOT_ASKED].set_index("benchmark")
    assert sorted(asked.index) == ["MLVU", "MMBench", "NExT-QA", "OCRBench", "VideoMME"]
    assert asked.loc["VideoMME", "variant"] == "w/o subtitles" and asked.loc["OCRBench", "published"] == "672 0-1000"
    assert asked["ours"].str.fullmatch(r"official: .*; paper: .*").all()
    assert table["source"].str.startswith("http").all()
    assert {"DocVQA", "ScanQA", "MMBench-Video"} <= set(table["benchmark"]) and set(table["model"]) == {"Oryx 7B"}
    assert {"Oryx 7B", "Oryx 34B", "Oryx-1.5 7B"} <= set(tables.paper_table(rows, "my model", found)["model"])


def test_open_answers_have_the_metrics_of_the_papers_table(made, tmp_path, monkeypatch):
    settings = made(benchmarks=["scanqa"])
    STUDY.check(settings)
    STUDY.run_job(settings, "paper", 0, tmp_path, lambda *_: None)
    rows = read_rows([tmp_path / "rows.jsonl"])
    assert set(rows["cluster"]) == {f"scanqa/scene000{i}_00" for i in range(3)} and rows["error"].isna().all()
    assert rows["truths"].map(list).tolist()[0] == ["red wall", "a red wall"]
    assert (rows.loc[rows["condition"] == "visual", "frames"] == 3).all()
    monkeypatch.setattr(captions, "find_spec", lambda name: None)
    table = tables.captions_table(rows).set_index("metric")
    assert set(table["benchmark"]) == {"ScanQA"} and table.loc["EM", "n"] == 6 and table.loc["EM", "clusters"] == 3
    found = tables.captions_table(rows).assign(score=12.34, low=10.0, high=15.0)
    beside = tables.paper_table(rows, "Oryx 7B", found)
    beside = beside[beside["benchmark"] == "ScanQA"].set_index("metric")
    assert set(beside["ours"]) == {"paper: 12.3 [10.0, 15.0]"} and beside.loc["CIDEr", "published"] == "68.7 score"
    lacking = tables.paper_table(rows, "Oryx 7B", tables.captions_table(rows))
    assert set(lacking[lacking["benchmark"] == "ScanQA"]["ours"]) == {
        'paper: not computed: pip install -e ".[captions]"'
    }


def scored(benchmark, scores, kinds):
    """Rows of one benchmark with these scores."""
    lines = [
        {"benchmark": benchmark, "arm": "paper", "condition": condition, "item": f"{benchmark}/{i}", "seed": 0,
         "task": f"{benchmark}: {kind}", "kind": kind, "cluster": f"c{i}", "score": float(score), "error": None,
         "chance": 0.25, "answer": "A", "chosen": "A", "likeliest": "A", "truth": "A"}
        for i, (score, kind) in enumerate(zip(scores, kinds, strict=True))
        for condition in ("visual", "no_visual")
    ]  # fmt: skip
    return pd.DataFrame(lines)


def test_mlvu_has_two_averages_and_the_published_one_is_over_tasks():
    rows = scored("mlvu", [1, 1, 1, 1, 0, 1], ["plotQA"] * 4 + ["count"] * 2)
    line = tables.scores(rows, "Oryx 7B").iloc[0]
    assert (
        line["score"] == 0.75 and line["over questions"].startswith("0.833") and line["over tasks"].startswith("0.750")
    )
    assert (line["level"], line["published"], line["inside"]) == (0.675, "67.5 %", "yes")


def test_mmbench_counts_a_question_right_in_every_turn_only():
    rows = scored("mmbench", [1, 1, 1, 0], ["a"] * 4).assign(
        item=lambda frame: "mmbench/" + pd.Series([0, 0, 1_000_000, 1_000_000, 1, 1, 1_000_001, 1_000_001]).astype(str)
    )
    assert tables.scores(rows, "")["all turns"].tolist() == ["0.500"]


def test_the_published_number_is_the_level_of_the_hypothesis(finished, made):
    settings, _folder, rows = finished
    verdicts = {verdict["id"]: verdict for verdict in STUDY.judged(settings, rows)}
    assert set(verdicts) == {f"{arm}.{name}" for arm in ("paper", "official") for name in NAMES}
    untested = {"videomme", "mlvu"}  # six items: one video a task
    for name, verdict in verdicts.items():
        few = name.partition(".")[2] in untested
        assert verdict["verdict"] == "not tested" if few else verdict["verdict"].startswith("one model: ")
    assert verdicts["paper.ocrbench"]["paper_value"] == "672 0-1000"
    stated = {entry.id: entry for entry in STUDY.hypotheses(made())}
    assert stated["paper.ocrbench"].level == 0.672 and "published for Oryx 7B" in stated["paper.ocrbench"].statement
    unknown = {entry.id: entry for entry in STUDY.hypotheses(made(published="my model"))}
    assert unknown["paper.nextqa"].level == pytest.approx(0.2) and unknown["paper.nextqa"].paper_value == "not found"
    assert made(checkpoint="THUdyh/Oryx-1.5-32B").model == "Oryx-1.5 32B"


def test_figures_show_every_benchmark_and_every_letter(finished):
    _settings, folder, rows = finished
    figure, frame = figures.beside_published(rows, "Oryx 7B")
    assert len(frame) == 2 * len(NAMES) and frame["level"].notna().all()
    figure, frame = figures.letters(rows)
    titles = [axis.get_title(loc="left") for axis in figure.axes if axis.axison]
    assert len(titles) == 2 * 4 and not any("ocrbench" in title for title in titles), "OCRBench has no options"
    shares = frame.set_index("letter")
    assert {"A", "B", "C", "D"} <= set(shares.index) and shares.sum().round(6).eq(1).all()
    assert figures.letters(rows[rows["benchmark"] == "ocrbench"]).frame.empty
    plots.save_figure(figure, frame, folder, "letters")
    assert Image.open(folder / "letters.png").size[0] > 800


def test_the_manifest_says_the_protocols_with_sources(made):
    (described,) = STUDY.describe(made())["protocols"]
    assert (described["protocol"], described["frames"]) == ("paper", 3)
    assert described["sources"]["frames"] == "changed by the user" and described["newlines"] == 1


def test_a_stopped_arm_goes_on_with_what_is_missing(finished, tmp_path):
    settings, arms, rows = finished
    whole, folder = rows[rows["arm"] == "paper"].reset_index(drop=True), tmp_path / "paper"
    lines = (arms / "paper" / "rows.jsonl").read_text().splitlines(keepends=True)
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(lines[:7]))
    STUDY.run_job(settings, "paper", 0, folder, lambda *_: None)
    again = read_rows([folder / "rows.jsonl"])
    assert same_rows(whole[again.columns], again) == []


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"checkpoint": ""}, MissingResource, "asks released weights .*: -p checkpoint=FOLDER .* got checkpoint=''"),
        ({"data": ""}, MissingResource, "-p data=FOLDER with local copies of ocrbench, .* data=''"),
        ({"seeds": [0, 1]}, SettingsError, "released weights are one model"),
        ({"from_scratch": True}, SettingsError, "no weights are shipped for scale 'paper'"),
        (
            {"benchmarks": ["ocrbnch"]},
            SettingsError,
            "benchmark of this study 'ocrbnch'; did you mean 'ocrbench'",
        ),
        ({"benchmarks": ["mvbench"]}, MissingResource, "mvbench: expected a copy of OpenGVLab/MVBench"),
        ({"benchmarks": []}, SettingsError, "benchmarks: expected at least one of ocrbench, "),
        ({"protocols": []}, SettingsError, "protocols: expected at least one of paper, official"),
        ({"checkpoint": "no/such/folder"}, CheckpointError, "there is no such folder"),
    ],
)
def test_what_cannot_run_is_said_before_any_work(made, values, error, said):
    with pytest.raises(error, match=said):
        STUDY.check(made(**values))


def test_unknown_protocols_are_refused(made):
    with pytest.raises(SettingsError, match="protocols"):
        made(protocols=["papr"])


def test_without_data_tiny_copies_are_drawn(tmp_path):
    settings = STUDY.settings({"scale": "smoke", "results": str(tmp_path), "items": 2})
    STUDY.check(settings)
    found = STUDY.copies(settings)["paper"]
    assert {name: len(items) for name, items in found.items()} == {"ocrbench": 2, "videomme": 2}
    assert found["videomme"][0].visual.exists() and found["videomme"][0].truths[0] in "ABCD"
    before = STUDY.hashes(settings)
    assert (
        STUDY.hashes(settings) == before != STUDY.hashes(STUDY.settings({"scale": "smoke", "results": str(tmp_path)}))
    )


def test_the_official_protocol_asks_videos_at_4x_however_long(made):
    settings = made(benchmarks=["ocrbench", "mlvu"], protocols=["paper", "official"], max_new_tokens=None)
    copies = STUDY.copies(settings)
    ways = [way for arm in copies for _, way in asked(settings, protocol(arm), copies[arm])]
    assert [way.compression for way in ways] == ["auto", "auto", "auto", 4]
    assert ways[3].generation == {"do_sample": True, "max_new_tokens": 1024, "temperature": 0.2, "top_p": 1.0}
