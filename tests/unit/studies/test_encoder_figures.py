"""Figures of the encoder study on made-up records whose values are known."""

import io

import numpy as np
import pandas as pd
import pytest

from workbook.report.plots import style_of
from workbook.studies.encoders import figures

ORDER = ("siglip", "control", "oryxvit")


def records(seeds=(0, 1)) -> pd.DataFrame:
    made = []
    for seed in seeds:
        for number, name in enumerate(ORDER):
            value = 0.2 + 0.2 * number + 0.02 * seed
            common = {"encoder": name, "low": value - 0.1, "high": value + 0.1, "n": 50, "seed": seed, "value": value}
            for kind in ("retrieval", "retrieval rank"):
                for size in ("fixed", "native"):
                    for family in ("words", "new concepts"):
                        more = {"reader": "linear", "input": size, "x": family, "chance": 0.02}
                        made.append({"probe": kind, **common, **more})
            made += [{"probe": "patch reading", **common, "x": size, "chance": 0.1} for size in ("fixed", "native")]
            for kind, values in (("area", (0.25, 1.0, 4.0)), ("aspect", (1.0, 2.0, 6.0))):
                for x in values:
                    grid = {"grid": [3, round(3 * x)]}
                    made.append({"probe": f"similarity by {kind}", **common, **grid, "x": x, "floor": 0.01})
                    made.append({"probe": f"match by {kind}", **common, **grid, "x": x, "chance": 0.02})
            for layer in (1, 2):
                for grid, uniform in (([3, 3], 1.5), ([6, 6], 3.0)):
                    distance = {"value": uniform * value, "low": uniform * value, "high": uniform * value}
                    more = {"grid": grid, "x": layer, "uniform": uniform}
                    made.append({"probe": "attention distance", **common, **distance, **more})
        own = {"encoder": "siglip", "reader": "own head", "input": "fixed", "low": 0.5, "high": 0.7, "n": 50}
        made.append({"probe": "retrieval", **own, "x": "words", "value": 0.6, "seed": seed, "chance": 0.02})
    return pd.DataFrame(made)


def test_seeds_are_put_together_with_the_widest_bounds():
    found = figures.over_seeds(records())
    line = found[(found["probe"] == "patch reading") & (found["encoder"] == "control") & (found["x"] == "native")]
    assert len(line) == 1
    assert line.iloc[0][["value", "low", "high", "seeds", "chance"]].tolist() == pytest.approx(
        [0.41, 0.3, 0.52, 2, 0.1]
    )
    distance = found[(found["probe"] == "attention distance") & (found["encoder"] == "siglip")]
    assert sorted(set(distance["grid"])) == ["[3, 3]", "[6, 6]"] and len(distance) == 4


def test_the_figure_shows_every_probe_and_its_numbers():
    drawn = figures.probes_figure(records(), ORDER), figures.probes_figure(records(), ORDER, figures.CHANGES)
    axes = [axis for figure, _ in drawn for axis in figure.axes]
    panels = dict(zip({**figures.READINGS, **figures.CHANGES}, axes, strict=True))
    titles = [title for title, *_ in (*figures.READINGS.values(), *figures.CHANGES.values())]
    assert [axis.get_title(loc="left") for axis in axes] == titles
    assert {"match by area", "match by aspect"} <= set(drawn[0].frame["probe"])
    colour = style_of("oryxvit", ORDER)["color"]
    curve = [
        line for line in panels["similarity by area"].lines if line.get_color() == colour and len(line.get_xdata())
    ]
    assert any(np.allclose(line.get_ydata(), 0.61) for line in curve)
    dashes = [line for line in panels["similarity by area"].lines if line.get_linestyle() == "--"]
    assert any(np.allclose(line.get_ydata(), 0.01) for line in dashes), "the floor"
    far = [line for line in panels["attention distance"].lines if line.get_color() == colour]
    assert all(np.allclose(line.get_ydata(), 0.61) for line in far if len(line.get_ydata())), "shares of the uniform"
    marks = {line.get_marker(): line.get_xdata() for line in panels["retrieval"].lines if len(line.get_xdata())}
    assert {"o", "s", "D", "x"} <= set(marks) and 0.6 in marks["x"]
    hollow = [line for line in panels["retrieval"].lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2 * len(ORDER), "the fixed square, of two kinds of captions"
    names = ["SigLIP", "continued SigLIP", "OryxViT"]
    assert [text.get_text() for text in drawn[0].figure.legends[0].get_texts()][:3] == names
    assert drawn[1].seen.startswith("OryxViT is highest in every condition. It scores 0.61")


def test_a_frame_read_back_from_its_file_gives_the_same_figure():
    first = records()
    again = pd.read_csv(io.StringIO(first.to_csv(index=False)))
    drawn = []
    for frame in (first, again):
        figure, _ = figures.probes_figure(frame, ORDER)
        lines = (line for axis in figure.axes for line in axis.lines)
        drawn.append(
            [
                (line.get_linestyle(), line.get_color(), *np.nan_to_num(line.get_xydata()).ravel().tolist())
                for line in lines
            ]
        )
    assert len(drawn[0]) > 15 and drawn[0] == drawn[1]


def test_probes_that_are_missing_leave_their_panel_empty():
    some = records((0,))
    figure, _ = figures.probes_figure(
        some[some["probe"].isin(["patch reading"]) & (some["encoder"] != "control")], ORDER
    )
    assert [axis.axison for axis in figure.axes] == [False, False, True]
    assert "continued SigLIP" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_aspects_fall_into_their_bins():
    found = figures.aspect_bin(pd.Series([1.0, 1.99, 2.0, 3.9, 4.0, 12.0, None]))
    assert found[:6].tolist() == ["1-2", "1-2", "2-4", "2-4", "4+", "4+"] and pd.isna(found[6])


def test_scores_by_aspect():
    lines = [
        {
            "arm": arm, "task": task, "condition": condition, "item": f"{task}{i}", "cluster": f"{task}{i}", "seed": 0,
            "score": float((i < 6) == (arm == "native")), "aspect": (1.2, 2.5, 5.0)[i // 4], "error": None,
            "chance": 0.0, "visual_tokens": 9,
        }
        for arm in ("native", "fixed") for task in ("number", "word") for condition in ("visual", "no_visual")
        for i in range(12)
    ]  # fmt: skip
    figure, frame = figures.score_by_aspect(pd.DataFrame(lines), ("native", "fixed"), {"text": ("number", "word")})
    scores = frame.set_index(["arm", "aspect_bin"])["score"]
    assert scores["native"].tolist() == [1.0, 0.5, 0.0] and scores["fixed"].tolist() == [0.0, 0.5, 1.0]
    titles = [axis.get_title(loc="left").partition(" (")[0] for axis in figure.axes]
    assert titles == [f"text, {label}" for label in figures.ASPECTS.values()]
