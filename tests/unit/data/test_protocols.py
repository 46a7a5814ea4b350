"""Named protocols: every value has a source, prompts come out as the public files print them, changes are checked."""

import pytest

from oryx.errors import SettingsError
from oryx.grids import SizeRule
from oryx.processing.options import PreprocessOptions
from workbook.data.protocols import NOT_FOUND, Protocol, protocol, protocols

OPTIONS = ("a cat", "a {dog}", "a bird", "none")


def test_every_value_of_every_protocol_has_a_source():
    plain = set(Protocol.model_fields) - {"name", "prompts", "sources"}
    assert set(protocols()) == {"paper", "official"}
    for each in protocols().values():
        assert set(each.sources) == plain and all(each.sources.values())
        assert all(prompt.source for prompt in each.prompts.values())
    assert set(protocol("paper").prompts) == set(protocol("official").prompts)
    assert protocol("paper").sources["frames"].startswith(NOT_FOUND)


def test_pixels_and_frames_are_those_of_the_released_scripts():
    for each in protocols().values():
        assert each.options == PreprocessOptions(newlines=1)
    options = protocol("paper").changed(low_view_side=0, image_max_side=768, frames=128, newlines=2).options
    assert options.low is None and options.high == SizeRule(stride=32, max_side=768)
    assert (options.frames, options.newlines) == (128, 2)


def test_the_protocols_differ_in_decoding_compression_and_repeated_frames():
    paper, official = protocol("paper"), protocol("official")
    assert paper.generation(True, paper.prompt("mlvu")) == {
        "do_sample": False, "max_new_tokens": 16, "repetition_penalty": 1.0
    }  # fmt: skip
    assert official.generation(True, official.prompt("mlvu")) == {
        "do_sample": True, "max_new_tokens": 1024, "temperature": 0.2, "top_p": 1.0
    }  # fmt: skip
    assert official.generation(True, official.prompt("videomme")) == {"do_sample": False, "max_new_tokens": 16}
    assert official.generation(False) == {"do_sample": False}
    assert (paper.long_compression, official.long_compression) == (16, 4)
    assert official.repeat_frames and not paper.repeat_frames


def test_prompts_are_filled_as_the_public_files_print_them():
    listed = "['A. a cat', 'B. a {dog}', 'C. a bird', 'D. none']"
    official, paper = protocol("official"), protocol("paper")
    assert official.prompt("videomme").fill("What?", OPTIONS) == (
        f"What?\n{listed}\nAnswer the question with A, B, C, or D."
    )
    assert official.prompt("nextqa").fill("Why?", OPTIONS[:2]).endswith("\nAnswer the question with A or B.")
    assert paper.prompt("mlvu").fill("Why?", OPTIONS, published="Why?\n(A) as it was\n") == (
        "Why?\n(A) as it was\n\nOnly give the best option.\nBest option: ("
    )
    assert paper.prompt("mmbench").fill("Which?", OPTIONS[:2], hint="Look.") == (
        "Look. Which? There are several options:\nA. a cat\nB. a {dog}\n\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert paper.prompt("mvbench").fill("Which?", OPTIONS[:2]) == (
        "Question:Which?\nOption:\n(A) a cat\n(B) a {dog}\nOnly give the best option.\n"
    )
    assert paper.prompt("ocrbench").fill("What is written?") == "What is written?"


def test_changes_are_named_in_the_sources_and_checked():
    changed = protocol("official").changed(frames=256, repetition_penalty=1.0)
    assert (changed.frames, changed.described()["frames"]) == (256, 256)
    assert changed.sources["frames"] == "changed by the user" != changed.sources["newlines"]
    assert protocol("official").frames == 64, "the named protocol stays"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: protocol("papr"), "unknown protocol 'papr'; did you mean 'paper'"),
        (lambda: protocol("paper").prompt("video_mme"), "unknown benchmark 'video_mme'; did you mean 'videomme'"),
        (lambda: protocol("paper").changed(frame=8), "unknown protocol field 'frame'; did you mean 'frames'"),
        (lambda: protocol("paper").changed(newlines=3), "protocol paper: newlines: expected 1 or 2, got 3"),
        (lambda: protocol("paper").changed(frames=0), "protocol paper: frames: .*greater than or equal to 1"),
        (lambda: protocol("paper").changed(name="mine"), "unknown protocol field 'name'"),
    ],
)
def test_what_no_protocol_has_is_refused_with_the_nearest_name(call, said):
    with pytest.raises(SettingsError, match=said):
        call()
