"""Verdicts: every kind and outcome on rows made for it, and a strict reading of the hypotheses."""

import json
import re

import pandas as pd
import pytest

from oryx.errors import RunError, SettingsError
from oryx.evidence.hypotheses import Gate, Hypothesis, load_hypotheses
from oryx.evidence.verdicts import judge
from tests.unit.evidence.builders import failed, row
from workbook.report.published import direction

ITEMS = 60
SEEDS = (0, 1, 2)
NAMED = {"id": "H1.nano", "scale": "nano", "study": "demo", "paper": "H1", "statement": "s"}


def rows_of(shares: dict, seeds=SEEDS, items: int = ITEMS, **fields) -> list[dict]:
    """Rows in which (arm, task) has about this share right; a higher share is right wherever a lower one is.

    The seeds differ by one item, so that neither seeds nor items are without variation.
    """
    return [
        row(f"{task}-{i}", arm, seed, float(i < share * items + seed), task=task, chance=0.1, **fields)
        for (arm, task), share in shares.items()
        for seed in seeds
        for i in range(items)
    ]


def hypothesis(kind: str = "difference", arms=("a", "b"), tasks=("text",), **fields) -> Hypothesis:
    return Hypothesis(**{**NAMED, "kind": kind, "arms": tuple(arms), "tasks": tuple(tasks), **fields})


def one(rows, entry: Hypothesis, scale: str = "nano") -> dict:
    (verdict,) = judge(pd.DataFrame(rows), "demo", scale, [entry])
    return verdict


@pytest.mark.parametrize(
    ("a", "b", "verdict"), [(0.8, 0.3, "supported"), (0.3, 0.8, "contradicted"), (0.5, 0.46, "inconclusive")]
)
def test_difference(a, b, verdict):
    found = one(rows_of({("a", "text"): a, ("b", "text"): b}), hypothesis())
    assert found["verdict"] == verdict and found["estimate"] == pytest.approx(a - b, abs=1 / ITEMS)
    assert found["low"] < found["estimate"] < found["high"]
    assert (found["n_items"], found["n_clusters"], found["seeds"]) == (ITEMS, ITEMS, 3)
    assert (found["scale"], found["split"], found["paper_value"]) == ("nano", "report", "not found")


@pytest.mark.parametrize(("last", "verdict"), [(0.2, "supported"), (0.9, "contradicted"), (0.5, "inconclusive")])
def test_contrast_of_four_arms(last, verdict):
    """(a - b) - (c - d), where only c differs from the others."""
    rows = rows_of({("a", "text"): 0.5, ("b", "text"): 0.5, ("c", "text"): last, ("d", "text"): 0.5})
    found = one(rows, hypothesis("contrast", arms="abcd", weights=(1.0, -1.0, -1.0, 1.0)))
    assert found["verdict"] == verdict and found["estimate"] == pytest.approx(0.5 - last, abs=1 / ITEMS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            'kind = "contrast"\narms = ["a", "b"]\nweights = [1.0]',
            r"weights: expected one .* got \[1.0\]",
        ),
        (
            'kind = "contrast"\narms = ["a", "b"]\nweights = [0, 0]',
            r"weights: .* not all zero, got \[0.0, 0.0\]",
        ),
        ('kind = "contrast"\narms = ["a", "b"]', "weights: contrast needs this field"),
        ('kind = "difference"\narms = ["a", "b"]\nweights = [1.0, -1.0]', "weights: difference does not have it"),
    ],
)
def test_weights_of_a_contrast_are_checked(tmp_path, fields, message):
    path = tmp_path / "h.toml"
    path.write_text(f'[[hypothesis]]\nid = "X"\nstudy = "s"\npaper = "p"\nstatement = "t"\ntasks = ["x"]\n{fields}\n')
    with pytest.raises(SettingsError, match=message):
        load_hypotheses(path)


