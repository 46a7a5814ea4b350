"""Study 3 on a complete tiny checkpoint in the authors' format and six-item copies of video benchmarks."""

import pytest
import torch

import oryx
from oryx.errors import InputError, MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from tests.benchmark_copies import write_mlvu, write_nextqa, write_videomme
from tests.tiny import save_tiny_released
from workbook.studies.compressor.figures import equal_tokens, score_by_ratio
from workbook.studies.compressor.released import Cell, cells, without_attention
from workbook.studies.compressor.study import PoolingVsDynamicCompression

STUDY = PoolingVsDynamicCompression()
SMALL = {"scale": "paper", "frames": 4, "items": 2}
BENCHMARKS = ("videomme", "mlvu", "nextqa")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    for name, write in zip(BENCHMARKS, (write_videomme, write_mlvu, write_nextqa), strict=True):
        write(folder / name)
    return folder


def run(settings, arm, folder):
    STUDY.run_job(settings, arm, 0, folder / arm, lambda *_: None)
    return read_rows([folder / arm / "rows.jsonl"])


def test_ratios_are_asked_at_equal_frames_with_and_without_attention(settings_of, tmp_path):
    settings = settings_of()
    STUDY.check(settings)
    assert STUDY.arms(settings) == ["average_x2", "dynamic"] and STUDY.prepare(settings, 0) == []
    plain, dynamic = (run(settings, arm, tmp_path) for arm in STUDY.arms(settings))
    assert dynamic["error"].isna().all() and len(dynamic) == 3 * 3 * 2 * 2
    assert set(dynamic["task"]) == {f"{name}_{ratio}x" for name in BENCHMARKS for ratio in (1, 4, 16)}
    assert set(plain["ratio"]) == {4, 16}, "uncompressed it is the released model itself"
    seen = dynamic[dynamic["condition"] == "visual"]
    assert set(seen["frames"]) == {4} and seen.groupby("ratio")["visual_tokens"].mean().is_monotonic_decreasing
    shared = ["item", "condition"]
    both = plain.merge(dynamic, on=shared, suffixes=("", "_dynamic"))
    assert len(both) == len(plain) and (both["visual_tokens"] == both["visual_tokens_dynamic"]).all()
    blind = both["condition"] == "no_visual"
    assert (both[blind]["logprob"] == both[blind]["logprob_dynamic"]).all(), "nothing to compress"
    differ = both[~blind]["logprob"] != both[~blind]["logprob_dynamic"]
    assert differ.mean() > 0.5, "attention counts, if little in plain pictures"
    figure, frame = score_by_ratio(dynamic, ["dynamic"], STUDY.groups(settings))
    assert set(frame["group"]) == set(BENCHMARKS) and len(figure.axes) == 3


def test_without_attention_the_compressor_gives_twice_the_mean(released):
    model = oryx.load(released, dtype=torch.float32)
    tokens = torch.randn(2, 16, model.config.vision_config.hidden_size, generator=torch.Generator().manual_seed(0))
    alike, _ = model.compressor(tokens, (4, 4), 1)
    attended, _ = model.compressor(tokens, (4, 4), 2)
    without_attention(model)
    assert torch.equal(model.compressor(tokens, (4, 4), 1)[0], alike), "at 1x nothing changes"
    plain, grid = model.compressor(tokens, (4, 4), 2)
    means = tokens.view(2, 2, 2, 2, 2, -1).mean((2, 4)).flatten(1, 2)
    torch.testing.assert_close(plain, 2 * means)
    assert grid == (2, 2) and not torch.allclose(plain, attended)


def test_on_demand_every_cell_costs_about_the_same_tokens(settings_of, tmp_path):
    settings = settings_of(panel="on_demand", benchmarks=["nextqa"])
    STUDY.check(settings)
    assert STUDY.arms(settings) == ["on_demand"]
    chosen = cells(STUDY.settings({"scale": "paper"}), "on_demand")
    assert (
        len(chosen) == 9 and Cell(4, 32, 256) in chosen and Cell(1, 32, 128) in chosen and Cell(16, 32, 512) in chosen
    )
    assert {cell.frames * cell.side**2 / cell.ratio for cell in chosen} == {32 * 256**2 / 4}
    rows = run(settings, "on_demand", tmp_path)
    assert rows["error"].isna().all() and len(rows) == 9 * 2 * 2 and rows["item"].nunique() == 18
    figure, frame = equal_tokens(rows)
    assert set(frame["arm"]) == {"1x", "4x", "16x"} and set(frame["input_side"]) == {128, 256, 512} and figure.axes
    assert equal_tokens(rows[:0]).frame.empty


def test_what_the_model_cannot_take_is_refused_with_the_frames_that_fit(settings_of, copies, tmp_path):
    """By the arithmetic of the rows: the largest number of frames that passes is asked without an error."""
    short = save_tiny_released(tmp_path / "short", context=1300)
    settings = settings_of(checkpoint=str(short), frames=4, benchmarks=["nextqa"])
    STUDY.check(settings)
    rows = run(settings, "dynamic", tmp_path)
    assert rows["error"].isna().all() and rows["visual_tokens"].max() > 1000
    with pytest.raises(InputError, match=r"5 frames of 12 x 20 tokens need .* context holds 1300, that is 4 frames"):
        STUDY.check(settings_of(checkpoint=str(short), frames=5, benchmarks=["nextqa"]))


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"checkpoint": ""}, MissingResource, r"released weights .* videomme, mlvu, nextqa; got checkpoint=''"),
        ({"arms": ["dynamic", "mlp"]}, InputError, "scale 'paper' trains nothing, it has average_x2, .* got mlp"),
        ({"benchmarks": ["ocrbench"]}, SettingsError, "unknown benchmark of this study 'ocrbench'"),
        ({"seeds": [1, 2]}, SettingsError, "released weights are one model"),
        ({"ratios": [8]}, InputError, "expected squares"),
        ({"decoder": "decor"}, SettingsError, "decoder"),
    ],
)
def test_what_is_missing_or_contradictory_is_refused_before_any_work(settings_of, values, error, said):
    with pytest.raises(error, match=said):
        STUDY.check(settings_of(**values))
