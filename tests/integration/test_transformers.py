"""What the documentation of Qwen2-VL and LLaVA-OneVision types; every test is named in a row of docs/transformers.md.

The model is tiny and random: that it runs, and gives what it gives by itself, can be seen; not that an answer is good.
"""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    BitsAndBytesConfig,
    TextStreamer,
    Trainer,
    TrainingArguments,
    pipeline,
)

import oryx
from oryx.model import attention

from ..tiny import save_tiny_model

oryx.register()
pytestmark = pytest.mark.integration
ecosystem = pytest.mark.ecosystem

RED, BLUE = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (96, 64), "blue")
FILM = np.zeros((4, 64, 64, 3), np.uint8)
GREEDY = {"max_new_tokens": 6, "do_sample": False}
QUESTION = [
    {
        "role": "user",
        "content": [{"type": "image", "image": RED}, {"type": "text", "text": "Describe this image."}],
    }
]
BOTH = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": BLUE},
            {"type": "video", "video": FILM},
            {"type": "text", "text": "What are the common elements in these?"},
        ],
    }
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model", width=64)  # bitsandbytes wants multiples of 64


@pytest.fixture(scope="module")
def processor(folder):
    return AutoProcessor.from_pretrained(folder)


@pytest.fixture
def inputs(processor):
    return processor.apply_chat_template(
        QUESTION, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )


@pytest.fixture(scope="module")
def answer(folder, processor):
    """The greedy answer's ids, by the model as it is."""
    prompt = processor("Describe this image.", RED)
    return load(folder).generate(**prompt, **GREEDY)[0, prompt.input_ids.shape[1] :].tolist()


def load(folder, **options):
    return AutoModelForImageTextToText.from_pretrained(folder, **options)


def greedy(model, inputs) -> list[int]:
    return model.generate(**inputs, **GREEDY)[0, inputs.input_ids.shape[1] :].tolist()