@pytest.mark.parametrize(
    ("share", "margin", "verdict"),
    [(0.5, 0.2, "supported"), (0.1, 0.2, "contradicted"), (0.45, 0.01, "inconclusive")],
)
def test_equivalence(share, margin, verdict):
    rows = rows_of({("a", "text"): 0.5, ("b", "text"): share})
    assert one(rows, hypothesis("equivalence", margin=margin))["verdict"] == verdict


def test_a_sure_difference_too_small_to_matter_is_none_that_matters():
    rows = rows_of({("a", "text"): 0.5, ("b", "text"): 0.47}, items=1000)
    found = one(rows, hypothesis(margin=0.1))
    assert found["verdict"] == "no difference that matters" and found["low"] > 0
    assert one(rows, hypothesis(margin=0.01))["verdict"] == "supported"


@pytest.mark.parametrize(
    ("shares", "verdict", "smallest"),
    [
        ((0.2, 0.5, 0.9), "supported", 0.3),
        ((0.2, 0.9, 0.5), "contradicted", -0.4),
        ((0.2, 0.9, 0.9), "inconclusive", 0.0),
    ],
)
def test_order_is_as_good_as_its_smallest_step(shares, verdict, smallest):
    rows = rows_of({(arm, "text"): share for arm, share in zip("abc", shares, strict=True)})
    found = one(rows, hypothesis("order", "abc"))
    assert found["verdict"] == verdict and found["estimate"] == pytest.approx(smallest, abs=1e-9)
    assert "a to b" in found["reason"] and "b to c" in found["reason"]
    assert found["alpha"] == 0.05


@pytest.mark.parametrize(
    ("gap", "other", "verdict"), [(0.6, 0.0, "supported"), (0.0, 0.6, "contradicted"), (0.3, 0.3, "inconclusive")]
)
def test_interaction(gap, other, verdict):
    shares = {("b", "text"): 0.2, ("a", "text"): 0.2 + gap, ("b", "shape"): 0.2, ("a", "shape"): 0.2 + other}
    found = one(rows_of(shares), hypothesis("interaction", other_tasks=("shape",)))
    assert found["verdict"] == verdict and found["estimate"] == pytest.approx(gap - other, abs=1e-9)


@pytest.mark.parametrize(("level", "verdict"), [(0.4, "supported"), (0.6, "inconclusive"), (0.9, "contradicted")])
def test_level(level, verdict):
    found = one(rows_of({("a", "text"): 0.6}), hypothesis("level", "a", level=level))
    assert found["verdict"] == verdict


def test_gate_asks_every_arm_to_leave_chance_on_every_task_by_the_mean_over_seeds():
    easy = {("a", "easy"): 0.9, ("b", "easy"): 0.1}
    rows = rows_of({("a", "text"): 0.8, ("b", "text"): 0.2, **easy})
    entry = hypothesis(gate=Gate(arms=("a", "b"), tasks=("easy",)))
    found = one(rows, entry)
    assert found["verdict"] == "not learned" and found["estimate"] is None
    assert found["gate"] == "failed: not above chance by 0.1: b easy +0.017"
    # One seed of arm b learns: the plateau was left, all seeds count.
    for r in rows:
        if (r["arm"], r["task"], r["seed"]) == ("b", "easy", 2):
            r["score"] = 1.0
    found = one(rows, entry)
    assert found["verdict"] == "supported" and found["gate"].startswith("passed") and found["seeds"] == 3
    assert one(rows, hypothesis())["gate"] == "none"


def test_gate_and_comparison_use_their_own_filters():
    shares = {("a", "text"): 0.8, ("b", "text"): 0.3}
    small = rows_of(shares, size_bin="small")
    large = [{**r, "item": f"large-{r['item']}", "score": 0.0} for r in rows_of(shares, size_bin="large")]
    blind = [{**r, "condition": "no_visual", "score": 0.0} for r in small]
    rows = small + large + blind
    where = {"condition": "visual", "size_bin": "small"}
    assert one(rows, hypothesis(where=where))["n_items"] == ITEMS
    assert one(rows, hypothesis(where={"condition": "visual", "size_bin": ["small", "large"]}))["n_items"] == 2 * ITEMS
    gate = Gate(arms=("a", "b"), tasks=("text",), where=where | {"size_bin": "large"})
    assert one(rows, hypothesis(gate=gate))["verdict"] == "not learned"
    lacking = one(rows, hypothesis(where={"aspect": 1}))
    assert (lacking["verdict"], lacking["reason"]) == ("not tested", "rows have no field 'aspect'")


