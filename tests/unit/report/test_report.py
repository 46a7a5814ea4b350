"""Figures, tables, README blocks and the HTML page, from rows alone and without torch."""

import json

import pandas as pd
import pytest

from oryx.errors import SettingsError
from oryx.evidence.stats import summary
from oryx.evidence.verdicts import judge
from tools.docs import readme
from workbook.report import plots, tables
from workbook.report.published import all_hypotheses
from workbook.runs.compare import compare, say

ARMS = ("native", "area_1", "area_1_legible")
GROUPS = {"text": ("number", "word"), "objects": ("photo",)}


def answers(seeds: int = 3, items: int = 18, shift: float = 0.0) -> pd.DataFrame:
    lines = []
    for arm in ARMS:
        for task in ("number", "word", "photo"):
            name = f"{task}_legible" if arm == "area_1_legible" and task != "photo" else task
            for seed in range(seeds):
                for i in range(items):
                    for condition in ("visual", "no_visual"):
                        right = (i * 7 + seed) % 10 < 8 - 3 * (arm == "area_1") - 10 * shift
                        lines.append(
                            {
                                "schema": 1, "study": "native_vs_fixed_resolution", "arm": arm, "condition": condition,
                                "item": f"report/{name}/{i}", "seed": seed, "settings_hash": "s", "weights_hash": "w",
                                "data_hash": "d", "split": "report", "task": name, "cluster": f"{task}{i}",
                                "question": "read",
                                "truth": "a", "answer": "a" if right else "b", "chance": 0.1, "error": None,
                                "score": float(right and condition == "visual"), "seconds": 0.01,
                                "visual_tokens": 30 + 10 * len(arm), "size_bin": list(plots.BINS)[i % 3],
                            }
                        )  # fmt: skip
    return pd.DataFrame(lines)


@pytest.fixture(scope="module")
def rows():
    return answers()


def test_more_arms_than_colours_are_drawn(rows):
    """Past the last colour an arm has another marker."""
    order = [*(f"other_{i}" for i in range(len(plots.COLOURS))), *ARMS]
    for figure, frame in (
        plots.score_by_task(rows, ARMS, order),
        plots.score_by_bin(rows, ARMS, GROUPS, order),
        plots.score_against_tokens(rows, ARMS, GROUPS, order),
    ):
        assert figure.axes and set(frame["arm"]) >= set(ARMS)


def test_every_figure_carries_its_numbers(rows, tmp_path):
    verdicts = judge(rows, "native_vs_fixed_resolution", "nano", all_hypotheses())
    curves = pd.DataFrame(
        [{"arm": a, "seed": s, "step": t, "loss": 1 / (t + 1)} for a in ARMS for s in (0, 1) for t in (1, 2)]
    )
    made = {
        "score_by_task": plots.score_by_task(rows, ARMS),
        "score_by_size": plots.score_by_bin(rows, ARMS, GROUPS),
        "tokens": plots.score_against_tokens(rows, ARMS, GROUPS),
        "curves": plots.training_curves(curves),
        "verdicts": plots.difference_forest(verdicts),
    }
    for name, (figure, frame) in made.items():
        assert len(frame)
        plots.save_figure(figure, frame, tmp_path, name)
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert b"<svg" in (tmp_path / f"{name}.svg").read_bytes()
        assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(frame)
    by_size = made["score_by_size"].frame
    cell = by_size.query("group == 'text' and arm == 'native' and size_bin == 'about'").iloc[0]
    part = rows.query(
        "arm == 'native' and condition == 'visual' and size_bin == 'about' and task in ['number', 'word']"
    )
    assert cell["score"] == pytest.approx(part.groupby("task")["score"].mean().mean())


def test_a_run_without_hypotheses_of_its_scale_is_shown_as_that(tmp_path):
    figure, frame = plots.difference_forest([])
    assert frame.empty and figure.get_suptitle() == "No hypothesis is stated for this scale"
    plots.save_figure(figure, frame, tmp_path, "verdicts")
    assert tables.verdict_table([]).empty and "verdict" in tables.verdict_table([])


def verdict(verdict, **more):
    found = {"verdict": verdict, "kind": "difference", "measure": "score", "margin": 0.05, "statement": verdict}
    return found | {"level": None, "estimate": 0.3, "low": 0.2, "high": 0.4, "id": "H", "by_seed": {}} | more


