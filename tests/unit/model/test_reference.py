import pytest
import torch

from oryx.errors import CheckpointError
from oryx.model import Layout
from oryx.model.reference import TOWER_PREFIX, from_reference, tower_from_reference

from .builders import MARK, pictures, released_config, released_tensors, tiny_model, visual_inputs

KINDS = ("qwen2", "llama")
QUERY = "model.vision_resampler.vlm_query_projector.weight"


def logits(model):
    images = pictures([(24, 16), (40, 32)])
    with torch.no_grad():
        inputs = visual_inputs([(Layout.TWO_VIEW, images, 1)])
        return model(input_ids=torch.tensor([[1, MARK, 2, 3]]), **inputs).logits


def with_rope(kind: str, **fields):
    theta = 1_000_000.0 if kind == "qwen2" else 5_000_000.0
    return tiny_model(kind, text={"rope_parameters": {"rope_type": "default", "rope_theta": theta}}, **fields)


@pytest.mark.parametrize("kind", KINDS)
def test_same_model_from_the_authors_names(kind):
    model = with_rope(kind)
    loaded = from_reference(released_config(model), released_tensors(model))
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.config.text_config.model_type == kind and not loaded.training
    assert loaded.config.tokenizer_model_max_length == 400 and loaded.config.freeze_vision


def test_dtype_is_the_tensors_and_rotary_frequencies_stay_exact():
    model = tiny_model()
    tensors = {name: value.to(torch.bfloat16) for name, value in released_tensors(model).items()}
    loaded = from_reference(released_config(model), tensors)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    frequencies = loaded.language_model.model.rotary_emb.inv_freq
    assert frequencies.dtype == torch.float32 and frequencies.device.type == "cpu" and frequencies[0] == 1


def test_stop_ids():
    """Qwen's come from its configuration; the public Llama class stops at 7, not at the model's own end id."""
    qwen, llama = tiny_model(), tiny_model("llama")
    assert from_reference(released_config(qwen), released_tensors(qwen)).generation_config.eos_token_id == 2
    assert from_reference(released_config(llama), released_tensors(llama)).generation_config.eos_token_id == 7


def test_image_only_models_have_no_compressor():
    model = with_rope("qwen2", compressor="none")
    loaded = from_reference(released_config(model, mm_resampler_type=None), released_tensors(model))
    assert loaded.config.compressor == "none" and torch.equal(logits(loaded), logits(model))


def test_tied_embeddings_need_no_head():
    model = tiny_model(text={"tie_word_embeddings": True})
    tensors = released_tensors(model)
    del tensors["lm_head.weight"]
    loaded = from_reference(released_config(model, tie_word_embeddings=True), tensors)
    assert loaded.language_model.lm_head.weight is loaded.language_model.model.embed_tokens.weight


def test_stale_buffers_of_old_checkpoints_are_ignored():
    model = tiny_model()
    tensors = released_tensors(model) | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    assert torch.equal(logits(from_reference(released_config(model), tensors)), logits(with_rope("qwen2")))


@pytest.mark.parametrize(
    "name",
    [
        TOWER_PREFIX + "pos_embed",
        TOWER_PREFIX + "blocks.1.attn.qkv.bias",
        QUERY,
        "model.mm_projector.image_end",
        "model.layers.1.self_attn.k_proj.weight",
        "lm_head.weight",
    ],
)
def test_a_missing_tensor_is_named_with_its_shape(name):
    model = tiny_model()
    tensors = released_tensors(model)
    shape = tuple(tensors.pop(name).shape)
    with pytest.raises(CheckpointError) as error:
        from_reference(released_config(model), tensors, source="the folder")
    assert name.removeprefix(TOWER_PREFIX) in str(error.value) and "the folder" in str(error.value)
    assert "got nothing" in str(error.value)
    if not name.endswith("pos_embed"):
        assert str(shape) in str(error.value)


