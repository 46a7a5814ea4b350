"""The processor as the documentation of Qwen2-VL and LLaVA-OneVision types it: templates, batches, decoding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, ProcessorMixin
from transformers.image_processing_base import ImageProcessingMixin

from oryx import Images, Video
from oryx.errors import InputError
from oryx.grids import SizeRule
from oryx.processing.collate import collate
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer

OPTIONS = PreprocessOptions(low=SizeRule(32, base=32), video=SizeRule(64), video_long=SizeRule(128), frames=8)
RED, BLUE = (Image.new("RGB", (64, 32), colour) for colour in ("red", "blue"))
FILM = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 3), np.uint8)
ASK = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
IMAGE, VIDEO = {"type": "image", "image": RED}, {"type": "video", "video": FILM}


@pytest.fixture(scope="module")
def processor() -> OryxProcessor:
    return OryxProcessor(byte_tokenizer(), OPTIONS)


def said(*content: dict) -> list[dict]:
    return [{"role": "user", "content": list(content)}]


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def same(one, other) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("form, newlines", [("qwen", 2), ("qwen", 1), ("template", 2), ("plain", 2)])
def test_a_chat_is_the_question_in_it(form, newlines):
    options = PreprocessOptions(low=None, newlines=newlines)
    processor = OryxProcessor(byte_tokenizer(), options, form)
    chat = said(IMAGE, IMAGE, text("Same?"))
    expected = processor("Same?", Images([RED, RED]))
    assert same(processor.apply_chat_template(chat, **ASK), expected)
    written = processor.apply_chat_template(chat, add_generation_prompt=True)
    assert same(processor(text=[written], images=[RED, RED], padding=True, return_tensors="pt"), expected)


def test_a_conversation_has_the_ids_of_its_turns(processor):
    chat = [*said(IMAGE, text("Hm?")), {"role": "assistant", "content": "A <image> mark."}, *said(text("Sure?"))]
    turns = [("human", "<image>\nHm?"), ("gpt", "A <image> mark."), ("human", "Sure?"), ("gpt", None)]
    expected = processor([{"from": who, "value": words} for who, words in turns], RED)
    assert processor.apply_chat_template(chat, **ASK)["input_ids"].tolist() == expected["input_ids"].tolist()
    chat[-1:] = []
    ended = processor.apply_chat_template(chat, tokenize=True, return_dict=True)["input_ids"]
    whole = processor([{"from": who, "value": words} for who, words in turns[:2]], RED)["input_ids"]
    assert ended.tolist() == whole.tolist()
    going_on = processor.apply_chat_template(chat, tokenize=True, return_dict=True, continue_final_message=True)
    assert going_on["input_ids"].tolist() == whole[:, :-2].tolist()  # without the end of the turn and its newline


def test_a_system_message_takes_the_place_of_the_default(processor):
    chat = [{"role": "system", "content": [text("Be brief.")]}, *said(text("Hm?"))]
    ids = processor.apply_chat_template(chat, **ASK)["input_ids"][0].tolist()
    expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHm?<|im_end|>\n<|im_start|>assistant\n"
    assert processor.decode(ids) == processor.apply_chat_template(chat, add_generation_prompt=True) == expected


@pytest.mark.parametrize(
    "content, written",
    [
        ((text("What is it? "), IMAGE, VIDEO), "<image>\n<video>\nWhat is it? "),
        ((IMAGE, text("is one, "), VIDEO, text("two.")), "<image>\nis one, <video>\ntwo."),
    ],
)
def test_visuals_come_first_or_where_they_are_said(processor, content, written):
    assert f"user\n{written}<|im_end|>" in processor.apply_chat_template(said(*content))


def test_a_batch_of_mixed_visuals_is_its_items_put_together(processor):
    chats = [said(VIDEO, IMAGE, text("Both?")), said(text("None?")), said(IMAGE, text("One?"))]
    parts = [*processor.prepare(Video(FILM)), *processor.prepare(RED)]
    items = [processor.assemble("<image>\n<image>\nBoth?", parts), processor("None?"), processor("One?", RED)]
    written = [processor.apply_chat_template(chat, add_generation_prompt=True) for chat in chats]
    for side in ("left", "right"):
        expected = collate(items, processor.pad_id, side)
        made = processor.apply_chat_template(chats, **ASK, processor_kwargs={"padding": True, "padding_side": side})
        assert same(made, expected)
        for images in ([RED, RED], [[RED], [], [RED]], [[RED], None, RED]):
            assert same(processor(text=written, images=images, videos=[FILM], padding_side=side), expected)
    assert same(processor(text=written, images=[RED, RED], videos=FILM), expected)  # the tokenizer's side, right


def test_texts_without_marks_have_their_visuals_in_front(processor):
    one, two = processor("Hm?", RED), processor("What is it?", BLUE)
    assert same(processor(images=RED, text="Hm?", return_tensors="pt"), one)
    assert same(processor(text=["Hm?", "What is it?"], images=[RED, BLUE]), collate([one, two], 256))
    assert same(processor(text="Hm?", images=[RED, BLUE]), processor("Hm?", Images([RED, BLUE])))


def test_frames_of_a_video_come_as_an_array_a_list_or_files(processor, tmp_path):
    frames = [Image.fromarray(frame) for frame in FILM]
    for number, frame in enumerate(frames):
        frame.save(tmp_path / f"{number}.png")
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    expected = processor("Hm?", Video(FILM))
    for videos in (FILM, [FILM], frames, [frames], [[frames]], str(tmp_path), [tmp_path], Video(files)):
        assert same(processor(text="Hm?", videos=videos), expected), videos
    assert same(processor.apply_chat_template(said({"type": "video", "path": files}, text("Hm?")), **ASK), expected)
    fewer = processor(text="<image>\nHm?", videos=FILM, num_frames=2)
    assert same(fewer, processor("Hm?", Video(FILM, frames=2)))
    assert same(processor(text="Hm?", videos=FILM, videos_kwargs={"num_frames": 2}), fewer)


def test_image_and_video_processor_stand_by_themselves(processor):
    visual = processor("Hm?", Images([RED, BLUE]))
    made = processor.image_processor([RED, BLUE], return_tensors="pt")
    assert all(torch.equal(made[name], visual[name]) for name in made) and len(made) == 3
    made, film = processor.video_processor(FILM), processor("Hm?", Video(FILM))
    assert all(torch.equal(made[name], film[name]) for name in made)
    assert isinstance(processor.image_processor, ImageProcessingMixin)
    assert isinstance(processor, ProcessorMixin)
    assert processor.model_input_names == ["input_ids", "attention_mask", *made]


def test_decoding_leaves_visuals_out(processor):
    ids = processor(text=["Hm?", "Is it so?"], images=[RED, BLUE])["input_ids"]
    texts = processor.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert texts[0] == processor.decode(ids[0], skip_special_tokens=True)
    assert texts == processor.decode(ids, skip_special_tokens=True)
    assert texts[0].endswith("user\n\n\nHm?\nassistant\n") and "Is it so?" in texts[1]


def test_a_template_of_ones_own_is_saved_and_read(tmp_path):
    mine = "{# no image #}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    OryxProcessor(byte_tokenizer(), OPTIONS, "plain", chat_template=mine).save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert again.chat_template == mine and again.options == OPTIONS
    assert again.apply_chat_template([{"role": "user", "content": "read"}]) == "read"
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")  # as a tokenizer writes its own
    assert (
        AutoProcessor.from_pretrained(tmp_path).chat_template
        == OryxProcessor(byte_tokenizer(), prompt="plain").chat_template
    )


@pytest.mark.parametrize(
    "call, message",
    [
        ({"text": ["<image>a", "<image>b"], "images": [RED]}, r"images: expected 2 for 2 text\(s\).*got 1"),
        ({"text": ["a", "b"], "images": [[RED]]}, "images: expected one list for each of 2 text"),
        ({"text": ["<image>a", "b"], "images": [[], [RED]]}, "text has 1 <image> marks, 0 visual"),
        ({"text": "<image> <image>a", "images": RED, "videos": FILM}, r"2 <image> mark\(s\), 1 came"),
        ({"text": "a", "images": RED, "paddin": True}, "unknown argument 'paddin'; did you mean 'padding'"),
        ({"text": "a", "images": RED, "truncation": "no"}, "truncation: 'no' is not supported"),
        ({"text": "a", "images": RED, "padding": "max_length"}, "padding: 'max_length' is not supported"),
        ({"text": "a", "images": RED, "return_tensors": "tf"}, "return_tensors: 'tf' is not supported"),
        ({"text": "<|im_start|>user\n<video>\na<|im_end|>\n"}, "<video> mark, expected a video"),
        ({"text": "<|im_start|>user a"}, "expected ChatML as apply_chat_template writes it"),
        ({"text": ["a", "b"], "visual": RED}, "expected a text for a visual"),
        ({"images": RED, "text": []}, "expected a text for a visual"),
        ({"text": "a", "videos": 3}, "Video: expected a list of pictures, got int"),
        ({"text": "a", "videos": np.zeros((4, 4), np.uint8)}, "Video: expected an array of shape"),
        ({"text": "a", "visual": [RED]}, "a bare list may mean several images"),
        ({"text": said(IMAGE)}, "apply_chat_template"),
        ({"text": "a", "images": Path("missing.png")}, "missing.png: expected a picture file"),
    ],
)
def test_what_does_not_fit_is_said(processor, call, message):
    with pytest.raises(InputError, match=message):
        processor(**call)


def test_templates_refuse_what_the_form_has_not(processor):
    with pytest.raises(Exception, match="type image, video or text, got audio"):
        processor.apply_chat_template(said({"type": "audio"}))
    plain = OryxProcessor(byte_tokenizer(), OPTIONS, "plain")
    with pytest.raises(Exception, match="one question of the user"):
        plain.apply_chat_template([{"role": "system", "content": "Hm."}])
    with pytest.raises(InputError, match="plain"):
        plain.apply_chat_template(
            [*said(text("a")), {"role": "assistant", "content": "b"}], continue_final_message=True
        )