def test_a_gate_asks_under_the_conditions_of_its_hypothesis():
    """An arm that was asked everything is compared where the other was asked too, also by the gate."""
    shares = {("a", "text"): 0.8, ("b", "text"): 0.3}
    both = rows_of(shares, depth=0.5)
    more = [{**r, "item": f"more-{r['item']}"} for r in rows_of({("a", "text"): 0.8}, depth=0.25)]
    gate = Gate(arms=("a", "b"), tasks=("text",))
    assert one(both + more, hypothesis(gate=gate))["verdict"] == "not tested"
    where = {"condition": "visual", "depth": 0.5}
    assert one(both + more, hypothesis(gate=gate, where=where))["verdict"] == "supported"


def test_alike_is_a_verdict_where_both_have_learned_and_none_where_both_lie_on_the_floor():
    seeing = one(rows_of({("a", "text"): 0.6, ("b", "text"): 0.6}, items=1000), hypothesis())
    assert seeing["verdict"] == "no difference that matters" and -0.05 < seeing["low"] < 0 < seeing["high"] < 0.05
    blind = rows_of({("a", "text"): 0.15, ("b", "text"): 0.15}, items=1000)
    floor = one(blind, hypothesis())
    assert (floor["verdict"], floor["low"] > -0.05) == ("inconclusive", True)
    assert floor["reason"] == "inside the margin of 0.05, but not learned: a text +0.051, b text +0.051"
    assert floor["seeds_needed"] is None and seeing["seeds_needed"] == 3, "no number of seeds teaches them"
    assert one(blind, hypothesis("equivalence"))["verdict"] == "inconclusive", "so it is where it was claimed"
    same = dict.fromkeys([("a", "text"), ("b", "text"), ("c", "text")], 0.6)
    assert one(rows_of(same, items=1000), hypothesis("order", arms="abc"))["verdict"] == seeing["verdict"]


def test_claims_and_additions_share_alpha_among_themselves_only():
    rows = pd.DataFrame(rows_of({("a", "text"): 0.8, ("b", "text"): 0.3}))
    stated = [hypothesis(id=f"H{i}", family="claim" if i < 2 else "addition") for i in range(5)]
    found = judge(rows, "demo", "nano", stated)
    assert [v["alpha"] for v in found] == pytest.approx([0.05 / 2] * 2 + [0.05 / 3] * 3)
    assert [v["family"] for v in found] == ["claim"] * 2 + ["addition"] * 3


def test_tasks_of_an_average_are_judged_alone_beside_it():
    shares = {("a", "text"): 0.9, ("b", "text"): 0.3, ("a", "shape"): 0.3, ("b", "shape"): 0.7}
    found = one(rows_of(shares), hypothesis(tasks=("text", "shape")))
    assert {task: v["verdict"] for task, v in found["by_task"].items()} == {
        "text": "supported",
        "shape": "contradicted",
    }
    assert found["by_task"]["shape"]["estimate"] == pytest.approx(-0.4, abs=1 / ITEMS)
    assert one(rows_of(shares), hypothesis())["by_task"] == {}


