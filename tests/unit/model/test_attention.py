from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx.errors import InputError
from oryx.grids import cumulative_lengths
from oryx.model.attention import CALLS, Segments, packed_attention, varlen_supported

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def qkv(tokens: int, heads: int = 3, width: int = 8, seed: int = 0, **kwargs) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(tokens, heads, width, generator=generator).to(**kwargs).requires_grad_() for _ in range(3)]


def plain(q, k, v, lengths, scale, causal=False):
    """Softmax attention per segment, written out."""
    out = []
    for a, b, c in zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True):
        b, c = (part.repeat_interleave(q.shape[1] // k.shape[1], 1) for part in (b, c))
        weights = torch.einsum("ihd,jhd->hij", a, b) * scale
        if causal:
            later = torch.arange(len(b)) > torch.arange(len(a))[:, None]
            weights = weights.masked_fill(later, -torch.inf)
        weights = weights.softmax(-1)
        out.append(torch.einsum("hij,jhd->ihd", weights, c))
    return torch.cat(out)


@settings(max_examples=40)
@given(LENGTHS, st.sampled_from([None, 0.3]))
def test_equals_softmax_attention_per_segment(lengths, scale):
    q, k, v = qkv(sum(lengths))
    ours = packed_attention(q, k, v, cumulative_lengths(lengths), scale=scale)
    expected = plain(q, k, v, lengths, 8**-0.5 if scale is None else scale)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    weights = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), (q, k, v)),
        torch.autograd.grad((expected * weights).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@settings(max_examples=40)
@given(LENGTHS, st.booleans(), st.booleans())
def test_causal_and_grouped_heads(lengths, causal, shared_heads):
    q, k, v = qkv(sum(lengths), heads=4)[0], *qkv(sum(lengths), heads=2 if shared_heads else 4, seed=1)[1:]
    ours = packed_attention(q, k, v, cumulative_lengths(lengths), causal=causal)
    expected = plain(q, k, v, lengths, 8**-0.5, causal)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    for a, b in zip(*(torch.autograd.grad(out.square().sum(), (q, k, v)) for out in (ours, expected)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_equal_lengths_go_through_one_call(monkeypatch):
    calls = []
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: calls.append((args[0].shape, kwargs)) or real(*args, **kwargs),
    )
    packed_attention(*qkv(20), cumulative_lengths([5] * 4))
    assert [tuple(shape) for shape, _ in calls] == [(4, 3, 5, 8)]
    assert calls[0][1].get("attn_mask") is None
    packed_attention(*qkv(20), cumulative_lengths([5, 5, 3, 7]))
    assert len(calls) == 1 + 3  # neighbours of one length share a call


def test_boundaries_may_be_a_tensor():
    q, k, v = qkv(7)
    ours = packed_attention(q, k, v, torch.tensor([0, 3, 7], dtype=torch.int32))
    assert torch.equal(ours, packed_attention(q, k, v, [0, 3, 7]))
    assert Segments([0, 3, 7]).tensor(q.device).dtype == torch.int32


@pytest.mark.parametrize("bounds", [[0], [1, 7], [0, 3, 3, 7], [0, 5, 4, 7], []])
def test_boundaries_that_do_not_rise_from_zero_are_refused(bounds):
    with pytest.raises(InputError, match="cu_seqlens"):
        packed_attention(*qkv(7), bounds)


def test_boundaries_must_end_at_the_number_of_tokens():
    with pytest.raises(InputError, match="ends at 6, expected the 7"):
        packed_attention(*qkv(7), [0, 6])


def test_unknown_and_unsupported_backends_are_named():
    with pytest.raises(InputError, match="'flash'"):
        packed_attention(*qkv(7), [0, 7], backend="flash")
    with pytest.raises(InputError, match=r"float32 on cpu"):
        packed_attention(*qkv(7), [0, 7], backend="varlen")


def test_auto_is_exact_on_cpu():
    q, k, v = qkv(7)
    assert torch.equal(
        packed_attention(q, k, v, [0, 2, 7], backend="auto"), packed_attention(q, k, v, [0, 2, 7], backend="exact")
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the variable-length kernel exists on CUDA only")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_varlen_kernel_equals_exact(dtype, causal):
    lengths = [60, 864, 1, 300, 300, 17]
    q, k, v = qkv(sum(lengths), heads=16, width=72, dtype=dtype, device="cuda")
    q, k, v = (part.detach().requires_grad_() for part in (q, k, v))
    results = {}
    for backend in ("exact", "varlen"):
        out = packed_attention(q, k, v, cumulative_lengths(lengths), causal=causal, backend=backend)
        results[backend] = [out, *torch.autograd.grad(out.float().square().sum(), (q, k, v))]
    for exact, fast in zip(results["exact"], results["varlen"], strict=True):
        torch.testing.assert_close(fast, exact, atol=2e-2, rtol=2e-2)


def varlen_attn_of_torch_2_11(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)
):
    """The signature of torch 2.11's kernel, which has no ``enable_gqa``; computed segment by segment."""
    assert query.shape[1] == key.shape[1] == value.shape[1], "this kernel knows no grouped heads"
    lengths = cu_seq_q.diff().tolist()
    assert lengths == cu_seq_k.diff().tolist() and max_q == max_k == max(lengths)
    assert window_size in ((-1, -1), (-1, 0))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return plain(query, key, value, lengths, scale, causal=window_size == (-1, 0))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("key_heads", [2, 4])
def test_the_kernel_is_called_with_what_its_oldest_signature_has(monkeypatch, causal, key_heads):
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn_of_torch_2_11)
    monkeypatch.setattr("oryx.model.attention.varlen_supported", lambda q: True)
    lengths = [5, 1, 7]
    q, (k, v) = qkv(13, heads=4)[0], qkv(13, heads=key_heads, seed=1)[1:]
    results, before = {}, CALLS.copy()
    for backend in ("exact", "varlen"):
        out = packed_attention(q, k, v, cumulative_lengths(lengths), causal=causal, scale=0.3, backend=backend)
        assert CALLS[backend] == before[backend] + 1, "what ran is what is counted"
        results[backend] = [out, *torch.autograd.grad(out.square().sum(), (q, k, v))]
    for exact, fast in zip(*results.values(), strict=True):
        torch.testing.assert_close(fast, exact, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("capability", "dtype", "width", "expected"), [
    ((8, 0), torch.bfloat16, 72, True),
    ((9, 0), torch.float16, 256, True),
    ((7, 5), torch.float16, 64, False),
    ((8, 0), torch.float32, 64, False),
    ((8, 0), torch.bfloat16, 264, False),
    ((8, 0), torch.bfloat16, 30, False),
])  # fmt: skip
def test_where_the_kernel_exists(monkeypatch, capability, dtype, width, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    tensor = SimpleNamespace(is_cuda=True, device="cuda:0", dtype=dtype, shape=(7, 4, width))
    assert varlen_supported(tensor) is expected
