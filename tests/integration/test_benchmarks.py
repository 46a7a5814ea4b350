import json
import re
from dataclasses import replace

import pytest
import torch

from benchmarks import backends, connectors, fine_tuning, language_model, long_videos, packed_encoder
from benchmarks.backends import attention_drift
from benchmarks.encoders import alone, new_oryx, pair, siglip2_from_oryx
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


def test_rows_hold_ratios_targets_and_verdicts(measured):
    rows = packed_encoder.rows_of(TINY, measured)
    by_measure = {row["measure"]: row for row in rows}
    assert by_measure["largest difference of a feature"]["met"] is True
    for kind in PASSES:
        row = by_measure[f"{kind}, peak MiB"]
        assert (row["ratio"], row["target"], row["met"]) == (0.5, "<= 1.00", True)
        seconds = by_measure[f"{kind}, user s"]["seconds"]
        # sums and differences of floats: equal clocks may differ in their last digit
        assert all(seconds[name]["cpu"] >= seconds[name]["user"] - 1e-9 for name in ("padded", "packed"))


def test_speed_verdicts_follow_the_ratio(measured):
    clocks = {
        "padded": dict.fromkeys(("user", "cpu", "wall"), 3.0),
        "packed": dict.fromkeys(("user", "cpu", "wall"), 2),
    }
    unknown = dict.fromkeys(measured["memory_mib"])
    measured = measured | {"seconds": dict.fromkeys(PASSES, clocks), "memory_mib": unknown}
    for target, met in ((1.5, True), (1.6, False)):
        rows = packed_encoder.rows_of(replace(TINY, speed_target=target), measured)
        assert [row["met"] for row in rows if row["measure"].endswith("user s")] == [met, met]
        assert not any(row["measure"].endswith("MiB") for row in rows)


@pytest.mark.parametrize("name", ["padded", "packed"])
def test_passes_leave_gradients_only_after_backward(name):
    encoder = alone(name, TINY)
    run_pass(encoder, "forward")
    assert all(p.grad is None for p in encoder.model.parameters())
    run_pass(encoder, "forward+backward")
    assert all(p.grad is not None for p in encoder.model.parameters())


def test_command_prints_tables_and_writes_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(packed_encoder, "MIXES", {"A": TINY})
    monkeypatch.setattr(packed_encoder, "measure", lambda *args: measure(*args, memory=in_this_process))
    file = tmp_path / "report.json"
    assert packed_encoder.main(["--mix", "A", "--repeats", "1", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"tiny +forward\+backward, user s", out)
    report = json.loads(file.read_text())
    assert {row["mix"] for row in report["rows"]} == {"tiny"}
    assert report["environment"]["threads"] == 1


@pytest.mark.parametrize("argv", [["--repeats", "0"], ["--mix", "Z"], ["--json", "no/such/folder/x.json"]])
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
    assert f"| {found['caching']['ratio']:.1f} |" in text
    *dense, sparse = found["decoding"]
    assert len(dense) == 2 and "| 16 of 64 frames | 64x64 |" in text and len(sparse["seconds"]["pyav"]) == 1
    assert [line["frames"] for line in found["memory"]["lines"]] == [32, 40]


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
    monkeypatch.setattr(connectors, "seconds_of", lambda call, rounds: (call() and 0.0) or 1.0)
    docs = tmp_path / "docs.md"
    docs.write_text("before\n<!-- connectors -->\nold\n<!-- end -->\nafter\n")
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = OryxConfig(vision_config={**vision, "position_grid": 8}, compressor_dim=8)
    found = connectors.main(["--rounds", "1", "--frames", "2", "--docs", str(docs)], config)
    text = docs.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert len(found["pooling"]) == 8 and "| 16x | 1.00 | 1.0000 | 100.00% | <= 10% | no |" in text


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
    assert 0.01 < connectors.seconds_of(lambda: sum(range(2_000_000)), 1) < 1
