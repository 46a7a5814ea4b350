"""Tiny models, inputs and checkpoints for the tests of this folder."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from oryx.layout import Layout
from oryx.model import OryxConfig, OryxForConditionalGeneration, OryxVisionConfig, OryxViT
from oryx.model.reference import TOWER_PREFIX, authors_name
from tests.pixels import pack_images

MARK = -200
VISION = {
    "hidden_size": 144,  # two heads of the released width, so that a checkpoint tells its number of heads
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_size": 8,
    "position_grid": 6,
}
TEXT = {
    "vocab_size": 70,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def tiny_config(kind: str = "qwen2", **fields) -> OryxConfig:
    text = {**TEXT, "model_type": kind, **fields.pop("text", {})}
    return OryxConfig(vision_config={**VISION, **fields.pop("vision", {})}, text_config=text, **fields)


def tiny_model(kind: str = "qwen2", seed: int = 0, **fields) -> OryxForConditionalGeneration:
    """A random model whose weights are large enough that every part of the input shows in the output."""
    torch.manual_seed(seed)
    model = OryxForConditionalGeneration(tiny_config(kind, **fields))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3) if parameter.ndim > 1 else parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def tiny_tower(seed: int = 0, **fields) -> OryxViT:
    torch.manual_seed(seed)
    tower = OryxViT(OryxVisionConfig(**{**VISION, **fields}))
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return tower.eval()


def pictures(sizes: Sequence[tuple[int, int]], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, *size, generator=generator) for size in sizes]


def visual_inputs(visuals: Sequence[tuple[Layout, list[Tensor], int]], patch: int = VISION["patch_size"]) -> dict:
    """The model's visual arguments for (layout, maps, side) triples."""
    patches, grids = pack_images([image for _, maps, _ in visuals for image in maps], patch)
    return {
        "pixel_patches": patches,
        "image_grids": torch.tensor(grids),
        "visual_spec": torch.tensor([[int(layout), len(maps), side] for layout, maps, side in visuals]),
    }


def released_tensors(model: OryxForConditionalGeneration) -> dict[str, Tensor]:
    """The model's tensors under the authors' names."""
    return {authors_name(name): value.clone() for name, value in model.state_dict().items()}


def released_config(model: OryxForConditionalGeneration, **changes) -> dict:
    """The ``config.json`` of a released checkpoint, as transformers 4.39 wrote it, for this model's sizes."""
    text = model.config.text_config
    qwen = text.model_type == "qwen2"
    config = {
        "_name_or_path": "/path/to/model",
        "architectures": ["OryxQwenForCausalLM" if qwen else "OryxLlamaForCausalLM"],
        "model_type": "oryx_qwen" if qwen else "oryx_llama",
        **{name: getattr(text, name) for name in TEXT},
        "rms_norm_eps": text.rms_norm_eps,
        "rope_theta": 1_000_000.0 if qwen else 5_000_000.0,
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.39.2",
        "use_cache": True,
        "use_mm_proj": True,
        "mm_hidden_size": model.config.vision_config.hidden_size,
        "mm_projector_type": "simple_mlp_twoview",
        "mm_resampler_type": "dynamic_compressor",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "mm_vision_select_layer": -1,
        "mm_vision_select_feature": "patch",
        "mm_vision_tower": "oryx_vit:/path/to/oryx_vit",
        "tokenizer_model_max_length": 400,
        "tokenizer_padding_side": "right",
        "tune_mm_mlp_adapter": False,
        "unfreeze_mm_vision_tower": False,
    }
    return {**config, **({} if qwen else {"attention_bias": False, "mlp_bias": False}), **changes}


def write_released(
    folder: Path, model: OryxForConditionalGeneration, *, shards: int = 3, tower_in_shards: bool = True, **changes
) -> Path:
    """Write a checkpoint in the authors' format: config, shards with an index, and the tower in them or as ``.pth``.

    The ``.pth`` is a pickled dictionary with the tower's bare names and a pooling head that must be ignored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = released_tensors(model)
    tower = {name.removeprefix(TOWER_PREFIX): value for name, value in tensors.items() if TOWER_PREFIX in name}
    if not tower_in_shards:
        tensors = {name: value for name, value in tensors.items() if TOWER_PREFIX not in name}
        head = {"norm.weight": torch.ones(4), "attn_pool.q.weight": torch.ones(4, 4)}
        torch.save({**tower, **head}, folder / "oryx_vit.pth")
    places = {}
    for number in range(shards):
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = {key: tensors[key] for key in sorted(tensors)[number::shards]}
        save_file(part, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(part, name)
    size = sum(value.nbytes for value in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(released_config(model, **changes)))
    generation = {"bos_token_id": 1, "eos_token_id": [2, 3], "do_sample": True, "top_k": 20, "repetition_penalty": 1.05}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder
