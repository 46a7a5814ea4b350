"""RMSNorm and rotary positions in few passes: outputs and gradients of transformers' own."""

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm, apply_rotary_pos_emb

from oryx.model.fused import rms_norm, rotate


def gradients(out: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(3), dtype=out.dtype)
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.mark.parametrize("kind", [LlamaRMSNorm, Qwen2RMSNorm])
@pytest.mark.parametrize("shape", [(7, 24), (2, 5, 24)])
def test_norm_is_that_of_transformers(kind, shape):
    torch.manual_seed(0)
    norm, x = kind(24, eps=0.01), torch.randn(shape, dtype=torch.float32, requires_grad=True)
    with torch.no_grad():
        norm.weight.normal_()
    ours, theirs = (gradients(way(x), x, norm.weight) for way in (lambda x: rms_norm(norm, x), norm))
    for own, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, expected, atol=1e-6, rtol=1e-5)


def test_other_precisions_go_to_the_norm_itself():
    norm, x = Qwen2RMSNorm(8).bfloat16(), torch.randn(3, 8).bfloat16()
    assert torch.equal(rms_norm(norm, x), norm(x))


def test_turns_are_those_of_transformers():
    torch.manual_seed(0)
    x = torch.randn(6, 2, 8, requires_grad=True)
    angles = torch.rand(6, 4) * 6
    cos, sin = (torch.cat([part, part], 1) for part in (angles.cos(), angles.sin()))
    theirs = apply_rotary_pos_emb(x.transpose(0, 1)[None], x[:, :0].transpose(0, 1)[None], cos[None], sin[None])[0]
    ours = gradients(rotate(x, angles.cos(), angles.sin()), x)
    for own, expected in zip(ours, gradients(theirs[0].transpose(0, 1), x), strict=True):
        torch.testing.assert_close(own, expected, atol=1e-6, rtol=1e-5)
