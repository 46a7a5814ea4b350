"""A tiny SigLIP and a tiny language model with its tokenizer on disk, as public weights are kept."""

from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedTokenizerBase,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from oryx.processing.tokenizers import byte_tokenizer

SIGLIP = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4000,
}


def write_siglip(folder: Path) -> str:
    torch.manual_seed(0)
    config = SiglipVisionConfig(**SIGLIP, image_size=48, patch_size=12, hidden_act="gelu_pytorch_tanh")
    SiglipVisionModel(config).save_pretrained(folder)
    return str(folder)


def write_language_model(
    folder: Path, kind: str = "qwen2", tokenizer: PreTrainedTokenizerBase | None = None, **fields
) -> str:
    torch.manual_seed(1)
    tokenizer = tokenizer or byte_tokenizer()
    config = AutoConfig.for_model(kind, **{"vocab_size": len(tokenizer), **TEXT, **fields})
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
