"""A whole model small enough for tests: random weights, a byte tokenizer, saved in our format."""

from pathlib import Path

import torch
from transformers import Qwen2Config

from oryx.model import OryxConfig, OryxForConditionalGeneration
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from tests.unit.model.builders import write_released

TEXT = {
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "bos_token_id": None,
    "eos_token_id": 256,
    "pad_token_id": 256,
    "initializer_range": 0.3,
}
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "position_grid": 8,
}


def save_tiny_model(folder: Path, seed: int = 0, width: int = 32) -> Path:
    """Save one into ``folder``; returns it. ``width``: of tower and language model."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": width, "intermediate_size": 48 if width == 32 else 2 * width}
    config = OryxConfig(vision_config=VISION | sizes, text_config=Qwen2Config(**TEXT | sizes), compressor_dim=16)
    OryxForConditionalGeneration(config).save_pretrained(folder)
    OryxProcessor(byte_tokenizer(), PreprocessOptions()).save_pretrained(folder)
    return folder


def save_tiny_released(folder: Path, context: int = 4000, seed: int = 0) -> Path:
    """Save a complete one in the authors' format, tokenizer included, into ``folder``; returns it.

    Its tower has one head of 72 channels, which such a checkpoint cannot tell. It answers shortly, as released models
    do: at every place the letters A to D and the end are likelier than other bytes.
    """
    torch.manual_seed(seed)
    vision = {**VISION, "hidden_size": 72, "num_attention_heads": 1}
    config = OryxConfig(vision_config=vision, text_config=Qwen2Config(**TEXT), compressor_dim=16)
    model = OryxForConditionalGeneration(config)
    with torch.no_grad():
        model.language_model.model.embed_tokens.weight[:, 0] = 2.0
        model.language_model.lm_head.weight[[*b"ABCD", 256], 0] = 2.0
    write_released(folder, model, tokenizer_model_max_length=context)
    byte_tokenizer().save_pretrained(folder)
    return folder
