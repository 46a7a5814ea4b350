"""Tables and figures of the connector study on made-up rows whose scores are known."""

import pandas as pd
import pytest

from workbook.report.plots import group_scores
from workbook.report.seen import frontier
from workbook.studies.compressor import figures, tables

ORDER = ("average", "dynamic", "average_only_4x", "on_demand")
SHARES = {("average", 4): 0.5, ("average", 16): 0.25, ("dynamic", 4): 0.75, ("dynamic", 16): 0.5}
SHARES |= {("average_only_4x", 4): 1.0}
KINDS = ("sign", "move")


def row(arm, ratio, kind, film, score, condition="visual", **more):
    return {
        "arm": arm, "seed": 0, "condition": condition, "item": f"dev/short/{film}/{kind}/{ratio}x",
        "cluster": f"f{film}", "task": f"{kind}_{ratio}x", "kind": kind, "ratio": ratio, "length": "short",
        "score": float(score), "error": None, "chance": 0.25, "visual_tokens": 320 // ratio, "seconds": 0.1, **more,
    }  # fmt: skip


@pytest.fixture
def rows():
    made = []
    for (arm, ratio), share in SHARES.items():
        for kind in KINDS:
            made += [row(arm, ratio, kind, film, film < 8 * share) for film in range(8)]
            made += [row(arm, ratio, kind, film, 0, "no_visual") for film in range(8)]
        for when, cka in (("start", 0.9), ("trained", 0.6 if arm == "average" else 0.8)):
            shift = {"shift_cka": cka, "shift_mean": 0.1, "shift_variance": 0.5, "shift_rank": 6.0}
            made += [
                row(arm, ratio, "shift", film, cka, f"shift_{when}", **shift, shift_full_rank=12.0) for film in range(3)
            ]
    return pd.DataFrame(made)


def test_group_scores_weigh_questions_equally_and_carry_the_controls(rows):
    extra = pd.DataFrame([row("average", 4, "sign", film, 1) for film in range(100, 140)])
    frame = group_scores(pd.concat([rows, extra]), ORDER, {"all": KINDS}, "ratio", (4, 16), "kind")
    frame = frame.set_index(["arm", "ratio"])
    assert frame.loc[("dynamic", 4), "score"] == 0.75 and frame.loc[("dynamic", 4), "n"] == 16
    assert frame.loc[("average", 4), "score"] == pytest.approx((44 / 48 + 0.5) / 2), "not by the number of films"
    assert (frame["low"] <= frame["score"]).all() and (frame["blind"] == 0).all() and (frame["chance"] == 0.25).all()
    assert ("average_only_4x", 16) not in frame.index, "an arm is not asked what it was not trained at"


def test_figures_draw_every_arm(rows):
    arms = ORDER[:3]
    for figure, frame in (
        figures.score_by_ratio(rows, arms, {"fine": ("sign",), "coarse": ("move",)}),
        figures.score_by_kind(rows, arms),
        figures.shift_figure(rows, arms),
    ):
        assert set(frame["arm"]) == set(arms) and figure.axes


def test_shifts_tell_the_start_from_the_end(rows):
    frame = tables.shifts(rows, ORDER).set_index(["arm", "ratio", "when"])
    assert frame.loc[("average", 4, "start"), "shift_cka"] == pytest.approx(0.9)
    assert frame.loc[("average", 4, "trained"), "shift_cka"] == pytest.approx(0.6)
    assert (frame["shift_rank_share"] == 0.5).all()
    table = tables.reason_table(rows, ORDER).set_index(["arm", "ratio"])
    assert (
        table.loc[("dynamic", "4x"), "CKA trained"] == "0.800" and table.loc[("dynamic", "4x"), "score"][:5] == "0.750"
    )


def test_sharing_is_the_gap_to_the_model_of_one_ratio(rows):
    table = tables.sharing_table(rows)
    assert len(table) == 1 and table.iloc[0]["sharing costs"] == "+0.500" and table.iloc[0]["ratio"] == "4x"
    assert tables.sharing_table(rows[rows["arm"] != "average_only_4x"]).empty


