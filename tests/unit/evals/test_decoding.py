"""Generation arguments of lmms-eval's tasks, by protocol."""

import pytest

from oryx.errors import SettingsError
from workbook.data.protocols import protocol
from workbook.evals.decoding import cut, generation

GREEDY = {"max_new_tokens": 16, "temperature": 0.0, "top_p": 1.0, "num_beams": 1, "do_sample": False}
SILENT = {"until": ["\n\n"], "do_sample": False}
"""What the harness writes for a task without generation arguments."""


@pytest.mark.parametrize(
    ("named", "name", "video", "expected"),
    [
        (GREEDY, "paper", True, {"do_sample": False, "max_new_tokens": 16, "num_beams": 1, "repetition_penalty": 1.0}),
        (GREEDY, "official", True, {"do_sample": False, "max_new_tokens": 16, "num_beams": 1}),
        (SILENT, "paper", True, {"do_sample": False, "max_new_tokens": 99, "repetition_penalty": 1.0}),
        (SILENT, "official", False, {"do_sample": False, "max_new_tokens": 99}),
        (SILENT, "official", True, {"do_sample": True, "temperature": 0.2, "top_p": 1.0, "max_new_tokens": 99}),
        ({"do_sample": False, "num_beams": 2}, "official", True,
         {"do_sample": False, "max_new_tokens": 99, "num_beams": 2}),
        ({"temperature": 0.7, "top_p": 0.9, "top_k": 5, "repetition_penalty": 1.3}, "paper", False,
         {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "max_new_tokens": 99,
          "repetition_penalty": 1.3}),
        ({"temperature": 0.7, "do_sample": False}, "paper", False,
         {"do_sample": False, "max_new_tokens": 99, "repetition_penalty": 1.0}),
        ({"do_sample": True}, "paper", False,
         {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 99, "repetition_penalty": 1.0}),
    ],
)  # fmt: skip
def test_the_task_decides_and_the_protocol_where_it_is_silent(named, name, video, expected):
    assert generation(named, protocol(name), video, 99) == expected


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"max_new_token": 3}, r"unknown generation argument 'max_new_token'; did you mean 'max_new_tokens'\?"),
        ({"temprature": 0}, r"did you mean 'temperature'\?"),
        ({"max_new_tokens": 0}, "max_new_tokens: .*greater than or equal to 1"),
        ({"temperature": -1}, "temperature: .*greater than or equal to 0"),
    ],
)
def test_what_cannot_be_is_refused(named, said):
    with pytest.raises(SettingsError, match=said):
        generation(named, protocol("paper"), False, 99)


def test_answers_end_at_a_stop_that_the_task_names():
    assert cut(" A. red\n\nASSISTANT: B", ["ASSISTANT:"]) == "A. red"
    assert cut("one\n\ntwo", ["\n\n"]) == "one\n\ntwo", "the harness puts this stop where a task names none"
    assert cut("one. two", ".") == "one" and cut("one ", None) == "one"
