"""Prompts: token ids and labels of the reference's tokenising paths, with the byte tokenizer."""

from collections.abc import Iterator
from functools import lru_cache

from oryx.errors import OryxError
from oryx.processing import chat
from oryx.processing.tokenizers import byte_tokenizer
from oryx.train.records import needle_question

from .harness import GoldenCase, GoldenFile, assert_same


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
    try:
        made = KINDS[case.fields["kind"]](case.fields)
    except OryxError as error:
        if not case.reference_error:
            raise
        assert str(error), "an error without a message"
        return
    stored = [] if case.reference_error else [name for name in made if name in case.fields]
    assert stored or case.reference_error, f"{case.id}: nothing to check in fields {sorted(case.fields)}"
    for name in stored:
        assert_same(made[name], case.fields[name], name)


def inference(fields: dict) -> dict:
    return {"input_ids": chat.tokenize(tokenizer(), chat.question(fields["question"]), "qwen").input_ids}


def template(fields: dict) -> dict:
    ids = chat.tokenize(tokenizer(), chat.question(fields["question"]), "template").input_ids
    said = chat.as_messages(chat.question(fields["question"]))
    return {"prompt": "".join(message.written() for message in said), "input_ids": ids}


def training(fields: dict) -> dict:
    conversation = fields["conversation"]
    # ours: every mark becomes a visual; the reference loses all but the first of a turn
    marks = sum(turn["value"].count(chat.MARK) for turn in conversation if turn["from"] == "human")
    ours = chat.tokenize(tokenizer(), chat.move_marks_first(conversation), "qwen")
    assert ours.input_ids.count(-200) == marks
    made = {}
    if fields["has_image"]:
        conversation = made["after_multimodal_rewrite"] = chat.move_marks_first(conversation, keep_all=False)
    parity = chat.tokenize(tokenizer(), conversation, "qwen", "first" if fields["has_image"] else "text")
    assert (ours.input_ids == parity.input_ids) == (parity.input_ids.count(-200) == marks)
    return made | {"input_ids": parity.input_ids, "labels": parity.labels}


def long_video(fields: dict) -> dict:
    sample = fields["sample"]
    said = needle_question(sample["question"], sample["answer"], sample["idx"], fields["frames"])
    ours = chat.tokenize(tokenizer(), said, "qwen")
    text = tokenizer().decode([i for i in ours.input_ids if i >= 0], skip_special_tokens=True)
    return {"input_ids": ours.input_ids, "labels": ours.labels, "readable_text": text}


KINDS = {
    "inference_7b": inference,
    "template_and_image_token": template,
    "training": training,
    "long_video_sample": long_video,
}
SECTIONS = tuple(KINDS)
