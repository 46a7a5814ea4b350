"""Shapes of models are read from configurations alone, and weigh what models weigh."""

import json
import sys
from subprocess import run

import pytest
import torch
from transformers import LlamaConfig, Qwen2Config

from oryx.errors import CheckpointError, MissingResource
from oryx.model import OryxConfig, OryxForConditionalGeneration
from oryx.processing import shapes
from oryx.processing.shapes import FORMATS, RELEASED, Shape, read_shape
from tests.tiny import TEXT, VISION

PARTS = {"tower": "vision_tower", "compressor": "compressor", "projector": "projector"}
PARTS |= {"language model": "language_model"}
GROUPED = TEXT | {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3}
TEXTS = {
    "qwen2": Qwen2Config(**GROUPED),
    "tied": Qwen2Config(**GROUPED, tie_word_embeddings=True),
    "llama": LlamaConfig(**GROUPED | {"head_dim": 12}),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_every_part_weighs_what_the_model_does(kind):
    config = OryxConfig(vision_config=VISION | {"num_hidden_layers": 2}, text_config=TEXTS[kind], compressor_dim=16)
    with torch.device("meta"):
        model = OryxForConditionalGeneration(config)
    shape = Shape.of(model.config.to_dict(), kind)
    weights, head = shape.weights("bf16"), model.get_output_embeddings()
    for part, name in PARTS.items():
        module = model.get_submodule(name)
        assert weights[part] == 2 * sum(p.numel() for p in module.parameters()), part
        linears = [m for m in module.modules() if isinstance(m, torch.nn.Linear) and m is not head]
        assert sum(n * taken * given for n, taken, given in shape.parts()[part][0]) == sum(
            m.weight.numel() for m in linears
        )
        rows = 4 * sum(m.out_features for m in linears)  # int8 has a float32 scale for every row
        numbers = sum(p.numel() for p in module.parameters())
        quantised = sum(m.weight.numel() for m in linears)
        assert shape.weights("8 bit")[part] == quantised + rows + 2 * (numbers - quantised)
        assert shape.weights("4 bit")[part] == quantised * (0.5 + 4 / 64) + 2 * (numbers - quantised)


@pytest.mark.parametrize(("short", "gigabytes"), [("7b", 16.13), ("1.5-7b", 16.13), ("1.5-32b", 66.46)])
def test_released_shapes_weigh_what_their_files_do(short, gigabytes):
    """The shards of Oryx-1.5-7B sum to 16.13 GB, those of Oryx-1.5-32B to 66.5 GB."""
    shape = read_shape(short.upper())
    assert sum(shape.weights().values()) / 1e9 == pytest.approx(gigabytes, abs=0.005)
    assert shape.weights()["tower"] == 2 * 431_226_864
    assert shape.context == RELEASED[short].get("tokenizer_model_max_length")


def test_what_was_not_found_is_said():
    assert all("not found" in read_shape(short).note for short in ("34b", "1.5-7b", "1.5-32b"))
    assert "not found" not in read_shape("7b").note


def test_a_folder_its_file_and_the_authors_fields(tmp_path):
    config = {**RELEASED["34b"], "vision_config": {"hidden_size": 144, "num_attention_heads": 2}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = read_shape(tmp_path)
    assert shape == Shape.of(config, str(tmp_path)) and shape.tower["hidden_size"] == 144
    assert read_shape(tmp_path / "config.json").weights() == shape.weights()
    assert shape.text["head_dim"] == 128 and shape.context == 8192


def test_a_released_repository_that_cannot_be_reached_is_known_by_its_name(monkeypatch):
    def unreachable(repository, file):
        raise MissingResource(f"{repository}: cannot be fetched")

    monkeypatch.setattr(shapes, "from_hub", unreachable)
    assert read_shape("THUdyh/Oryx-34B") == read_shape("34b") == read_shape("Oryx-34B")
    with pytest.raises(MissingResource, match="some/model: cannot be fetched"):
        read_shape("some/model")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gpt2"}, "model_type: expected an Oryx with a qwen2 or llama inside, got 'gpt2' with 'gpt2'"),
        ({"model_type": "oryx_workbook", "text_config": {"model_type": "gpt2"}}, "got 'oryx_workbook' with 'gpt2'"),
        ({"model_type": "oryx_qwen", "hidden_size": 8}, "missing: intermediate_size, num_hidden_layers"),
    ],
)
def test_configurations_that_say_nothing_of_a_shape(config, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        read_shape(tmp_path)


def test_a_misspelt_name():
    with pytest.raises(CheckpointError, match=r"34: did you mean '34b'.* 1\.5-7b, 1\.5-32b, a folder"):
        read_shape("34")


def test_no_torch_is_needed():
    code = "import sys; import oryx.processing.fit as f; f.read = f; print('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    assert set(FORMATS) == {"fp32", "bf16", "8 bit", "4 bit"}
