"""The benchmark of native encoding: what the four ways encode, where they agree, and that it runs on a tiny mix."""

import json
from dataclasses import replace
from itertools import count

import pytest
import torch

from benchmarks import measure as measuring
from benchmarks import native_encoding as bench
from benchmarks.measure import PASSES
from benchmarks.mixes import MIXES, Mix
from oryx.grids import token_count

GRIDS = ((2, 3), (5, 2), (4, 4), (2, 2))
TINY = Mix("A", "four small pictures", GRIDS, 32, 2, 2, 48, speed_target=1.0, memory_target=0.6)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Every pass takes half a second; no garbage is collected before it (seconds with all of a test run in memory)."""
    ticks = count()
    monkeypatch.setattr(measuring, "_clocks", lambda: dict.fromkeys(("user", "cpu", "wall"), next(ticks) / 2))
    monkeypatch.setattr(measuring.gc, "collect", lambda: 0)


def in_this_process(name, mix, threads):
    return dict.fromkeys(PASSES, float(mix.tokens * (mix.padding if name == "padded" else 1)))


def test_sides_match_the_tokens_or_keep_the_pixels():
    for mix in (MIXES["A"], MIXES["B"], bench.SO400M):
        mixes = bench.mixes_of(mix)
        assert tuple(mixes) == bench.WAYS
        for way in ("fixed", "partition"):
            equal = mixes[f"{way}, equal tokens"]
            assert equal.tokens / mix.tokens == pytest.approx(1, abs=0.08)
            whole = bench.square_side(mix, way, "pixels")
            assert bench.keeps_pixels(mix, way, whole) and not bench.keeps_pixels(mix, way, whole - 1)
        assert len(mixes["fixed, equal pixels"].grids) == len(mix.grids)


def test_a_partition_is_its_canvas_and_a_thumbnail():
    assert bench.canvas((6, 6), 3) == (2, 2) and bench.canvas((2, 9), 3) == (1, 3) and bench.canvas((9, 2), 3) == (3, 1)
    mix = replace(TINY, grids=((6, 6), (2, 9)))
    assert bench.squares(mix, "partition", 3) == ((3, 3),) * (5 + 4)
    assert bench.squares(mix, "fixed", 3) == ((3, 3),) * 2


@torch.no_grad()
def test_the_ways_agree_where_they_encode_the_same():
    mixes = bench.mixes_of(TINY)
    encoders = bench.encoders_of(mixes, "cpu", torch.float32)
    packed, padded = encoders["packed"], encoders["padded"]
    torch.testing.assert_close(padded.real(padded.run()), packed.run(), atol=1e-5, rtol=1e-4)
    # a batch of equal squares is what packing does with each of them alone
    squares = encoders["partition, equal pixels"]
    sizes = [rows * columns for rows, columns in squares.grids]
    alone = [
        squares.model(part, [grid]).tokens
        for part, grid in zip(squares.patches.split(sizes), squares.grids, strict=True)
    ]
    torch.testing.assert_close(squares.run(), torch.cat(alone), atol=1e-5, rtol=1e-4)
    # pictures that are equal squares already cost native and fixed encoding the same
    equal = bench.mixes_of(replace(TINY, grids=((3, 3),) * 4))
    assert equal["fixed, equal tokens"].grids == equal["fixed, equal pixels"].grids == equal["packed"].grids


def test_operations_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    encoder = bench.encoders_of(bench.mixes_of(TINY), "cpu", torch.float32)["packed"]
    with (
        torch.no_grad(),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        encoder.run()
    assert bench.forward_flops(TINY) == counter.get_total_flops()


def test_rows_and_ratios():
    found = bench.measure(TINY, 1, 1, "cpu", memory=in_this_process)
    assert found["features"] < 1e-5
    rows = {(row["way"], row["pass"]): row for row in found["rows"]}
    assert set(rows) == {(way, kind) for way in bench.WAYS for kind in PASSES}
    one = rows["fixed, equal pixels", "forward"]
    assert one["side"] == 4 and one["tokens a picture"] == 16 and rows["packed", "forward"]["side"] is None
    assert one["pictures/s"] == 4 / 0.5 and one["tokens/s"] == 16 * 4 / 0.5
    ratios = {line["against"]: line for line in bench.ratios(TINY, found) if line["pass"] == "forward"}
    line = ratios["padded"]
    assert line["peak memory"] == pytest.approx(1 / TINY.padding) and line["memory met"] == (1 / TINY.padding <= 0.6)
    assert line["tokens/s"] == line["pictures/s"] == 1.0 and line["met"] and line["limit"] == ">= 1.00"
    line = ratios["fixed, equal pixels"]
    assert line["tokens/s"] == pytest.approx(TINY.tokens / 64) and line["by operations"] > 64 / TINY.tokens
    assert not line["met"], "squares of more tokens that take as long are faster than their operations say"
    assert ratios["fixed, equal tokens"]["met"] and ratios["fixed, equal tokens"]["memory met"]


def test_ratios_are_of_rounds():
    found = bench.measure(TINY, 3, 1, "cpu", memory=in_this_process)
    for row in found["rows"]:
        row["seconds"] = {"user": [1.0, 10.0, 2.0] if row["way"] == "packed" else [2.0, 20.0, 2.0]}
    assert {line["pictures/s"] for line in bench.ratios(TINY, found)} == {2.0}


def test_the_command_renews_its_block(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "MIXES", {"A": TINY})
    monkeypatch.setattr(bench.torch.cuda, "is_available", lambda: False)
    measured = bench.measure
    monkeypatch.setattr(bench, "measure", lambda *args: measured(*args, memory=lambda *_: None))
    docs, file = tmp_path / "docs.md", tmp_path / "found.json"
    docs.write_text("before\n<!-- native-encoding -->\nold\n<!-- end -->\nafter\n")
    bench.main(["--mix", "A", "--repeats", "1", "--docs", str(docs), "--json", str(file)])
    text = docs.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert (
        "| packed | own | 9 | forward |" in text
        and "unknown" in text
        and "| memory met |" in text
        and "share of peak" not in text
    )
    assert len(json.loads(file.read_text())["found"][0]["rows"]) == len(bench.WAYS) * len(PASSES)


def test_on_a_gpu_the_share_of_peak_is_told(monkeypatch):
    """The CUDA path run on the CPU, in bfloat16, with a stand-in for the device's counters."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 2**20)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**20)
    placed = bench.encoders_of
    monkeypatch.setattr(bench, "encoders_of", lambda mixes, device, dtype: placed(mixes, "cpu", dtype))
    found = bench.measure(TINY, 1, 1, "cuda")
    assert all(row["peak MiB"] == 2 for row in found["rows"])
    text = bench.tables([found], [TINY], {"torch": "x"})
    assert "share of peak" in text and "bfloat16 on CUDA" in text
    assert token_count(TINY.grids) == TINY.tokens


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_measured():
    found = bench.measure(replace(TINY, width=64), 1, 1, "cuda")
    assert all(row["tokens/s"] > 0 and row["peak MiB"] > 0 for row in found["rows"])