def test_the_log_likelihood_is_a_measure_and_the_score_says_what_was_learned():
    rows = rows_of({("a", "text"): 0.6, ("b", "text"): 0.6})
    better = [{**r, "logprob": -1.0 - (r["arm"] == "b") - 0.01 * (int(r["item"][5:]) % 3)} for r in rows]
    entry = hypothesis(measure="logprob", margin=0.1)
    found = one(better, entry)
    assert found["verdict"] == "supported" and found["estimate"] == pytest.approx(1.0) and found["measure"] == "logprob"
    assert one(rows, entry)["verdict"] == "no difference that matters"
    deep = [{**r, "logprob": -1e6 if r["arm"] == "b" else -1.0} for r in rows]
    assert one(deep, entry)["estimate"] == pytest.approx(19.0), "cut at -20"
    assert one([{**r, "logprob": None} for r in rows], entry)["reason"].startswith("rows without a log-likelihood")


def test_an_arm_is_addressed_as_it_was_asked_under_another_condition():
    rows = rows_of({("a", "text"): 0.8, ("b", "text"): 0.3})
    asked = [{**r, "condition": "at_b"} for r in rows_of({("a", "text"): 0.3})]
    found = one(rows + asked, hypothesis(arms=("a", "a@at_b")))
    assert found["verdict"] == "supported" and found["estimate"] == pytest.approx(0.5)
    assert one(rows, hypothesis(arms=("a", "a@at_c")))["reason"] == "arm a@at_c has no rows"


def test_only_items_that_were_hard_for_an_arm_in_other_seeds():
    # Arm c answers the first half; arms a and b differ on the second half alone.
    def right(arm, item):
        return {"a": 1.0, "b": float(item < 30), "c": float(item < 30)}[arm]

    rows = [
        row(f"i{i}", arm, seed, right(arm, i), task="text") for arm in "abc" for seed in range(6) for i in range(60)
    ]
    assert one(rows, hypothesis())["estimate"] == pytest.approx(0.5)
    found = one(rows, hypothesis(hard_for="c"))
    assert (found["estimate"], found["n_items"]) == (1.0, 30)
    lucky = [{**r, "score": 0.0} if (r["arm"], r["seed"] >= 3) == ("c", True) else r for r in rows]
    assert one(lucky, hypothesis(hard_for="c")) == found, "seeds that are judged choose no items"


def test_missing_rows_and_failures_are_not_tested_with_the_reason():
    rows = rows_of({("a", "text"): 0.8, ("b", "text"): 0.3}, items=100)
    assert one(rows, hypothesis(arms=("a", "c")))["reason"] == "arm c has no rows"
    assert one(rows, hypothesis(tasks=("text", "page")))["reason"] == "arm a has no rows of task page, seeds 0, 1, 2"
    lacking = [r for r in rows if (r["arm"], r["seed"]) != ("b", 1)]
    assert one(lacking, hypothesis())["reason"] == "arm b has no rows of task text, seeds 1"

    def with_failures(count):
        return rows[count:] + [failed(r["item"], "a", r["seed"], task="text") for r in rows[:count]]

    assert one(with_failures(3), hypothesis())["verdict"] == "supported"  # 3 of 300: 1 % exactly
    found = one(with_failures(4), hypothesis())
    assert found["verdict"] == "not tested" and found["estimate"] is None
    assert found["reason"] == "1.3% of the answers of arm a failed or are missing, at most 1 % may"
    assert one(rows[4:], hypothesis())["verdict"] == "not tested"


@pytest.mark.parametrize(("a", "text"), [(0.8, "as claimed"), (0.05, "against the claim"), (0.3, "unclear")])
def test_fewer_than_three_seeds_give_a_direction_only(a, text):
    for seeds in ((0,), (0, 1)):
        found = one(rows_of({("a", "text"): a, ("b", "text"): 0.3}, seeds, items=200), hypothesis(margin=0.001))
        assert found["verdict"] == f"direction only: {text}" and found["direction_only"]
    assert not one(rows_of({("a", "text"): a, ("b", "text"): 0.3}), hypothesis())["direction_only"]