@pytest.mark.parametrize(
    "name", [QUERY.replace("query", "key"), "model.norm.weight", TOWER_PREFIX + "blocks.0.norm1.bias"]
)
def test_a_wrong_shape_is_named(name):
    model = tiny_model()
    tensors = released_tensors(model)
    shape = tuple(tensors[name].shape)
    tensors[name] = torch.zeros(5)
    with pytest.raises(CheckpointError) as error:
        from_reference(released_config(model), tensors)
    assert name in str(error.value) and f"expected shape {shape}, got (5,)" in str(error.value)


@pytest.mark.parametrize(
    "name", ["model.image_newline", "model.vision_resampler.extra", TOWER_PREFIX + "blocks.0.ls1.gamma"]
)
def test_an_unexpected_tensor_is_named(name):
    model = tiny_model()
    with pytest.raises(CheckpointError, match=rf"unexpected.*{name}.*\(3,\)"):
        from_reference(released_config(model), released_tensors(model) | {name: torch.zeros(3)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llava_qwen"}, "model_type.*'llava_qwen'"),
        ({"mm_projector_type": "linear"}, "mm_projector_type.*'linear'"),
        ({"mm_resampler_type": "spatial_pool"}, "mm_resampler_type.*'spatial_pool'"),
        ({"mm_hidden_size": 1152}, "mm_hidden_size: expected 1152, the tower has 144"),
        ({"rope_theta": None}, "missing: rope_theta"),
        ({"hidden_size": "wide"}, "Qwen2Config.*hidden_size"),
        ({"vocab_size": 71}, r"embed_tokens.weight': expected shape \(71, 32\), got \(70, 32\)"),
        ({"vision_config": {"intermediate_size": 65}}, "intermediate_size: expected 65, the tensors have 64"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(changes, message):
    model = tiny_model()
    with pytest.raises(CheckpointError, match=message):
        from_reference(released_config(model, **changes), released_tensors(model))


def test_class_is_chosen_by_model_type_not_by_a_name():
    model = tiny_model()
    config = released_config(model, _name_or_path="oryx-34b", architectures=["OryxLlamaForCausalLM"])
    assert from_reference(config, released_tensors(model)).config.text_config.model_type == "qwen2"


def test_tower_alone_with_and_without_prefix():
    model = tiny_model()
    tensors = released_tensors(model)
    tower = {name.removeprefix(TOWER_PREFIX): value for name, value in tensors.items() if TOWER_PREFIX in name}
    head = {"norm.weight": torch.ones(3), "attn_pool.latent": torch.ones(2)}
    for given in (tensors, tower, tower | head):
        loaded = tower_from_reference(given)
        assert all(torch.equal(value, tower[name]) for name, value in loaded.state_dict().items())
        assert len(loaded.state_dict()) == len(tower)


def test_ignored_pooling_head_is_named(monkeypatch):
    said = []
    monkeypatch.setattr("oryx.model.reference.logger.warning", said.append)
    tower = tiny_model().vision_tower.state_dict()
    tower_from_reference(tower | {"norm.weight": torch.ones(3), "attn_pool.latent": torch.ones(2)})
    assert len(said) == 1 and "attn_pool.latent, norm.weight" in said[0]


def test_tower_sizes_come_from_the_tensors():
    tower = tiny_model().vision_tower
    assert tower_from_reference(tower.state_dict()).config.num_attention_heads == 2  # heads are 72 wide
    assert tower_from_reference(tower.state_dict(), num_attention_heads=4).config.num_attention_heads == 4
    narrow = tiny_model(vision={"hidden_size": 48, "num_attention_heads": 4}).vision_tower.state_dict()
    with pytest.raises(CheckpointError, match="width 48: cannot tell its number of heads"):
        tower_from_reference(narrow)
    with pytest.raises(CheckpointError, match="square number of positions, got 35"):
        tower_from_reference({**narrow, "pos_embed": torch.zeros(1, 35, 48)}, num_attention_heads=4)
