"""Tables and figures of the needle study on made-up rows whose scores are known."""

import pandas as pd
import pytest

from workbook.studies.needle import figures, tables

ORDER = ("retrieval", "short_tokens")
RIGHT = {"retrieval": {16: 1.0, 50: 1.0, 400: 0.5, 1600: 0.25}, "short_tokens": {16: 1.0, 50: 0.25}}


def row(arm, length, depth, index, condition, score, **more):
    return {
        "arm": arm, "seed": 0, "item": f"{length}/{depth}/{index}", "condition": condition, "variant": "number",
        "length": length, "depth": depth, "score": score, "chance": 0.01, "answer": "12" if score else "21",
        "truth": "12", "logprob": -1.0, "error": None, "visual_tokens": 3 * length, "seconds": 0.1, "side": 4,
        "longest_trained": 400 if arm == "retrieval" else 16, "task": f"number_{length}", "cluster": f"{depth}/{index}",
        **more,
    }  # fmt: skip


@pytest.fixture
def rows():
    made = []
    for arm, lengths in RIGHT.items():
        for length, share in lengths.items():
            for depth in (0.0, 1.0) if length < 1600 else (0.0,):
                for index in range(4):
                    made.append(row(arm, length, depth, index, "visual", float(index < 4 * share)))
                    made.append(row(arm, length, depth, index, "no_visual", 0.0))
    return pd.DataFrame(made)


def test_shares_have_intervals_chance_and_the_blind_control(rows):
    found = tables.shares(rows, ("arm", "length")).set_index(["arm", "length"])
    assert found.loc[("retrieval", 400), "score"] == 0.5 and found.loc[("retrieval", 400), "items"] == 8
    assert (found["low"] <= found["score"]).all() and (found["score"] <= found["high"]).all()
    assert (found["no_video"] == 0).all() and (found["chance"] == 0.01).all()


def test_seeds_of_one_trial_do_not_narrow_the_interval(rows):
    more = pd.concat([rows, rows.assign(seed=1), rows.assign(seed=2)])
    one, three = (tables.shares(part, ("arm", "length")) for part in (rows, more))
    pd.testing.assert_frame_equal(one.drop(columns="seeds"), three.drop(columns="seeds"))


def test_the_heat_map_hatches_what_was_not_asked(rows):
    figure, frame = figures.heat_map(rows, ORDER)
    upper, lower = figure.axes[0], figure.axes[2]
    assert upper.patch.get_hatch() and lower.patch.get_hatch(), "what no cell covers shows the hatching"
    cells = [axis.collections[0].get_array() for axis in (upper, lower)]
    assert cells[0].filled(-1).tolist() == [[1, 1, 0.5, 0.25], [1, 1, 0.5, -1]]
    assert cells[1].mask.sum() == 4, "missing cells of the 2 x 4 grid"
    assert [text.get_text() for text in upper.texts] == ["1.00", "1.00", "0.50", "0.25", "1.00", "1.00", "0.50"]
    assert set(frame.columns) >= {"arm", "length", "depth", "score", "low", "high", "items", "no_video"}


def test_the_break_is_where_half_of_the_easy_score_is_lost(rows):
    table = tables.break_table(rows).set_index("arm")
    assert table.loc["retrieval", "keeps half to, frames"] == 400
    assert table.loc["retrieval", "below half from, frames"] == 1600
    assert table.loc["short_tokens", "below half from, frames"] == 50
    easy = tables.break_table(rows[rows["length"] == 16])
    assert set(easy["below half from, frames"]) == {"not reached"}
    never = tables.break_table(rows.assign(score=0.0))
    assert set(never["keeps half to, frames"]) == {"none"} and set(never["below half from, frames"]) == {16}


def test_the_effective_length_is_where_too_much_of_the_easy_score_is_lost():
    right = {16: 19, 50: 20, 400: 17, 1600: 9}  # of 20
    made = [
        row("retrieval", n, depth, i, "visual", float(i < share), task=f"number_{n}", cluster=f"{depth}/{i}")
        for n, share in right.items()
        for depth in (0.0, 1.0)
        for i in range(20)
    ]
    (line,) = tables.effective_length_table(pd.DataFrame(made)).to_dict("records")
    assert line["effective length, frames"] == 400 and line["score at 16 frames"] == "0.95"
    assert (line["50"], line["400"], line["1,600"]) == ("1.05", "0.89", "0.47")
    assert line["surely"] == 50, "17 of 20 are within chance of 85 % of 19"
    (alone,) = tables.effective_length_table(pd.DataFrame(made).assign(cluster="own video")).to_dict("records")
    assert alone["effective length, frames"] == 400 and alone["surely"] == ""


def test_the_audit_pairs_spliced_and_complete_videos(rows):
    whole = [row("retrieval", 50, 0.0, i, "complete_file", float(i > 0)) for i in range(4)]
    table = tables.audit_table(pd.concat([rows, pd.DataFrame(whole)]))
    assert table.iloc[0]["trials"] == 4 and table.iloc[0]["same answer"] == 0.75
    assert (table.iloc[0]["right, spliced"], table.iloc[0]["right, complete file"]) == (1.0, 0.75)


def test_other_questions_tell_right_from_sensible(rows):
    answers = ["red", "blue", "12", "red"]
    asked = [
        row("retrieval", 50, 0.0, i, "other_question", float(a == "red"), answer=a, truth=("red", "blue")[i % 2])
        for i, a in enumerate(answers)
    ]
    table = tables.other_question_table(pd.DataFrame(asked))
    assert table.iloc[0]["sensible"] == "0.75" and table.iloc[0]["right"].startswith("0.50 [")


@pytest.mark.parametrize("draw", [figures.score_by_length, figures.score_by_context])
def test_the_other_figures_draw_every_arm(rows, draw):
    figure, frame = draw(rows, ORDER)
    assert set(frame["arm"]) == set(ORDER) and figure.axes
