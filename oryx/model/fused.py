"""RMSNorm and rotary positions in few passes over memory.

On a CPU what they cost is passes over memory, and written out as in transformers they take many. transformers' modules
are the slow exact form (``tests/unit/model/test_fused.py``): same numbers but for rounding, and what these here do not
cover goes to them.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        unit = x * inverse
        ctx.save_for_backward(unit, inverse, weight)
        return unit * weight

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, weight = ctx.saved_tensors
        along = gradient * unit
        of_weight = along.flatten(0, -2).sum(0)
        mean = (along @ weight).div_(-weight.shape[0]).unsqueeze(-1)
        return torch.addcmul(gradient * weight, unit, mean).mul_(inverse), of_weight, None


class _Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(gradient, cos, -sin), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    (a, b), (first, second) = x.chunk(2, -1), out.chunk(2, -1)
    torch.mul(a, cos, out=first).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=second).addcmul_(a, sin)
    return out


def rms_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """What a Qwen2 or Llama RMSNorm of transformers gives for ``x`` (..., width)."""
    if x.dtype != torch.float32 or norm.weight.dtype != torch.float32:
        return norm(x)  # which computes in float32 and comes back
    return _RMSNorm.apply(x, norm.weight, norm.variance_epsilon)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of ``x`` (N, heads, head_dim) by the cosines and sines (N, head_dim / 2) of its places' angles.

    Channel i turns with channel i + head_dim / 2, as in transformers' ``apply_rotary_pos_emb``, which has every angle
    twice.
    """
    return _Turn.apply(x, cos[:, None].to(x.dtype), sin[:, None].to(x.dtype))
