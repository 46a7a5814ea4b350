"""Prompts beyond the reference results: forms, marks, stop tokens, ill-formed conversations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from oryx.errors import InputError
from oryx.processing.chat import (
    MARK,
    move_marks_first,
    question,
    stop_ids,
    tokenize,
)
from oryx.processing.tokenizers import byte_tokenizer

BYTES = byte_tokenizer()


def turns(*values: str | None) -> list[dict]:
    return [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)]


@given(st.text(max_size=40))
def test_text_is_its_bytes_and_comes_back(text):
    ids = BYTES(text, add_special_tokens=False)["input_ids"]
    if "<|" not in text:
        assert ids == list(text.encode())
    assert BYTES.decode(ids) == text


@pytest.mark.parametrize("form", ["qwen", "template", "plain"])
@pytest.mark.parametrize("marks", [0, 1, 3])
def test_every_mark_becomes_one_visual_in_every_form(form, marks):
    tokens = tokenize(BYTES, question(f"{MARK}\n" * marks + "What?"), form)
    assert tokens.input_ids.count(-200) == marks
    assert set(tokens.labels[i] for i, token in enumerate(tokens.input_ids) if token == -200) <= {-100}


def test_both_images_of_a_turn_are_assembled_unless_the_defect_is_asked_for():
    conversation = turns(f"{MARK}\n{MARK}\nCompare.", "Same.")
    assert tokenize(BYTES, conversation, "qwen").input_ids.count(-200) == 2
    parity = tokenize(BYTES, conversation, "qwen", marks="first").input_ids
    assert parity.count(-200) == 1 and bytes(i for i in parity if 0 <= i < 256).count(b"<image>") == 1


def test_marks_of_a_sample_without_visuals_stay_text_as_in_the_public_code():
    tokens = tokenize(BYTES, turns(f"{MARK} What?", f"{MARK}."), "qwen", marks="text")
    assert -200 not in tokens.input_ids and bytes(i for i in tokens.input_ids if 0 <= i < 256).count(b"<image>") == 2


def test_a_mark_in_an_answer_is_text_here_and_a_visual_in_the_public_code():
    conversation = turns("What?", f"{MARK} here")
    assert -200 not in tokenize(BYTES, conversation, "qwen").input_ids
    parity = tokenize(BYTES, conversation, "qwen", marks="first")
    assert parity.labels[parity.input_ids.index(-200)] == -200, "its label is the mark, as the public code leaves it"


@pytest.mark.parametrize(("form", "marks"), [("qwen", "last"), ("template", "first"), ("plain", "text")])
def test_unknown_marks_are_refused(form, marks):
    with pytest.raises(InputError, match="marks"):
        tokenize(BYTES, question("What?"), form, marks=marks)


def test_marks_move_to_the_front_and_none_is_lost():
    moved = move_marks_first(turns(f"Is {MARK} like {MARK}?", f"{MARK} is", f"{MARK}\nand {MARK}?", "no"))
    assert moved[0]["value"] == f"{MARK}\n{MARK}\nIs  like ?"
    assert moved[1]["value"] == f"{MARK} is"
    assert moved[2]["value"] == f"{MARK}\nand {MARK}?", "a turn that begins with a mark stays as it is"
    public = move_marks_first(turns(f"Is {MARK} like {MARK}?", "no"), keep_all=False)
    assert public[0]["value"] == f"{MARK}\nIs  like ?"
    assert move_marks_first(turns(f" {MARK} ", "no"))[0]["value"] == MARK, "a turn of only a mark has no line end"


def test_only_answer_and_end_are_supervised_in_the_plain_form():
    tokens = tokenize(BYTES, turns(f"{MARK}\nread", "7"), "plain")
    assert tokens.input_ids == [-200, *b"read\n", *b"7", 256]
    assert tokens.labels == [-100] * 6 + [*b"7", 256]


def test_the_chat_prompt_equals_the_template_without_visuals():
    ids = tokenize(BYTES, question("Why?"), "template").input_ids
    assert ids == tokenize(BYTES, question("Why?"), "qwen").input_ids
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    assert BYTES.decode(ids) == f"{system}<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"


def test_a_beginning_token_is_kept_once_in_the_template_form():
    class WithBeginning:
        bos_token_id = 1

        def __call__(self, text, add_special_tokens=True):
            return {"input_ids": [1] * add_special_tokens + [ord(c) + 3 for c in text]}

    ids = tokenize(WithBeginning(), question(f"{MARK}\nHm?"), "template").input_ids
    assert ids[0] == 1 and ids.count(1) == 1 and ids.count(-200) == 1


@pytest.mark.parametrize("form", ["qwen", "plain"])
def test_no_conversation_lists_the_whole_vocabulary(form, monkeypatch):
    """A tenth of a second with 152,000 tokens, twice for every record of a training."""
    tokenizer = byte_tokenizer()
    monkeypatch.setattr(PreTrainedTokenizerFast, "get_vocab", lambda _: pytest.fail("the vocabulary was listed"))
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    assert tokenize(tokenizer, turns, form).input_ids and stop_ids(tokenizer, form)


def test_stop_tokens_follow_the_form():
    assert stop_ids(BYTES, "qwen") == [258, 256]
    assert stop_ids(BYTES, "template") == [258]
    assert stop_ids(BYTES, "plain") == [256]
    other = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"a": 0, "</s>": 1}, unk_token="a")), eos_token="</s>"
    )
    assert stop_ids(other, "plain") == [1]
    assert tokenize(other, turns("a", "a"), "plain").input_ids[-1] == 1
    with pytest.raises(InputError, match=r"lacks <\|im_start\|> and <\|im_end\|>"):
        tokenize(other, question("a"), "qwen")
    other.eos_token = None
    with pytest.raises(InputError, match="none of the stop tokens"):
        stop_ids(other, "plain")


@pytest.mark.parametrize(
    "conversation, form, message",
    [
        ([], "qwen", "at least one question"),
        (turns(None, "x"), "qwen", "turn 0: expected text"),
        ([*turns("a", "b"), {"from": "gpt", "value": "c"}], "qwen", "turn 2: expected from 'human'"),
        (turns("a", None, "b"), "qwen", "turn 1: expected text"),
        (turns("a", "b"), "template", "without its answer"),
        (turns("a", "b", "c"), "plain", "one question and one answer"),
        (turns("a"), "chatml", "expected one of qwen, template, plain"),
    ],
)
def test_ill_formed_conversations_are_refused(conversation, form, message):
    with pytest.raises(InputError, match=message):
        tokenize(BYTES, conversation, form)


def test_an_opening_that_is_not_the_users_is_dropped():
    with_opening = [{"from": "system", "value": "Hello."}, *turns("a", "b")]
    assert tokenize(BYTES, with_opening, "qwen") == tokenize(BYTES, turns("a", "b"), "qwen")