def test_lengths_stand_side_by_side(rows):
    long = rows[rows["condition"] == "visual"].assign(length="long", score=1.0)
    table = tables.length_table(pd.concat([rows, long]), ("dynamic",)).set_index("ratio")
    assert table.loc["4x", "short"].startswith("0.750") and table.loc["4x", "long"].startswith("1.000")


CELLS = {  # (ratio, side, frames) -> (score of 8 films, tokens)
    (1, 64, 24): (8, 1754), (4, 64, 24): (7, 506), (16, 64, 24): (4, 170), (1, 64, 4): (3, 294), (4, 32, 24): (4, 170),
    (16, 32, 4): (2, 14),
}  # fmt: skip


@pytest.fixture
def demanded():
    made = []
    for (ratio, side, frames), (right, tokens) in CELLS.items():
        usual = (side, frames) == (64, 24)
        seen = {"input_side": side, "frames": frames, "encode_seconds": 0.01 * frames, "held_kb": 8.0 * tokens}
        for kind in KINDS:
            for film in range(16 if usual else 8):  # the usual cell is asked about more films
                score = (film * 3) % 8 < right
                condition = "visual" if usual else f"at_{side}px_{frames}f"
                one = row("on_demand", ratio, kind, film, score, condition, **seen, length="long")
                made.append({**one, "visual_tokens": tokens})
    return pd.DataFrame(made)


def test_cells_are_compared_on_the_same_films(demanded):
    frame = tables.cell_scores(tables.on_demand_rows(demanded)).set_index(tables.CELL)
    assert len(frame) == len(CELLS) and frame.loc[(4, 64, 24), "score"] == 7 / 8
    assert frame.loc[(1, 64, 4), "seconds_a_film"] == pytest.approx(0.1 + 0.04)
    assert frame.loc[(16, 64, 24), "held_mb"] == pytest.approx(8 * 170 / 1024)


def test_the_frontier_holds_what_no_cheaper_cell_reaches(demanded):
    frame = tables.cell_scores(tables.on_demand_rows(demanded))
    best = frontier(frame, "visual_tokens")
    assert best["visual_tokens"].tolist() == [14, 170, 506, 1754] and best["score"].is_monotonic_increasing
    figure, drawn = figures.on_demand_figure(demanded)
    assert len(figure.axes) == 3 and len(drawn) == len(CELLS)


def test_the_recommendation_is_the_best_that_fits_and_is_scored_on_other_films(demanded):
    table = tables.recommendation(demanded).set_index(["question", "tokens at most"])
    assert table.loc[("all", 64), "recommended"] == "16x, 32 px, 4 frames"
    assert table.loc[("sign", 512), "recommended"] == "4x, 64 px, 24 frames"
    assert table.loc[("all", 2048), "videos"] == 4, "half of those asked everywhere"
    auto = table["auto"].unstack("question")["all"]
    assert auto[2048] == "1x, 64 px, 24 frames" and auto[512] == "4x, 64 px, 24 frames"


def test_the_regret_of_compressing_least(demanded):
    table = tables.ratio_regret(demanded).set_index("tokens at most")
    assert table.loc[2048, "largest loss"] == 0
    worse = demanded.assign(score=demanded["score"].where(demanded["ratio"] > 1, 0.0))
    assert tables.ratio_regret(worse).set_index("tokens at most").loc[2048, "largest loss"] == pytest.approx(7 / 8)


def test_a_run_without_the_panel_gives_empty_tables(rows):
    rows = rows.assign(input_side=32, frames=8, held_kb=1.0)
    assert tables.recommendation(rows).empty and tables.ratio_regret(rows).empty
    assert figures.on_demand_figure(rows).frame.empty


def test_a_run_without_the_panel_shows_published_rows(rows, demanded):
    assert tables.rows_to_show(demanded, [])[0] is demanded
    shown, whose = tables.rows_to_show(rows, [rows, demanded])
    assert shown is demanded and "published" in whose
    nothing, words = tables.rows_to_show(rows, [rows])
    assert nothing is rows and "run with" in words
