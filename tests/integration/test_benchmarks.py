from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks import backends, connectors, fine_tuning, language_model, long_videos, packed_encoder
from benchmarks import measure as measuring
from benchmarks.backends import attention_drift
from benchmarks.encoders import alone, new_oryx, pair, peers, siglip2_from_oryx
from benchmarks.measure import PASSES, agreement, measure, run_pass
from benchmarks.mixes import MIXES, Mix, draw_grids
from oryx.model import OryxConfig, attention
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe

pytestmark = pytest.mark.integration

TINY = Mix(
    "tiny",
    "four small pictures",
    ((2, 3), (5, 2), (4, 4), (2, 2)),
    width=32,
    heads=2,
    layers=2,
    mlp=48,
    speed_target=1.0,
    memory_target=1.0,
)


def in_this_process(name, mix, threads):
    return {kind: 2.0 if name == "padded" else 1.0 for kind in PASSES}


@pytest.fixture(scope="module")
def measured():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring.gc, "collect", lambda: 0)  # seconds with all of a test run in memory
        return measure(TINY, repeats=1, threads=1, memory=in_this_process)


@pytest.mark.parametrize(
    ("name", "count", "tokens", "longest", "padding"),
    [
        ("A", 32, 10740, 864, 2.57),
        ("B", 4, 2593, 1024, 1.58),
        ("C", 64, 12544, 196, 1.0),
        ("D", 8, 1248, 576, 3.69),
        ("E", 128, 3379, 64, 2.42),
    ],
)
def test_mixes_are_the_described_ones(name, count, tokens, longest, padding):
    mix = MIXES[name]
    assert (len(mix.grids), mix.tokens, mix.longest) == (count, tokens, longest)
    assert mix.padding == pytest.approx(padding, abs=0.006)
    assert mix.table_side <= min(min(grid) for grid in mix.grids)


def test_drawn_grids_stay_between_the_ends_and_repeat():
    grids = draw_grids(40, (3, 4), (9, 8), aspect=2, seed=5)
    counts = [rows * columns for rows, columns in grids]
    assert (min(counts), max(counts)) == (12, 72)
    assert grids == draw_grids(40, (3, 4), (9, 8), aspect=2, seed=5) != draw_grids(40, (3, 4), (9, 8), aspect=2, seed=6)


@pytest.mark.parametrize("grids", [TINY.grids, ((3, 3),) * 4, ((1, 1), (7, 2))])
def test_encoders_agree_in_features_and_gradients(grids):
    apart = agreement(*pair(replace(TINY, grids=grids)))
    assert apart.features < 1e-5
    assert apart.gradients < 1e-4
    assert apart.scale > 0.1  # features near zero would agree whatever the weights


def test_agreement_sees_a_wrong_weight_and_a_wrong_position():
    for name in ("encoder.layers.1.mlp.fc1.bias", "embeddings.position_embedding.weight"):
        padded, packed = pair(TINY)
        with torch.no_grad():
            padded.model.get_parameter(name)[0] += 0.1
        assert agreement(padded, packed).features > packed_encoder.FEATURE_TOLERANCE


def test_every_siglip2_parameter_comes_from_oryx():
    vit = new_oryx(TINY)
    total = sum(p.numel() for p in siglip2_from_oryx(vit, TINY).parameters())
    assert total == sum(p.numel() for p in vit.parameters())


def test_padding_keeps_real_tokens_in_order():
    padded, packed = pair(TINY)
    assert torch.equal(padded.real(padded.pixels), packed.patches)
    assert padded.pixels.shape == (4, 16, packed.patches.shape[1])
    assert not padded.pixels[~padded.mask].any()


def test_one_picture_after_the_other_is_what_packing_computes():
    encoders = peers(TINY)
    apart = agreement(encoders["loop"], encoders["packed"])
    assert apart.features < 1e-5 and apart.gradients < 1e-4