def test_a_level_stands_against_its_own_line_without_a_sign():
    judged = [
        verdict("supported"),
        verdict("inconclusive", kind="retention", estimate=-0.1),
        verdict("contradicted", kind="level", level=0.9, estimate=0.64, low=0.5, high=0.7),
        verdict("not learned", estimate=None, low=None, high=None),
        verdict("not tested", estimate=None, low=None, high=None),
    ]
    figure, frame = plots.difference_forest(judged)
    (axis,) = figure.axes
    assert len(frame) == 5 and len(axis.get_yticks()) == 4, "what is not tested is not drawn"
    lines = [one.get_segments()[0][0][0] for one in axis.collections if one.get_label() == "line"]
    assert lines == [0, -0.05, 0.9, 0]
    texts = [label.get_text() for label in axis.child_axes[0].get_yticklabels()]
    assert texts[2:] == ["contradicted\n0.640 [0.500, 0.700]", "not learned\n"]
    assert figure.get_suptitle().startswith("Of 4 hypotheses: 1 supported, 1 inconclusive")


def test_a_run_that_tests_nothing_shows_what_was_stated(tmp_path):
    judged = [verdict("not tested", estimate=None, low=None, high=None, statement=name) for name in ("one", "two")]
    figure, frame = plots.difference_forest(judged)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two"]
    assert [label.get_text() for label in axis.child_axes[0].get_yticklabels()] == ["not tested\n"] * 2
    assert figure.get_suptitle() == "No hypothesis is tested by this run"
    plots.save_figure(figure, frame, tmp_path, "verdicts")


def test_log_likelihoods_stand_on_a_scale_of_their_own():
    judged = [
        verdict("supported"),
        verdict("supported", measure="logprob", estimate=2.3, low=2.0, high=2.6, margin=0.1),
    ]
    figure, _ = plots.difference_forest([*judged, judged[0]])
    scores, likelihoods = figure.axes
    assert len(scores.get_yticks()) == 2 and len(likelihoods.get_yticks()) == 1
    assert scores.get_xlim()[1] < 1 < likelihoods.get_xlim()[1] and "log-likelihood" in likelihoods.get_xlabel()


def test_a_task_of_one_arm_among_several_stands_in_the_numbers_alone(rows):
    figure, frame = plots.score_by_task(rows, ARMS)
    shown = [axis.get_title(loc="left") for axis in figure.axes if axis.axison]
    assert shown == [f"{task} (n\xa0=\xa018)" for task in ("number", "word", "photo")] and "number_legible" in set(
        frame["group"]
    )
    alone, _ = plots.score_by_task(rows[rows["arm"] == "native"], ["native"])
    assert len([axis for axis in alone.axes if axis.axison]) == 3


def test_every_row_of_a_panel_is_shaded_up_to_its_own_chance():
    frame = pd.DataFrame({"group": "4x", "arm": ["colour", "sign"], "score": [0.7, 0.3], "low": 0.2, "high": 0.9})
    frame = frame.assign(n=9, chance=[0.25, 0.01], blind=0.0)
    axis = plots.dot_panels(frame, ["colour", "sign"], "at ratio").figure.axes[0]
    assert [bar.get_x() + bar.get_width() for bar in axis.patches] == pytest.approx([0.25, 0.01])


def test_curves_are_means_over_seeds_with_a_band(rows):
    curves = pd.DataFrame(
        [{"arm": a, "seed": s, "step": t, "loss": 1.0 + s, "rate": -t} for a in ARMS for s in (0, 1) for t in (1, 2)]
    )
    longer = {"arm": ARMS[0], "seed": 0, "step": 3, "loss": 0.1, "rate": -3}  # a seed that took a step more
    drawn = plots.training_curves(pd.concat([curves, pd.DataFrame([longer])], ignore_index=True))
    shown = [axis for axis in drawn.figure.axes if axis.axison]
    assert [axis.get_title(loc="left") for axis in shown] == ["native size", "area S²", "area 1 legible"]
    assert all(set(line.get_ydata()) == {1.5} for axis in shown for line in axis.lines if line.get_linestyle() == "-")
    assert shown[0].get_yscale() == "log" and drawn.seen.endswith("mean over 2 seeds.")
    empty = plots.training_curves(curves[:0])
    assert empty.seen == "Nothing was trained."


def test_the_same_rows_give_the_same_files(rows, tmp_path):
    for folder in ("a", "b"):
        plots.save_figure(*plots.score_by_task(rows, ARMS), tmp_path / folder, "figure")
    for kind in ("png", "svg", "csv"):
        assert (tmp_path / "a" / f"figure.{kind}").read_bytes() == (tmp_path / "b" / f"figure.{kind}").read_bytes()


def test_an_arm_keeps_its_colour_whatever_else_is_shown():
    assert plots.style_of("area_1", ARMS) == plots.style_of("area_1", ARMS)
    styles = [tuple(plots.style_of(arm, ARMS).values()) for arm in ARMS]
    assert len(set(styles)) == len(ARMS)