def test_alpha_is_shared_by_the_hypotheses_of_the_study_at_that_scale():
    rows = pd.DataFrame(rows_of({("a", "text"): 0.8, ("b", "text"): 0.3}))
    texts = [("H1", "nano", "demo"), ("H2", "nano", "demo"), ("H3", "small", "demo"), ("H9", "nano", "other")]
    entries = [hypothesis(id=name, scale=scale, study=study) for name, scale, study in texts]
    nano = judge(rows, "demo", "nano", entries)
    assert [v["id"] for v in nano] == ["H1", "H2"] and {v["alpha"] for v in nano} == {0.025}
    small = judge(rows, "demo", "small", entries)
    assert [v["alpha"] for v in small] == [0.05]
    assert small[0]["high"] - small[0]["low"] < nano[0]["high"] - nano[0]["low"]
    with pytest.raises(SettingsError, match="study 'none' has no hypotheses"):
        judge(rows, "none", "nano", entries)


@pytest.mark.parametrize(
    ("scale", "judged"),
    [
        ("nano", ["H1.nano", "any"]),
        ("smoke", ["H1.nano", "any"]),
        ("small", ["any", "H1.small"]),
        ("paper", ["any"]),
    ],
)
def test_a_run_is_judged_by_what_was_stated_for_its_scale(scale, judged):
    rows = pd.DataFrame(rows_of({("a", "text"): 0.8, ("b", "text"): 0.3}))
    stated = {"H1.nano": "nano", "any": None, "H1.small": "small"}
    entries = [hypothesis(id=name, scale=own) for name, own in stated.items()]
    assert [(v["id"], v["scale"]) for v in judge(rows, "demo", scale, entries)] == [(name, scale) for name in judged]
    assert judge(rows, "demo", "paper", [entries[0]]) == [], "nano's hypothesis is none of the paper's scale"


def test_one_model_is_said_and_clusters_of_items_are_what_its_interval_covers():
    rows = pd.DataFrame(rows_of({("a", "text"): 0.8, ("b", "text"): 0.3}, (0,), items=200))
    (found,) = judge(rows, "demo", "paper", [hypothesis(id="H1", scale="paper")], one_model=True)
    assert found["verdict"] == "one model: as claimed" and found["direction_only"]
    assert found["reason"] == f"the interval covers {found['n_clusters']} clusters of items, not another training"
    assert direction(found) == "as claimed"


@pytest.mark.parametrize("field", ["split", "settings_hash", "study"])
def test_rows_of_two_runs_are_refused(field):
    rows = pd.DataFrame(rows_of({("a", "text"): 0.8}) + rows_of({("b", "text"): 0.8}, **{field: "dev"}))
    with pytest.raises(RunError, match=f"rows of 2 different {field}"):
        judge(rows, "demo", "nano", [hypothesis()])


def test_seeds_may_have_weights_of_their_own_but_one_seed_may_not():
    rows = pd.DataFrame(rows_of({("a", "text"): 0.8, ("b", "text"): 0.3}))
    own = rows.assign(weights_hash=rows["seed"].map("weights-{}".format))
    assert judge(own, "demo", "nano", [hypothesis()])[0]["verdict"] == "supported"
    mixed = rows.assign(weights_hash=rows["arm"].map("weights-{}".format))
    with pytest.raises(RunError, match="rows of 2 different weights_hash in seed 0"):
        judge(mixed, "demo", "nano", [hypothesis()])


def test_verdicts_are_json():
    rows = pd.DataFrame(rows_of({("a", "text"): 0.8, ("b", "text"): 0.3}))
    verdicts = judge(rows, "demo", "nano", [hypothesis(), hypothesis(arms=("a", "c"))])
    assert json.loads(json.dumps(verdicts, allow_nan=False)) == verdicts
    assert [verdict["verdict"] for verdict in verdicts] == ["supported", "not tested"]


GOOD = {
    "id": '"H1.nano"',
    "scale": '"nano"',
    "study": '"demo"',
    "paper": '"H1"',
    "statement": '"s"',
    "kind": '"difference"',
    "arms": '["a", "b"]',
    "tasks": '["text"]',
}


