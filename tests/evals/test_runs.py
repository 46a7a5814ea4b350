"""The harness's own tasks, on local copies, ask a checkpoint in the authors' format through the plugin."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from oryx.errors import MissingResource, SettingsError
from tests.benchmark_copies import COPIES

from .conftest import TOKENS
from .harness import ask

LOCAL = [f"{name}_local" for name in COPIES]
VIDEOS = ["mlvu_local", "nextqa_local", "videomme_local"]
METRIC = {
    "ocrbench_local": "ocrbench_accuracy",
    "mmbench_local": "gpt_eval_score",
    "videomme_local": "videomme_perception_score",
    "mlvu_local": "mlvu_percetion_score",
    "nextqa_local": "exact_match",
}


def test_batches_give_the_same_answers_and_the_results_say_what_was_used(checkpoint, copies, tmp_path):
    arguments = f"pretrained={checkpoint},protocol=paper,frames=4"
    one, two = (ask(arguments, LOCAL, copies, tmp_path, most=6, batch_size=size) for size in (1, 2))
    assert set(one.answers) == set(LOCAL) and all(len(answers) == 6 for answers in one.answers.values())
    assert one.answers == two.answers and len({a for each in one.answers.values() for a in each.values()}) > 10
    assert one.inputs == two.inputs and all(one.inputs[task][0] > 100 for task in LOCAL)
    assert all(f"{metric},none" in one.results[task] for task, metric in METRIC.items())
    assert (one.used["protocol"], one.used["frames"], one.used["repetition_penalty"]) == ("paper", 4, 1.0)
    assert one.used["checkpoint"] == str(checkpoint) and len(one.used["weights_hash"]) == 16
    assert one.used["failed"] == [], "nothing failed"


def test_the_protocol_decides_on_frames_and_pixels(checkpoint, copies, tmp_path):
    def inputs(arguments):
        return ask(f"pretrained={checkpoint},{arguments}", ["videomme_local"], copies, tmp_path).inputs[
            "videomme_local"
        ]

    paper, official = inputs("protocol=paper,frames=16"), inputs("protocol=official,frames=16")
    more = {number: official[number] - paper[number] for number in paper}
    # the videos have 12 frames, enlarged to 192 x 320 pixels: 6 x 10 tokens with newlines, and a separator each
    assert set(more.values()) == {4 * (6 * 11 + 1)}, "the official code repeats frames"
    fewer = inputs("protocol=paper,frames=16,video_max_side=256,video_min_side=128")
    assert all(fewer[number] < paper[number] for number in paper)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("frame=4", r"unknown model argument 'frame'; did you mean 'frames'\?"),
        ("preccision=bf16", r"unknown model argument 'preccision'; did you mean 'precision'\?"),
        ("protocol=papers", r"unknown protocol 'papers'; did you mean 'paper'\?"),
        ("frames=0", "frames: .*greater than or equal to 1, got 0"),
        ("precision=half", "unknown precision 'half'"),
        ("batch_size=auto", "batch_size: expected a whole number and no maximum, got 'auto'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(checkpoint, arguments, said):
    from workbook.evals.model import OryxWorkbook

    with pytest.raises(SettingsError, match=said):
        OryxWorkbook.create_from_arg_string(f"pretrained={checkpoint},{arguments}", {"device": "cpu"})


def test_the_harness_finds_the_model_and_asks_it_by_messages(checkpoint):
    from lmms_eval.models import MODEL_REGISTRY_V2

    for simple in (False, True):  # --force_simple changes nothing
        model = MODEL_REGISTRY_V2.get_model_class("oryx_workbook", force_simple=simple)
        assert not model.is_simple and model.__name__ == "OryxWorkbook"
    asked = model.create_from_arg_string(f"pretrained={checkpoint}", {"device": "cpu"})
    with pytest.raises(MissingResource, match="expected tasks of type generate_until"):
        asked.loglikelihood([])


def test_generation_arguments_that_cannot_be_are_refused(checkpoint, copies, tmp_path):
    with pytest.raises(
        SettingsError, match=r"unknown generation argument 'max_tokens'; did you mean 'max_new_tokens'\?"
    ):
        ask(f"pretrained={checkpoint}", ["mlvu_local"], copies, tmp_path, gen_kwargs="max_tokens=3")


def test_what_fails_is_named_and_asked_again(checkpoint, copies, tmp_path, monkeypatch):
    """One video of three is damaged; then it is whole again, and the same command asks its two questions alone."""
    video, whole = copies / "mlvu" / "invented_1.mp4", tmp_path / "whole.mp4"
    shutil.copy(video, whole)
    arguments, options = f"pretrained={checkpoint},frames=4", {"use_cache": str(tmp_path / "cache"), "batch_size": 3}
    try:
        video.write_bytes(whole.read_bytes()[:900])
        first = ask(arguments, ["mlvu_local"], copies, tmp_path, **options)
    finally:
        shutil.copy(whole, video)
    assert first.used["failed"] == ["mlvu_local/2", "mlvu_local/3"]
    answers = first.answers["mlvu_local"]
    assert [number for number, answer in answers.items() if not answer] == [2, 3]
    second = ask(arguments, ["mlvu_local"], copies, tmp_path, **options)
    assert second.used["failed"] == [] and all(second.answers["mlvu_local"].values())
    assert {n: a for n, a in second.answers["mlvu_local"].items() if n not in (2, 3)} == {
        n: a for n, a in answers.items() if n not in (2, 3)
    }
    asked = [number for number, tokens in second.inputs["mlvu_local"].items() if tokens]
    assert asked == [2, 3], "the others came from the cache"


def test_a_question_that_is_too_long_fails(checkpoint, copies, tmp_path):
    found = ask(f"pretrained={checkpoint},frames=64,repeat_frames=true", ["nextqa_local"], copies, tmp_path)
    assert len(found.used["failed"]) == 6, f"64 frames take more than {TOKENS} tokens, 12 do not (above)"


def task_file(folder: Path, name: str, **fields) -> None:
    """A task of two questions about pictures of the items in ``folder``."""
    (folder / f"{name}.yaml").write_text(
        "".join(
            f"{key}: {value if str(value).startswith('!') else json.dumps(value)}\n" for key, value in fields.items()
        )
    )


def test_several_pictures_and_marks_in_the_text(checkpoint, copies, tmp_path):
    """Two pictures stand in front of a question, or where it says; an until of the task ends the answer."""
    (tmp_path / "functions.py").write_text(
        "from tests.benchmark_copies import picture\n"
        "def two(doc): return [picture(0), picture(1)]\n"
        "def before(doc): return doc['question']\n"
        "def inside(doc): return '<image>\\n<image>\\n' + doc['question']\n"
        "def wrong(doc): return '<image> ' + doc['question']\n"
        "def right(doc, results): return {'exact_match': 1.0}\n"
    )
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "Which is red?", "answer": "A"}) + "\n")
    for name, text, until in (
        ("before", "before", []),
        ("inside", "inside", []),
        ("wrong", "wrong", []),
        ("ended", "before", ["B", "C"]),
    ):
        task_file(
            tmp_path,
            name,
            task=name,
            dataset_path="json",
            dataset_kwargs={"data_files": {"test": str(tmp_path / "rows.jsonl")}},
            test_split="test",
            output_type="generate_until",
            doc_to_visual="!function functions.two",
            doc_to_text=f"!function functions.{text}",
            doc_to_target="answer",
            process_results="!function functions.right",
            generation_kwargs={"max_new_tokens": 8, "until": until, "temperature": 0},
            metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        )
        assert yaml.safe_load((tmp_path / f"{name}.yaml").read_text().replace("!function ", ""))
    tasks = ["before", "inside", "wrong", "ended"]
    found = ask(f"pretrained={checkpoint}", tasks, tmp_path, tmp_path / "out", batch_size=2, gen_kwargs="")
    assert found.answers["before"] == found.answers["inside"] and found.inputs["before"] == found.inputs["inside"]
    assert found.used["failed"] == ["wrong/0"], "two pictures, one mark"
    whole, ended = found.answers["before"][0], found.answers["ended"][0]
    assert set("BC") & set(whole) and not set("BC") & set(ended) and whole.startswith(ended)


def test_two_processes_give_the_answers_of_one(checkpoint, copies, tmp_path):
    arguments = f"pretrained={checkpoint},protocol=paper,frames=4"
    one = ask(arguments, VIDEOS, copies, tmp_path)
    command = f"""{sys.executable} -m torch.distributed.run --standalone --nproc_per_node 2 -m lmms_eval
        --model oryx_workbook --model_args {arguments} --tasks {",".join(VIDEOS)} --include_path {copies}
        --gen_kwargs max_new_tokens=4 --log_samples --output_path {tmp_path}/two"""
    done = subprocess.run(command.split(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    [results] = (tmp_path / "two").rglob("*_results.json")
    used = json.loads(results.read_text())["config"]["resolved_cli_args"]["oryx_workbook"]
    assert used["failed"] == [] and used["frames"] == 4 and used["weights_hash"] == one.used["weights_hash"]
    for task in VIDEOS:
        [samples] = (tmp_path / "two").rglob(f"*_samples_{task}.jsonl")
        rows = map(json.loads, samples.read_text().splitlines())
        assert {row["doc_id"]: row["filtered_resps"] for row in rows} == one.answers[task]
