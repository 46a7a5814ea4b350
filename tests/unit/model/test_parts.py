"""A whole model from a SigLIP and any causal language model, read back as it was put together."""

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

import oryx
from oryx.errors import CheckpointError, MissingResource
from oryx.model.attention import can_pack
from oryx.model.loading import files_hash
from oryx.model.parts import assemble, language_model_config, public_language_model, public_siglip, vision_tower
from oryx.model.siglip import vit_from_siglip
from oryx.processing.options import PreprocessOptions
from tests.parts import write_language_model, write_siglip
from tests.unit.model.builders import tiny_model, write_released


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return write_siglip(folder / "siglip"), write_language_model(folder / "qwen2")


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), two.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_tower_and_language_model_are_the_public_ones_and_the_connector_is_of_the_seed(parts):
    model, again, other = assemble(*parts), assemble(*parts), assemble(*parts, seed=1)
    assert same(model.vision_tower, vit_from_siglip(public_siglip(parts[0]), 128, 16))
    assert same(model.language_model, public_language_model(parts[1])[0])
    assert same(model, again) and not same(model.projector, other.projector)
    assert same(model.language_model, other.language_model)
    assert not any(one.is_meta for one in (*model.parameters(), *model.buffers()))
    assert model.projector.image_begin.abs().sum() > 0 and can_pack(model.language_model.eval())
    assert model.config.tokenizer_model_max_length == 4000 and model.processor.patch == 16


def test_it_is_kept_and_answers(parts, tmp_path):
    options = PreprocessOptions(low=None, frames=4)
    model = assemble(*parts, options=options).eval()
    model.save_pretrained(tmp_path)
    model.processor.save_pretrained(tmp_path)
    again, picture = oryx.load(tmp_path), Image.new("RGB", (64, 32), (200, 0, 0))
    assert again.processor.options == options and again.processor.prompt == "qwen"
    answers = [one.ask(picture, "hue", max_new_tokens=3) for one in (model, again)]
    assert answers[0].probability == answers[1].probability


def test_the_authors_oryxvit_is_taken_from_its_folder_or_file(parts, tmp_path):
    released = tiny_model(vision={"patch_size": 16})
    write_released(tmp_path, released, tower_in_shards=False)
    for path in tmp_path.iterdir():
        if path.suffix != ".pth":
            path.unlink()
    for name in (tmp_path, tmp_path / "oryx_vit.pth"):
        assert same(vision_tower(str(name)), released.vision_tower)
        assert len(files_hash(name)) == 16


def test_an_oryxvit_of_ours_is_taken_as_it_is_alone_or_in_a_model(parts, tmp_path):
    model = assemble(*parts, patch=16, position_grid=8)
    model.vision_tower.save_pretrained(tmp_path / "tower")
    model.save_pretrained(tmp_path / "whole")
    for name in ("tower", "whole"):
        tower = vision_tower(str(tmp_path / name))
        assert same(tower, model.vision_tower) and tower.config.position_grid == 8


@pytest.mark.parametrize("kind", ["llama", "mistral", "gpt_neox"])
def test_another_language_model_gets_the_tokens_of_the_prompt_where_it_lacks_them(parts, tmp_path, kind):
    letters = Tokenizer(
        WordLevel({chr(code): code - 32 for code in range(32, 127)} | {"\n": 95, "?": 96}, unk_token="?")
    )
    letters.pre_tokenizer = Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, unk_token="?", eos_token="~")
    name = write_language_model(tmp_path, kind, tokenizer)
    model = assemble(parts[0], name).eval()
    known = model.processor.tokenizer.get_vocab()
    assert model.get_input_embeddings().num_embeddings == max(known.values()) + 1 > len(tokenizer)
    assert {"<|im_start|>", "<|im_end|>"} <= known.keys()
    inputs = model.processor([{"from": "human", "value": "hue"}, {"from": "gpt", "value": "red"}])
    assert torch.isfinite(model(**inputs).loss)


def test_parts_that_are_not_there_or_another_kind_are_named(parts, tmp_path):
    with pytest.raises(MissingResource, match=r"siglip='nowhere/nothing': no SigLIP weights"):
        assemble("nowhere/nothing", parts[1])
    with pytest.raises(CheckpointError, match=r"language_model=.*there is no such folder"):
        assemble(parts[0], str(tmp_path / "nothing"))
    with pytest.raises(CheckpointError, match=r"language_model=.*a causal.*found 'siglip_vision_model'"):
        language_model_config(parts[0])
    assert language_model_config(parts[1]).hidden_size == 32