def test_qwen2_vl_has_the_shape_of_the_others_and_keeps_pictures_apart():
    """As many parameters but for the position table, which rotary positions have none of, and the patches' bias."""
    encoder = peers(TINY)["qwen2-vl"]
    count, ours = (sum(p.numel() for p in model.parameters()) for model in (encoder.model, new_oryx(TINY)))
    assert ours - count == TINY.table_side**2 * TINY.width + TINY.width
    sizes = [rows * columns for rows, columns in TINY.grids]
    alone = [
        encoder.model(patches, grid[None]).last_hidden_state
        for patches, grid in zip(encoder.patches.split(sizes), encoder.grids, strict=True)
    ]
    torch.testing.assert_close(encoder.run(), torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_rows_hold_ratios_limits_and_verdicts(measured):
    rows = packed_encoder.memories(TINY, measured["memory_mib"])
    assert [(row["packed / padded"], row["limit"], row["met"]) for row in rows] == [(0.5, "<= 1.00", True)] * 2
    assert packed_encoder.memories(TINY, dict.fromkeys(measured["memory_mib"])) == []
    strict = packed_encoder.memories(replace(TINY, memory_target=0.4), measured["memory_mib"])
    assert [(row["limit"], row["met"]) for row in strict] == [("<= 0.40", False)] * 2
    for kind in PASSES:
        seconds = measured["seconds"][kind]
        assert set(seconds) == {"padded", "packed", "loop", "qwen2-vl"}
        # sums and differences of floats: equal clocks may differ in their last digit
        assert all(clocks["cpu"][0] >= clocks["user"][0] - 1e-9 for clocks in seconds.values())


def test_verdicts_follow_the_median_ratio_of_a_round():
    """Rounds of 1, 2 and 10 s; the peers take 1.5, 0.95 and 0.85 times as long in most of them."""
    taken = [1.0, 2.0, 10.0]
    times = {"packed": 1.0, "padded": 1.5, "loop": 0.95, "qwen2-vl": 0.85}
    clocks = {name: {"user": [ratio, 2 * ratio, 10.0]} for name, ratio in times.items()} | {"packed": {"user": taken}}
    for target, met in ((1.5, True), (1.6, False)):
        rows = packed_encoder.speeds(replace(TINY, speed_target=target), dict.fromkeys(PASSES, clocks))
        assert [row["met"] for row in rows] == [met, True, False] * 2
        assert [row["limit"] for row in rows[:3]] == [f">= {target:.2f}", ">= 0.90", ">= 0.90"]


@pytest.mark.parametrize("name", ["padded", "packed"])
def test_passes_leave_gradients_only_after_backward(name):
    encoder = alone(name, TINY)
    run_pass(encoder, "forward")
    assert all(p.grad is None for p in encoder.model.parameters())
    run_pass(encoder, "forward+backward")
    assert all(p.grad is not None for p in encoder.model.parameters())


def test_other_features_than_packed_are_refused(monkeypatch):
    wrong = {"agreement": {"loop": {"features": 2 * packed_encoder.FEATURE_TOLERANCE}}}
    monkeypatch.setattr(packed_encoder, "measure", lambda *args: wrong)
    with pytest.raises(RuntimeError, match=r"mix A: loop and packed features differ by 2\.0e-04"):
        packed_encoder.main(["--mix", "A"])


@pytest.mark.parametrize("argv", [["--repeats", "0"], ["--mix", "Z"]])
def test_bad_arguments_are_refused_before_any_work(argv, monkeypatch, capsys):
    monkeypatch.setattr(packed_encoder, "measure", lambda *args: pytest.fail("work began"))
    with pytest.raises(SystemExit) as refusal:
        packed_encoder.main(argv)
    assert refusal.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(("error", "met"), [(1.0, True), (1.05, False)])
def test_cuda_verdict_sees_a_wrong_kernel(error, met, monkeypatch):
    """The CUDA comparison run on the CPU, ``exact`` scaled by ``error`` in the place of the kernel."""
    monkeypatch.setattr(attention, "varlen_supported", lambda q: q.dtype == torch.bfloat16)
    monkeypatch.setattr(attention, "_varlen", lambda *args: attention._exact(*args) * error)
    monkeypatch.setattr(backends, "CALLS", 1)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda module: module)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    monkeypatch.setattr(backends, "attention_drift", lambda mix, device: attention_drift(mix, "cpu"))
    assert packed_encoder.cuda_row(TINY, repeats=1)["met"] is met


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_varlen_equals_exact_on_cuda():
    row = packed_encoder.cuda_row(replace(TINY, width=64), repeats=1)
    assert row["met"]


