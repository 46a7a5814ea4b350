"""The harness on changed copies of the goldens: it sees a wrong value, a defect, and what it does not understand."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import DEFAULT_GOLDEN_DIR

from . import harness

ERROR = {"type": "ValueError", "message": "the reference failed"}
DEFECT = "NOT a target: a defect"


def document(name: str) -> dict:
    return json.loads((DEFAULT_GOLDEN_DIR / f"{name}.json").read_text())


def outcomes(folder, name: str, changed: dict, tensors: dict | None = None) -> list[str]:
    """The ids of failing items of one document."""
    (folder / f"{name}.json").write_text(json.dumps(changed))
    source = DEFAULT_GOLDEN_DIR / f"{name}.safetensors"
    if source.exists():
        save_file(load_file(source) | (tensors or {}), folder / source.name)
    failing = []
    for case in harness.collect(folder):
        try:
            harness.run(case)
        except (AssertionError, KeyError, pytest.fail.Exception):
            failing.append(case.id)
    return failing


def first_prompt(**changes) -> dict:
    prompt = document("prompt")
    return {**prompt, "inference_7b": [{**prompt["inference_7b"][0], **changes}]}


@pytest.mark.parametrize(
    ("name", "changed", "failing"),
    [
        ("strange", {"cases": [{"name": "a"}], "config": {"rotary": 3}}, ["strange/not-understood"]),
        ("prompt", {**document("prompt"), "inference_72b": [{"question": "a"}]}, ["prompt/not-understood"]),
        ("prompt", {**document("prompt"), "more": {"deep": [{"question": "a"}]}}, ["prompt/not-understood"]),
        ("prompt", first_prompt(input_ids=[1, 2]), ["prompt/inference_7b/0"]),
        ("prompt", first_prompt(input_ids=[1, 2], note=DEFECT), []),
        ("prompt", first_prompt(note=DEFECT), ["prompt/inference_7b/0"]),
        ("prompt", first_prompt(input_ids=None, reference_error=ERROR) | {"training": []}, []),
    ],
)
def test_prompts(tmp_path, name, changed, failing):
    assert outcomes(tmp_path, name, changed)[: len(failing) + 1] == failing


def projector_case(**changes) -> dict:
    stored = document("projector")
    return {**stored, "cases": [{**stored["cases"][0], **changes}]}


def test_tensors_that_differ_fail_and_a_stored_defect_must_differ(tmp_path):
    name = document("projector")["cases"][0]["name"]
    tensors = load_file(DEFAULT_GOLDEN_DIR / "projector.safetensors")
    wrong = {f"{name}/tokens": tensors[f"{name}/tokens"] + 0.1}
    assert outcomes(tmp_path, "projector", projector_case(), wrong) == [f"projector/{name}"]
    assert outcomes(tmp_path, "projector", projector_case(note=DEFECT), wrong) == []
    assert outcomes(tmp_path, "projector", projector_case(note=DEFECT)) == [f"projector/{name}"]
    shorter = {f"{name}/tokens": tensors[f"{name}/tokens"][:, 1:].contiguous()}
    assert outcomes(tmp_path, "projector", projector_case(note=DEFECT), shorter) == []


def test_results_that_are_not_finite_are_no_difference_from_a_defect():
    with pytest.raises(AssertionError, match="not finite") as caught:
        harness.assert_close(torch.tensor([torch.nan]), torch.zeros(1), "logits", atol=1, rtol=0)
    assert not isinstance(caught.value, harness.Mismatch)


def test_sizes_and_frame_numbers_follow_the_same_rules(tmp_path):
    stored = document("preprocess")
    rows = {"scripts": {"image": [{"in_wh": [640, 480], "low_wh": [1, 1], "high_wh": [640, 480]}]}}
    sampling = {"cases": [{"total": 0, "k": 4, "reference_error": ERROR}, {"total": 9, "k": 2, "indices": [0, 7]}]}
    changed = {**stored, "sizes": rows, "frame_sampling": sampling, "cases": []}
    assert outcomes(tmp_path, "preprocess", changed) == [
        "preprocess/sizes/scripts/image/0",
        "preprocess/frame_sampling/1",
    ]
    for part in (*rows["scripts"]["image"], sampling["cases"][1]):
        part["note"] = DEFECT
    assert outcomes(tmp_path, "preprocess", changed) == []
    strange = {**changed, "sizes": {"scripts": {"video_endless": [{"in_wh": [640, 480], "frame_wh": [448, 320]}]}}}
    assert outcomes(tmp_path, "preprocess", strange) == ["preprocess/sizes/scripts/video_endless/0"]
