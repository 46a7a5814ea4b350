"""Prompts: token ids and labels of the reference's tokenising paths, with the byte tokenizer."""

from collections.abc import Iterator
from functools import lru_cache

from oryx.processing import chat
from oryx.processing.tokenizers import byte_tokenizer

from .harness import GoldenCase, GoldenFile


def accepts(document: dict) -> bool:
    return any(key in document for key in KINDS)


def cases(file: GoldenFile) -> Iterator[tuple[str, dict]]:
    for kind in KINDS:
        for i, fields in enumerate(file.document.get(kind, [])):
            yield f"{kind}/{i}", {"kind": kind, **fields}


@lru_cache
def tokenizer():
    return byte_tokenizer()


def run(case: GoldenCase) -> None:
    KINDS[case.fields["kind"]](case.fields)


def inference(fields: dict) -> None:
    assert chat.tokenize(tokenizer(), chat.question(fields["question"]), "qwen").input_ids == fields["input_ids"]


def template(fields: dict) -> None:
    assert chat.prompt_text(fields["question"]) == fields["prompt"]
    assert chat.tokenize(tokenizer(), chat.question(fields["question"]), "template").input_ids == fields["input_ids"]


def training(fields: dict) -> None:
    conversation = fields["conversation"]
    if fields["has_image"]:
        conversation = chat.move_marks_first(conversation, keep_all=False)
        assert conversation == fields["after_multimodal_rewrite"]
    parity = chat.tokenize(tokenizer(), conversation, "qwen", "first" if fields["has_image"] else "text")
    assert (parity.input_ids, parity.labels) == (fields["input_ids"], fields["labels"])
    # ours: every mark becomes a visual; the reference loses all but the first of a turn
    marks = sum(turn["value"].count(chat.MARK) for turn in fields["conversation"] if turn["from"] == "human")
    ours = chat.tokenize(tokenizer(), chat.move_marks_first(fields["conversation"]), "qwen")
    assert ours.input_ids.count(-200) == marks
    assert (ours.input_ids == fields["input_ids"]) == (fields["input_ids"].count(-200) == marks)


def long_video(fields: dict) -> None:
    conversation = chat.needle_question(fields["sample"], fields["frames"])
    ours = chat.tokenize(tokenizer(), conversation, "qwen")
    assert (ours.input_ids, ours.labels) == (fields["input_ids"], fields["labels"])
    text = tokenizer().decode([i for i in ours.input_ids if i >= 0], skip_special_tokens=True)
    assert text == fields.get("readable_text", text)


KINDS = {
    "inference_7b": inference,
    "template_and_image_token": template,
    "training": training,
    "long_video_sample": long_video,
}
