"""A whole model small enough for tests: random weights, a byte tokenizer, saved in our format."""

from pathlib import Path

import torch
from transformers import Qwen2Config

from oryx.model import OryxConfig, OryxForConditionalGeneration
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer

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


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Save one into ``folder``; returns it."""
    torch.manual_seed(seed)
    config = OryxConfig(vision_config=VISION, text_config=Qwen2Config(**TEXT), compressor_dim=16)
    OryxForConditionalGeneration(config).save_pretrained(folder)
    OryxProcessor(byte_tokenizer(), PreprocessOptions()).save_pretrained(folder)
    return folder