class Answers(torch.utils.data.Dataset):
    """Six pictures of two sizes whose answer is their colour."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict:
        image, colour = [(RED, "red"), (BLUE, "blue")][index % 2]
        content = [{"type": "image"}, {"type": "text", "text": "Which colour?"}]
        answer = [{"type": "text", "text": colour}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        return {"images": [image], "messages": messages}


def arguments(folder, **more) -> TrainingArguments:
    return TrainingArguments(
        folder, max_steps=6, per_device_train_batch_size=3, learning_rate=1e-2, report_to=[], use_cpu=True,
        save_strategy="no", logging_strategy="no", remove_unused_columns=False, disable_tqdm=True, **more,
    )  # fmt: skip


def test_generate(folder, processor, inputs, answer):
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto", device_map="auto")
    inputs = inputs.to(model.device)
    generated_ids = model.generate(**inputs, **GREEDY)
    generated_ids_trimmed = [
        out_ids[len(in_ids) :] for in_ids, out_ids in zip(inputs.input_ids, generated_ids, strict=True)
    ]
    assert generated_ids_trimmed[0].tolist() == answer
    output_text = processor.batch_decode(
        generated_ids_trimmed, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    assert output_text == [processor.tokenizer.decode(answer, skip_special_tokens=True)]


def test_generate_in_a_batch_with_videos(folder, processor, answer):
    model = load(folder)
    text = [
        processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in (QUESTION, BOTH)
    ]
    for side in ("left", "right"):
        processor.tokenizer.padding_side = side
        batch = processor(text=text, images=[RED, BLUE], videos=[FILM], padding=True, return_tensors="pt")
        new = model.generate(**batch, **GREEDY)[:, batch.input_ids.shape[1] :]
        alone = processor(text=text[1], images=[BLUE], videos=[FILM], return_tensors="pt")
        assert new.tolist() == [answer, greedy(model, alone)]


def test_beams_sampling_and_returned_scores(folder, inputs, answer):
    model, length = load(folder), inputs.input_ids.shape[1]
    for more in ({"num_beams": 3}, {"do_sample": True, "top_p": 0.9, "temperature": 0.7}):
        out = model.generate(**inputs, **GREEDY | more, num_return_sequences=2)
        assert out.shape[0] == 2 and torch.equal(out[:, :length], inputs.input_ids.repeat(2, 1))
    out = model.generate(**inputs, **GREEDY, return_dict_in_generate=True, output_scores=True)
    scores = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)
    assert out.sequences[0, length:].tolist() == answer and scores.shape == (1, len(answer)) and (scores <= 0).all()


def test_streaming_and_caches(folder, processor, inputs, answer, capsys):
    model = load(folder)
    streamer = TextStreamer(processor.tokenizer, skip_prompt=True)
    model.generate(**inputs, **GREEDY, streamer=streamer)
    assert capsys.readouterr().out.rstrip("\n") == processor.decode(answer)
    for more in ({"cache_implementation": "static"}, {"use_cache": False}, {"prompt_lookup_num_tokens": 2}):
        assert greedy(model, inputs) == model.generate(**inputs, **GREEDY, **more)[0, -len(answer) :].tolist()


def test_pipeline(folder, processor, answer):
    pipe = pipeline("image-text-to-text", model=str(folder))
    text = processor.decode(answer, skip_special_tokens=True)
    assert pipe(text=QUESTION, return_full_text=False, max_new_tokens=6)[0]["generated_text"] == text
    whole = pipe(text=QUESTION, max_new_tokens=6)[0]["generated_text"]
    assert whole[:-1] == QUESTION and whole[-1] == {"role": "assistant", "content": text}
    assert (
        pipe(images=RED, text="Describe this image.", max_new_tokens=6)[0]["generated_text"]
        == "Describe this image." + text
    )
    two = pipe(text=[QUESTION, BOTH], batch_size=2, return_full_text=False, max_new_tokens=6)
    assert two[0][0]["generated_text"] == text


def test_gradient_checkpointing(folder, processor):
    batch, found = oryx.Collator(processor)([Answers()[0], Answers()[1]]), []
    for enable in (False, True):
        model = load(folder).train()
        if enable:
            model.gradient_checkpointing_enable()
        assert model.is_gradient_checkpointing == enable
        model(**batch).loss.backward()
        found.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_trainer_with_metrics(folder, processor, tmp_path):
    def accuracy(prediction):
        logits, labels = prediction.predictions[:, :-1], prediction.label_ids[:, 1:]
        return {"accuracy": float((logits.argmax(-1) == labels)[labels >= 0].mean())}

    trainer = Trainer(
        load(folder),
        arguments(tmp_path, gradient_accumulation_steps=2, gradient_checkpointing=True),
        data_collator=oryx.Collator(processor),
        train_dataset=Answers(),
        eval_dataset=Answers(),
        compute_metrics=accuracy,
        processing_class=processor,
    )
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert after["eval_loss"] < before["eval_loss"] and after["eval_accuracy"] > before["eval_accuracy"]
    trainer.save_model(tmp_path / "out")
    assert AutoProcessor.from_pretrained(tmp_path / "out")("Hm?").keys() == processor("Hm?").keys()
    assert type(load(tmp_path / "out")) is oryx.OryxForConditionalGeneration


def lora(model, **more):
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **more))


@ecosystem
def test_lora(folder, processor, inputs, answer, tmp_path, monkeypatch):
    from peft import PeftModel

    model = lora(load(folder))
    assert greedy(model, inputs) == answer  # adapters start as nothing
    packed, real = [], attention.packed_attention
    monkeypatch.setattr(
        attention, "packed_attention", lambda *a, **k: packed.append(k.get("causal", False)) or real(*a, **k)
    )
    trainer = Trainer(
        model,
        arguments(tmp_path, gradient_checkpointing=True),
        data_collator=oryx.Collator(processor, loss_only=True),
        train_dataset=Answers(),
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer.train()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all("lora_" in name for name in changed)
    assert any(packed), "the language model reads batches without padding, under LoRA and checkpointing too"
    tuned = greedy(model.eval(), inputs)  # under checkpointing a model in training mode fills no cache
    model.save_pretrained(tmp_path / "adapter")
    assert greedy(PeftModel.from_pretrained(load(folder), tmp_path / "adapter"), inputs) == tuned
    assert greedy(model.merge_and_unload(), inputs) == tuned


@ecosystem
@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes(folder, processor, inputs, bits):
    from peft import prepare_model_for_kbit_training

    quantised = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
    model = load(folder, quantization_config=quantised, device_map="cpu")
    kinds = {type(module).__name__ for module in model.modules()}
    assert {4: "Linear4bit", 8: "Linear8bitLt"}[bits] in kinds
    assert len(greedy(model, inputs)) == 6
    tuned = lora(prepare_model_for_kbit_training(load(folder, quantization_config=quantised, device_map="cpu"))).train()
    tuned(**oryx.Collator(processor)([Answers()[0]]), loss_only=True).loss.backward()
    assert all(p.grad is not None for name, p in tuned.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize("offload", [False, True])
def test_device_map(folder, inputs, answer, tmp_path, offload):
    more = {"max_memory": {"cpu": "100KB"}, "offload_folder": tmp_path} if offload else {}
    model = load(folder, device_map="auto", dtype="auto", **more)
    assert (any(parameter.is_meta for parameter in model.parameters())) == offload
    assert greedy(model, inputs) == answer


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compile(folder, inputs):
    model = load(folder)
    with torch.no_grad():
        expected = model(**inputs).logits
        torch.testing.assert_close(torch.compile(model)(**inputs).logits, expected, atol=1e-4, rtol=1e-4)


def test_a_training_step_is_compiled(folder, processor):
    model, batch, found = load(folder), oryx.Collator(processor)([Answers()[0], Answers()[1]]), []
    for one in (model, torch.compile(model, backend="aot_eager")):
        for more in ({}, {"loss_only": True}):
            model.zero_grad()
            one(**batch, **more).loss.backward()
            found.append(model.vision_tower.pos_embed.grad.clone())
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, atol=1e-4, rtol=1e-3)


@ecosystem
def test_sft_trainer(folder, processor, tmp_path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=load(folder),
        args=SFTConfig(
            str(tmp_path), max_steps=6, per_device_train_batch_size=3, learning_rate=1e-2, report_to=[], use_cpu=True,
            bf16=False, save_strategy="no", logging_strategy="no", eval_strategy="no", disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([Answers()[i] for i in range(6)]),
        eval_dataset=Dataset.from_list([Answers()[i] for i in range(2)]),
        processing_class=processor,
        data_collator=oryx.Collator(processor),
    )  # fmt: skip
    batch = oryx.Collator(processor)([Answers()[0], Answers()[1]])
    with torch.no_grad():
        ours = load(folder)(**batch).loss
        theirs = trainer.compute_loss(trainer.model.eval(), dict(batch))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before


def test_shards_and_dtypes(folder, inputs, answer, tmp_path):
    model = load(folder, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    again, report = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype="auto", output_loading_info=True)
    assert again.dtype == torch.bfloat16 and not any(report[key] for key in ("missing_keys", "unexpected_keys"))
    assert greedy(again, inputs) == greedy(model, inputs)
    assert greedy(load(folder, dtype="auto"), inputs) == answer


@pytest.mark.parametrize("name", ["sdpa", "eager", "flex_attention"])
def test_attention_implementations(folder, inputs, answer, name):
    model = load(folder, attn_implementation=name)
    if name != "flex_attention":  # it compiles itself, which takes a minute
        assert greedy(model, inputs) == answer


def test_configurations(folder):
    config = AutoConfig.from_pretrained(folder)
    assert type(AutoModelForImageTextToText.from_config(config)) is oryx.OryxForConditionalGeneration