def test_the_score_table_marks_only_what_its_interval_supports(rows):
    table = tables.score_table(rows, ARMS, "native")
    numbers = table[table["task"] == "number"].set_index("arm")
    assert numbers.loc["area_1", "minus native"].startswith("-0.") and numbers.loc["area_1", "minus native"].endswith(
        "*"
    )
    assert numbers.loc["native", "minus native"] == "" and numbers.loc["native", "no picture"] == "0.00"
    equal = rows.assign(score=1.0)
    assert not tables.score_table(equal, ARMS, "native")["minus native"].str.endswith("*").any()


def test_the_control_table_compares_legible_with_plain_text(rows):
    table = tables.control_table(rows, "area_1", "area_1_legible")
    assert table["task"].tolist() == ["number", "word"]
    assert table.iloc[0]["area_1_legible, legible text"].startswith("0.67 [")


def test_an_arm_trained_blind_is_shown_beside_every_score(rows):
    blind = rows[(rows["arm"] == "native") & (rows["condition"] == "no_visual")]
    blind = blind.assign(arm="blind", score=(blind["task"] == "number") * 0.25)
    table = tables.score_table(pd.concat([rows, blind]), ARMS, "native")
    assert set(table.loc[table["task"] == "number", "trained blind"]) == {"0.25"}
    assert set(table.loc[table["task"] == "word", "trained blind"]) == {"0.00"}
    assert set(tables.score_table(rows, ARMS, "native")["trained blind"]) == {""}
    figure, _ = plots.score_by_task(pd.concat([rows, blind]), ARMS, (*ARMS, "blind"))
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "trained blind"]
    assert next(iter(line.get_xdata())) == 0.25


def test_the_match_table_sets_a_foreign_resolution_beside_ones_own(rows):
    assert tables.match_table(rows).empty
    native = rows[(rows["arm"] == "native") & (rows["condition"] == "visual") & (rows["task"] == "word")]
    table = tables.match_table(pd.concat([rows, native.assign(condition="at_area_1", score=0.125)]))
    (line,) = table.to_dict("records")
    assert (line["task"], line["trained at"], line["asked at"]) == ("word", "native", "area_1")
    assert line["score"].startswith("0.1") and line["asked as trained"] != line["score"]
    seen = tables.score_table(rows, ARMS, "native").set_index(["task", "arm"])["score"]
    assert line["asked as trained"].startswith(seen["word", "native"])
    assert line["the arm trained there"].startswith(seen["word", "area_1"])


def test_a_run_is_compared_with_the_published_one(rows):
    same = compare(rows, rows)
    cells = len(same)
    assert same["same"].all() and f"{cells} of {cells} cells within tolerance; cells that differ: 0" in say(same)
    assert say(same).endswith("by chance alone up to 1 (5%): as expected.")
    other = compare(answers(shift=0.5), rows)
    assert not other["same"].all() and "native, visual, number" in say(other)
    assert "up to 1 (5%): more than expected." in say(other)


def test_a_cell_without_an_interval_has_the_least_tolerance(rows):
    one = rows.assign(cluster="c")
    table = compare(one, one)
    assert table["same"].all() and set(table["tolerance"]) == {0.02}, "one cluster gives no interval"
    assert not compare(one.assign(score=1.0), one.assign(score=0.0))["same"].any()


def test_readme_blocks_are_filled_and_checked(rows, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "results" / "study" / "nano"
    folder.mkdir(parents=True)
    blocks = "<!-- results:study/nano:verdicts -->\nold\n<!-- end -->\n<!-- results:study/nano:scores -->\n<!-- end -->"
    text = f"# T\n{blocks}\n"
    (tmp_path / "README.md").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert "Nothing is published" in readme.filled(text, tmp_path / "results")
    (folder / "verdicts.json").write_text(
        json.dumps(judge(rows, "native_vs_fixed_resolution", "nano", all_hypotheses()))
    )
    summary(rows).to_csv(folder / "table.csv", index=False)
    (folder / "manifest.json").write_text("{}")
    assert readme.main(["--check"]) == 1
    assert readme.main([]) == 0 and readme.main(["--check"]) == 0
    filled = (tmp_path / "README.md").read_text()
    assert "H1a.equal.nano" in filled and "| native size |" in filled and "old" not in filled
    with pytest.raises(SettingsError, match="README block"):
        readme.filled("<!-- results:study/nano:nonsense -->\n<!-- end -->", tmp_path / "results")


def test_the_control_table_says_that_an_arm_was_not_run(rows):
    table = tables.control_table(rows, "area_9", "area_1_legible")
    assert set(table["area_9, plain text"]) == {"not run"}