def written(path, **changes):
    values = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path.write_text("[[hypothesis]]\n" + "\n".join(f"{key} = {value}" for key, value in values.items()))
    return path


def test_a_hypothesis_is_read_with_its_defaults(tmp_path):
    path = written(tmp_path / "h.toml", gate='{ arms = ["a"], tasks = ["text"], where = { size_bin = "s" } }')
    (found,) = load_hypotheses(path)
    gate = Gate(arms=("a",), tasks=("text",), where={"condition": "visual", "size_bin": "s"}, above_chance=0.1)
    assert found == hypothesis(gate=gate)
    assert found.where == {"condition": "visual"} and found.margin == 0.05 and found.paper_value == "not found"
    (found,) = load_hypotheses(written(path, where='{ condition = ["x"] }', paper_value="51.9", margin="0.02"))
    assert (found.where, found.paper_value, found.margin) == ({"condition": ["x"]}, 51.9, 0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statement": None}, "H1.nano, field statement: Field required"),
        ({"scale": None}, "H1.nano, field id: ends in 'nano', so expected scale = \"nano\", got None"),
        ({"id": '"S1.small"'}, "S1.small, field id: ends in 'small', so expected scale = \"small\", got 'nano'"),
        ({"scale": '"large"'}, "H1.nano, field scale: expected 'smoke'"),
        ({"arm": '["a"]'}, "H1.nano, field arm: Extra inputs are not permitted"),
        ({"kind": '"ratio"'}, "H1.nano, field kind: expected 'difference'"),
        ({"arms": '["a"]'}, "H1.nano, field arms: difference needs 2"),
        ({"arms": '["a", "a"]'}, "H1.nano, field arms: expected a list of different names"),
        ({"tasks": '"text"'}, "H1.nano, field tasks: expected a valid list, got 'text'"),
        ({"kind": '"order"', "arms": '["a"]'}, "field arms: order needs two or more"),
        ({"kind": '"interaction"'}, "field other_tasks: interaction needs this field"),
        ({"other_tasks": '["x"]'}, "field other_tasks: difference does not have it"),
        ({"kind": '"interaction"', "other_tasks": '["text"]'}, "['text'] are in tasks too"),
        ({"kind": '"level"', "arms": '["a"]'}, "field level: level needs this field"),
        ({"family": '"ours"'}, "H1.nano, field family: expected 'claim' or 'addition'"),
        ({"measure": '"logprob"'}, "measure: logprob needs a margin of its own"),
        ({"margin": "0"}, "H1.nano, field margin: expected greater than 0"),
        ({"margin": '"0.05"'}, "H1.nano, field margin: expected a valid number"),
        ({"where": '"visual"'}, "H1.nano, field where: expected a valid dictionary"),
        ({"where": "{ size_bin = [] }"}, "H1.nano, field where.size_bin"),
        ({"gate": "0.1"}, "H1.nano, field gate: expected a valid dictionary"),
        ({"gate": '{ arms = ["a"] }'}, "H1.nano, field gate.tasks: Field required"),
        ({"gate": '{ arms = ["a"], tasks = ["t"], above_chance = true }'}, "H1.nano, field gate.above_chance"),
        ({"id": '""'}, "field id: String should have at least 1 character, got ''"),
    ],
)
def test_what_is_wrong_is_named_by_id_and_field(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_hypotheses(written(tmp_path / "h.toml", **changes))


def test_files_that_are_not_lists_of_hypotheses(tmp_path):
    path = written(tmp_path / "h.toml")
    path.write_text(path.read_text() + "\n" + path.read_text())
    with pytest.raises(SettingsError, match=r"id H1\.nano is used more than once"):
        load_hypotheses(path)
    for text, message in (("[[hypotesis]]\nid = 1", "got \\['hypotesis'\\]"), ("id =", "cannot be read as TOML")):
        path.write_text(text)
        with pytest.raises(SettingsError, match=message):
            load_hypotheses(path)