def test_the_benchmark_of_long_videos_runs_and_renews_its_block(tmp_path, monkeypatch):
    monkeypatch.setattr(long_videos, "LARGE", (64, 64))
    docs = tmp_path / "docs.md"
    docs.write_text("before\n<!-- decoding -->\nold\n<!-- end -->\n<!-- long-videos -->\nold\n<!-- end -->\nafter\n")
    flags = ["--frames", "40", "--rounds", "1", "--trials", "4", "--cached-frames", "16", "--sparse-of", "64"]
    flags += ["--docs", str(docs)]
    found = long_videos.main(flags)
    text = docs.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert found["asking"]["tokens"] == 40 * 3 + 2 and len(found["asking"]["wall"]) == 1 and "| 122 |" in text
    saved = found["caching"]
    assert f"| {saved['ratio']:.1f} | >= 2 |" in text and len(saved["seconds"]["anew"]["wall"]) == 1
    *dense, sparse = found["decoding"]
    assert len(dense) == 2 and "| 16 of 64 frames | 64x64 |" in text and len(sparse["seconds"]["pyav"]) == 1
    assert [line["frames"] for line in found["memory"]["lines"]] == [32, 40]
    assert "times as much as the tokens; at most 2 times is asked" in text


@pytest.mark.finetune
def test_the_benchmark_of_fine_tuning_runs_and_renews_its_block(tmp_path):
    docs = tmp_path / "docs.md"
    docs.write_text("before\n<!-- fine-tuning -->\nold\n<!-- end -->\nafter\n")
    found = fine_tuning.main(["--pictures", "12", "--epochs", "1", "--docs", str(docs)])
    text = docs.read_text()
    assert "<!-- fine-tuning -->\n12 pictures, a third held out; 1 steps of 16" in text and "old" not in text
    assert [line["n_items"] for line in found["lines"]] == [4] * 4 and text.count("Paired difference, after") == 2


def test_the_benchmark_of_connectors_runs_and_renews_its_block(tmp_path, monkeypatch):
    monkeypatch.setattr(connectors, "GRID", (8, 8))
    monkeypatch.setattr(connectors, "peak_memory", lambda *_: None)
    monkeypatch.setattr(connectors, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(connectors, "seconds_of", lambda calls, rounds: {name: called(calls[name]) for name in calls})
    docs = tmp_path / "docs.md"
    docs.write_text("before\n<!-- connectors -->\nold\n<!-- end -->\nafter\n")
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = OryxConfig(vision_config={**vision, "position_grid": 8}, compressor_dim=8)
    found = connectors.main(["--rounds", "1", "--frames", "2", "--docs", str(docs)], config)
    text = docs.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert len(found["pooling"]) == 12 and "| 16x | 1.00 | 1.00 | 100.00% | <= 10% | no |" in text
    assert "| 16x | forward | attention | 1.00 | - | 1.00 | 1.00 | <= 2.00 | yes |" in text
    assert "| 16x | forward | pooling | 1.00 | - | 1.00 | 1.00 | - | - |" in text


def called(call):
    call()
    return [1.0, 1.0]


def test_the_benchmark_of_the_language_model_compares_equals():
    """Both ways of a case are called, and they give the same gradients."""
    found = language_model.measure(1, {"two": [9, 14]})
    assert [one["work"] for one in found] == ["training step: two"]
    assert all(one["ratio"] > 0 for one in found) and "| training step: two |" in language_model.table(found)
    torch.manual_seed(0)
    model = build_reader(recipe("smoke", text={"num_hidden_layers": 2}))
    gradients = []
    for way in language_model.training(model, [9, 7, 12]).values():
        model.zero_grad()
        way()
        gradients.append(torch.cat([p.grad.flatten() for p in model.language_model.parameters() if p.grad is not None]))
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


class InThisProcess:
    """Stands for a pool of processes."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, call, *arguments):
        return type("Done", (), {"result": staticmethod(lambda: call(*arguments))})


def test_seconds_are_those_of_one_call():
    calls = {count: partial(sum, range(count)) for count in (200, 2_000_000)}
    (few,), (many,) = connectors.seconds_of(calls, 1).values()
    assert few < 1e-3 and 0.01 < many < 1
