"""A model loaded in 8 and 4 bits by bitsandbytes, on the CPU: what its weights take is what the shape says."""

import pytest
import torch
from transformers import BitsAndBytesConfig, Qwen2Config

from oryx.layout import Layout
from oryx.model import OryxConfig, OryxForConditionalGeneration
from oryx.processing.shapes import Shape

pytestmark = pytest.mark.integration
VISION = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
TEXT = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT |= {"num_key_value_heads": 2, "vocab_size": 300, "eos_token_id": None, "bos_token_id": None}
PARTS = {"vision_tower": "tower", "compressor": "compressor", "projector": "projector"}


def held(module: torch.nn.Module) -> int:
    """Bytes of a module's parameters and of the scales that belong to them, the 4-bit code of 16 numbers aside."""
    total = 0
    for parameter in module.parameters():
        scales = [getattr(getattr(parameter, "quant_state", None), "absmax", None), getattr(parameter, "SCB", None)]
        total += sum(one.numel() * one.element_size() for one in (parameter, *scales) if one is not None)
    return total


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("frozen", [False, True])
def test_quantised_weights_take_what_the_shape_says(tmp_path, bits, frozen):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    torch.manual_seed(0)
    vision = VISION | {"position_grid": 8}
    config = OryxConfig(vision_config=vision, text_config=Qwen2Config(**TEXT), freeze_vision=frozen)
    OryxForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(tmp_path)
    how = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
    model = OryxForConditionalGeneration.from_pretrained(tmp_path, quantization_config=how, dtype=torch.bfloat16)
    said = Shape.of(model.config.to_dict(), "tiny").weights(f"{bits} bit")
    for name, module in model.named_children():
        assert held(module) == said[PARTS.get(name, "language model")], name
    assert any(p.requires_grad for p in model.vision_tower.parameters()) is not frozen
    out = model.generate(
        torch.tensor([[1, -200, 2]]),
        pixel_patches=torch.randn(16, 768),
        image_grids=torch.tensor([[4, 4]]),
        visual_spec=torch.tensor([[Layout.ONE_VIEW, 1, 1]]),
        max_new_tokens=2,
        do_sample=False,
        pad_token_id=0,
    )
    assert out.shape[0] == 1
