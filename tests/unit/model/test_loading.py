import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

import oryx
from oryx.errors import CheckpointError, MissingResource, SettingsError
from oryx.model import Layout, OryxForConditionalGeneration, OryxViT, loading
from oryx.model.checkpoint_files import INDEX, read_weights
from oryx.model.loading import checkpoint_hash
from oryx.model.reference import NEEDED_FIELDS
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from tests.tiny import save_tiny_model, save_tiny_released

from .builders import MARK, pictures, tiny_model, write_released

KINDS = ("qwen2", "llama")
ROPE = {"qwen2": 1_000_000.0, "llama": 5_000_000.0}
SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    """Whatever is asked of the hub is answered by an empty cache."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fail(*args, **kwargs):
        raise LocalEntryNotFoundError(f"offline: {args}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)


def released(kind: str) -> OryxForConditionalGeneration:
    return tiny_model(kind, text={"rope_parameters": {"rope_type": "default", "rope_theta": ROPE[kind]}})


def logits(model):
    from .builders import visual_inputs

    with torch.no_grad():
        inputs = visual_inputs([(Layout.VIDEO, pictures([(24, 16), (24, 16)]), 2)])
        return model(input_ids=torch.tensor([[1, MARK, 2, 3]]), **inputs).logits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tower_in_shards", [True, False])
def test_authors_checkpoint(tmp_path, kind, tower_in_shards):
    model = released(kind)
    loaded = oryx.load(write_released(tmp_path, model, tower_in_shards=tower_in_shards))
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.generation_config.repetition_penalty == 1.05 and loaded.generation_config.top_k == 20
    assert loaded.generation_config.eos_token_id == ([2, 3] if kind == "qwen2" else 7)
    assert loaded.processor is None and not loaded.training


@pytest.mark.parametrize("place", ["absolute", "absolute folder", "beside the checkpoint"])
def test_tower_file_from_the_configuration(tmp_path, place):
    model = released("qwen2")
    folder = write_released(tmp_path / "model", model, tower_in_shards=False)
    target = tmp_path / "elsewhere" if place.startswith("absolute") else folder / "sub"
    target.mkdir()
    file = (folder / "oryx_vit.pth").rename(target / ("oryx_vit.pth" if "folder" in place else "renamed.pth"))
    value = {"absolute": file, "absolute folder": target, "beside the checkpoint": "sub/renamed.pth"}[place]
    config = json.loads((folder / "config.json").read_text()) | {"mm_vision_tower": f"oryx_vit:{value}"}
    (folder / "config.json").write_text(json.dumps(config))
    assert torch.equal(logits(oryx.load(folder)), logits(model))


def test_tower_nowhere(tmp_path):
    folder = write_released(tmp_path, tiny_model(), tower_in_shards=False)
    (folder / "oryx_vit.pth").unlink()
    with pytest.raises(MissingResource, match=r"/path/to/oryx_vit.*THUdyh/Oryx-ViT"):
        oryx.load(folder)


def test_tower_alone(tmp_path):
    model = tiny_model()
    folder = write_released(tmp_path / "a", model, tower_in_shards=False)
    expected = model.vision_tower.state_dict()
    (tmp_path / "vit").mkdir()
    (folder / "oryx_vit.pth").rename(tmp_path / "vit" / "oryx_vit.pth")
    model.vision_tower.save_pretrained(tmp_path / "own")
    save_file(expected, tmp_path / "tower.safetensors")
    for path in (tmp_path / "vit", tmp_path / "vit" / "oryx_vit.pth", tmp_path / "own", tmp_path / "tower.safetensors"):
        tower = oryx.load(path)
        assert type(tower) is OryxViT
        assert all(torch.equal(value, expected[name]) for name, value in tower.state_dict().items())


@pytest.mark.parametrize("tied", [False, True])
def test_own_format(tmp_path, tied):
    model = tiny_model("llama", text={"tie_word_embeddings": tied})
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    loaded = oryx.load(str(tmp_path))
    assert torch.equal(logits(loaded), logits(model))
    text = loaded.language_model
    assert (text.lm_head.weight is text.model.embed_tokens.weight) == tied


def test_own_format_is_strict_where_from_pretrained_fills_with_random_numbers(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["projector.image_sep"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"'projector.image_sep': expected shape \(32,\), got nothing"):
        oryx.load(tmp_path)


def test_dtype(tmp_path):
    model = released("qwen2").to(torch.bfloat16)
    model.vision_tower.float()
    folder = write_released(tmp_path, model, tower_in_shards=False)
    assert {p.dtype for p in oryx.load(folder).parameters()} == {torch.bfloat16}
    assert {p.dtype for p in oryx.load(folder, dtype=torch.float32).parameters()} == {torch.float32}


def break_shard_truncated(folder):
    content = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(content[: len(content) // 2])
    return rf"{SHARD}: not readable as safetensors, {len(content) // 2} bytes"


def break_shard_corrupt(folder):
    (folder / SHARD).write_bytes(b"\xff" * 100)
    return f"{SHARD}: not readable as safetensors"


def break_shard_empty(folder):
    (folder / SHARD).write_bytes(b"")
    return f"{SHARD}: not readable as safetensors, 0 bytes"


def break_shard_missing(folder):
    (folder / SHARD).unlink()
    return f"{SHARD}: no such file"


def break_index_truncated(folder):
    (folder / INDEX).write_text('{"weight_map": {"a')
    return f"{INDEX}: not readable as json"


def break_index_without_map(folder):
    (folder / INDEX).write_text("{}")
    return f"{INDEX}: expected a 'weight_map'"


def break_index_outside(folder):
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = "../other.safetensors"
    (folder / INDEX).write_text(json.dumps(index))
    return "expected file names in this folder, got '../other.safetensors'"


def break_index_lacks_a_key(folder):
    index = json.loads((folder / INDEX).read_text())
    del index["weight_map"]["model.norm.weight"]
    (folder / INDEX).write_text(json.dumps(index))
    return f"{INDEX}: 'model.norm.weight' missing; model-0000"


def break_shard_lacks_a_key(folder):
    tensors = load_file(folder / SHARD)
    name = sorted(tensors)[0]
    del tensors[name]
    save_file(tensors, folder / SHARD)
    return f"{SHARD}: '{name}' missing; {INDEX} has it"


def break_no_weights(folder):
    for path in folder.glob("model*"):
        path.unlink()
    return f"expected {INDEX} or model.safetensors, the folder has config.json"


def break_config_missing(folder):
    (folder / "config.json").unlink()
    return "config.json: no such file"


def break_config_corrupt(folder):
    (folder / "config.json").write_text('{"model_type": "ory')
    return "config.json: not readable as json"


def break_config_type(folder):
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return r"config.json: model_type: expected one of \[.*\], got 'bert'"


def break_config_list(folder):
    (folder / "config.json").write_text("[1]")
    return "config.json: expected a json object, got list"


def break_own_config(folder):
    tiny_model().save_pretrained(folder / "own")
    text = (folder / "own" / "config.json").read_text().replace('"vocab_size": 70', '"vocab_size": "many"')
    (folder / "config.json").write_text(text)
    return "config.json: (.|\n)*vocab_size(.|\n)*many"


def break_generation_config(folder):
    (folder / "generation_config.json").write_text("{")
    return "not readable as json of how to generate"


BREAKS = [value for name, value in sorted(globals().items()) if name.startswith("break_")]


@pytest.mark.parametrize("damage", BREAKS, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    folder = write_released(tmp_path, tiny_model())
    message = damage(folder)
    with pytest.raises(CheckpointError, match=message):
        oryx.load(folder)


class Trap:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"garbage" * 9, "63 bytes|refused"),
        ({"pos_embed": Trap()}, "refused, expected a file of tensors and nothing else"),
        ([torch.ones(2)], "expected a dictionary of tensors"),
        ({"pos_embed": 3}, "expected a dictionary of tensors"),
    ],
)
def test_a_bad_pickle_is_refused_and_never_executed(tmp_path, capsys, content, message):
    path = tmp_path / "oryx_vit.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        oryx.load(path)
    assert "executed" not in capsys.readouterr().out


def test_a_truncated_pickle(tmp_path):
    folder = write_released(tmp_path, tiny_model(), tower_in_shards=False)
    path = folder / "oryx_vit.pth"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(CheckpointError, match=r"oryx_vit.pth: not readable"):
        oryx.load(folder)


def test_names_that_cannot_be_resolved():
    with pytest.raises(MissingResource, match="THUdyh/Oryx-7B: neither a local folder"):
        oryx.load("THUdyh/Oryx-7B")
    with pytest.raises(CheckpointError, match="no such folder"):
        oryx.load("/no/such/folder")


def test_single_file_without_an_index(tmp_path):
    model = released("qwen2")
    write_released(tmp_path, model)
    tensors = read_weights(tmp_path)
    for path in tmp_path.glob("model*"):
        path.unlink()
    save_file(tensors, tmp_path / "model.safetensors")
    assert torch.equal(logits(oryx.load(tmp_path)), logits(model))


FIELDS = [
    "compressor", "compressor_dim", "vision_config", "text_config", "vision_config.hidden_size",
    "vision_config.intermediate_size", "vision_config.num_hidden_layers", "vision_config.num_attention_heads",
    "vision_config.patch_size", "vision_config.position_grid", "text_config.model_type", "text_config.hidden_size",
    "text_config.intermediate_size", "text_config.num_hidden_layers", "text_config.num_attention_heads",
    "text_config.num_key_value_heads", "text_config.vocab_size",
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_configuration_that_lacks_a_field_is_refused(tmp_path, field):
    """By its name where nothing else contradicts the default; else by the tensor that does, or the number of layers."""
    tiny_model().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    part, _, name = field.rpartition(".")
    del (config[part] if part else config)[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"config\.json: .*missing: {field}|expected shape|`{name}` \("):
        oryx.load(tmp_path)
    with pytest.raises(Exception, match=rf"missing: {field}|size mismatch|mismatch|`{name}` \("):
        AutoModelForImageTextToText.from_pretrained(tmp_path)


@pytest.mark.parametrize("field", NEEDED_FIELDS)
def test_an_authors_configuration_that_lacks_a_field_is_refused(tmp_path, field):
    folder = write_released(tmp_path, tiny_model(), **{field: None})
    with pytest.raises(CheckpointError, match=f"{tmp_path.name}: config: .*missing: {field}$"):
        oryx.load(folder)


def test_the_auto_classes_say_what_is_wrong_with_a_folder(tmp_path):
    load = AutoModelForImageTextToText.from_pretrained
    authors = write_released(tmp_path / "authors", tiny_model())
    with pytest.raises(CheckpointError, match=r"authors' format: use oryx\.load, or first python -m oryx convert"):
        load(authors)
    own = tmp_path / "own"
    tiny_model().save_pretrained(own, max_shard_size="20KB")
    shard = sorted(own.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(OSError, match=shard.name):
        load(own)
    with pytest.raises(CheckpointError, match=shard.name):
        oryx.load(own)
    with pytest.raises((OSError, ValueError), match=r"config\.json|own"):
        (own / "config.json").unlink()
        load(own)
    with pytest.raises(OSError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_a_missing_tokenizer_is_named(tmp_path):
    OryxProcessor(byte_tokenizer()).save_pretrained(tmp_path)
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    for door in (OryxProcessor, AutoProcessor):
        with pytest.raises(CheckpointError, match=rf"{tmp_path.name}: its tokenizer cannot be loaded"):
            door.from_pretrained(tmp_path)


def test_a_damaged_tokenizer_is_named(tmp_path):
    folder = tmp_path / "model"
    OryxProcessor(byte_tokenizer()).save_pretrained(folder)
    for spoil in (lambda path: path.write_text("{"), lambda path: path.unlink()):
        spoil(folder / "tokenizer.json")
        with pytest.raises(CheckpointError, match=r"model: its tokenizer cannot be loaded"):
            OryxProcessor.from_pretrained(folder)


def test_a_pickle_of_anything_else_is_refused_without_advice_to_run_it(tmp_path):
    path = tmp_path / "oryx_vit.pth"
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(CheckpointError, match=r"refused, expected a file of tensors and nothing else") as caught:
        oryx.load(path)
    assert "weights_only" not in str(caught.value)


def test_nano_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(loading.importlib.resources, "files", lambda _: tmp_path)
    with pytest.raises(MissingResource, match="'nano': expected the shipped model in"):
        oryx.load("nano")


def test_a_model_too_large_for_the_gpu_is_refused_before_its_weights_are_read(tmp_path, monkeypatch):
    """The device's memory is a stand-in; what is said of a real one, no test here can see."""
    write_released(tmp_path, tiny_model("qwen2"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 24_000_000_000))
    monkeypatch.setattr(loading.stored, "read_weights", lambda folder: pytest.fail("weights were read"))
    with pytest.raises(MissingResource, match=r"of the device's 24\.0 GB 0\.0 are free.*plan --fit .* --gpu 24"):
        oryx.load(tmp_path, device="cuda")
    with pytest.raises(MissingResource, match=r"of the device's 48\.0 GB"):
        loading.check_free(tmp_path, torch.bfloat16, ["cuda:0", "cuda:1"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (12_000_000_000, 24_000_000_000))
    loading.check_free(tmp_path, torch.bfloat16, ["cuda:0"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: pytest.fail("the CPU's memory is not judged"))
    loading.check_free(tmp_path, None, ["cpu"])


def test_a_language_model_of_another_kind_is_not_judged_by_its_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    (tmp_path / "config.json").write_text('{"model_type": "oryx_workbook", "text_config": {"model_type": "gpt2"}}')
    loading.check_free(tmp_path, None, ["cuda"])


def test_a_longer_context_is_loaded_with_its_scaling(tmp_path):
    folder = write_released(tmp_path, tiny_model())  # 400 tokens, 512 positions
    within, beyond = (oryx.load(folder, context=tokens, rope_scaling="dynamic").config for tokens in (500, 1024))
    assert (within.tokenizer_model_max_length, within.text_config.rope_parameters["rope_type"]) == (500, "default")
    rope = beyond.text_config.rope_parameters
    assert (beyond.tokenizer_model_max_length, rope["rope_type"], rope["factor"]) == (1024, "dynamic", 2.0)
    with pytest.raises(SettingsError, match="unknown rope scaling 'ntk'"):
        oryx.load(folder, context=1024, rope_scaling="ntk")
    shipped = oryx.load("nano", context=8192).config
    assert (shipped.tokenizer_model_max_length, shipped.text_config.rope_parameters["rope_type"]) == (8192, "yarn")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("config.json", "config.json: no such file"),
        ("model-00002-of-00003.safetensors", "model-00002-of-00003.safetensors: no such file; "),
        ("tokenizer", "expected a tokenizer beside the weights"),
    ],
)
def test_what_a_whole_model_lacks_is_said_before_anything_is_loaded(tmp_path, gone, said):
    folder = save_tiny_released(tmp_path / "released")
    for path in folder.glob(f"{gone}*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=said):
        checkpoint_hash(folder)


def test_an_encoder_is_no_model_that_can_be_asked(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "oryx_vit"}')
    with pytest.raises(CheckpointError, match="model_type: expected one of"):
        checkpoint_hash(tmp_path)


@pytest.mark.parametrize(
    "file, content, message",
    [
        (
            "generation_config.json",
            {"num_beams": [1], "max_new_tokens": [3]},
            "not readable as json of how to generate",
        ),
        (INDEX, {"weight_map": {"a": "x" * 5000}}, "expected file names in this folder"),
    ],
)
def test_odd_values_in_files_beside_the_weights_are_refused(tmp_path, file, content, message):
    save_tiny_released(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        oryx.load(tmp_path)


@pytest.mark.parametrize(
    "part, values, message",
    [
        ("vision_config", {"intermediate_size": "64"}, "no model can be made as its configuration says .TypeError"),
        ("vision_config", {"intermediate_size": -64}, "no model can be made as its configuration says .RuntimeError"),
        ("vision_config", {"num_attention_heads": 0}, "num_attention_heads: expected a whole number of at least 1"),
        ("vision_config", {"num_hidden_layers": 10**30}, "layers are configured, the files hold .. tensors"),
        (None, {"tokenizer_padding_side": 3}, "unknown tokenizer_padding_side 3; known: right, left"),
        ("vision_config", {"initializer_range": {}}, "no model can be made as its configuration says .TypeError"),
        ("vision_config", {"id2label": "none"}, "config.json: 'str' object has no attribute 'items'"),
        ("text_config", {"rope_parameters": {"rope_type": "default", "rope_theta": "1e6"}}, "no model can be made"),
        ("text_config", {"intermediate_size": 10**30}, "no model can be made as its configuration says .TypeError"),
    ],
)
def test_odd_values_in_a_configuration_are_refused(tmp_path, part, values, message):
    save_tiny_model(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (config[part] if part else config).update(values)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message) as raised:
        oryx.load(tmp_path)
    assert len(str(raised.value)) < 1000
