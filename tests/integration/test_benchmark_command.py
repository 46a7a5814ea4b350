"""``python -m benchmarks``: numbers with their source, renewed tables; and what a user waits for."""

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import costs, language_model, packed_encoder, results, waiting
from benchmarks import measure as measuring
from benchmarks.measure import in_turns, measure
from oryx.errors import SettingsError
from tests.integration.test_benchmarks import TINY, in_this_process

pytestmark = pytest.mark.integration


@pytest.fixture
def tiny(monkeypatch):
    """Settings that take a moment; no garbage is collected (seconds with all of a test run in memory)."""
    monkeypatch.setattr(measuring.gc, "collect", lambda: 0)
    monkeypatch.setattr(packed_encoder, "MIXES", {"A": TINY})
    monkeypatch.setattr(packed_encoder, "measure", lambda *args: measure(*args, memory=in_this_process))
    short = language_model.measure
    monkeypatch.setattr(language_model, "measure", lambda rounds: short(rounds, {"two": [9, 14]}))


def test_the_named_benchmarks_write_numbers_with_their_source_and_renew_their_blocks(tiny, tmp_path):
    docs, out = tmp_path / "docs.md", tmp_path / "new" / "out"
    blocks = [f"<!-- {name} -->\nold\n<!-- end -->\n" for name in ("packed-encoder", "language-model", "costs")]
    docs.write_text("before\n" + "".join(blocks) + "after\n")
    command.main(["packed_encoder", "language_model", "--out", str(out), "--docs", str(docs)])
    text = docs.read_text()
    assert text.startswith("before\n") and text.endswith(f"{blocks[2]}after\n") and text.count("old") == 1
    assert "| tiny | forward+backward | qwen2-vl |" in text and "| training step: two |" in text
    for name in ("packed_encoder", "language_model"):
        source = json.loads((out / f"{name}.json").read_text())["source"]
        assert source["command"].startswith("python ") and source["packages"]["torch"] and source["cores"] > 0
        assert {"commit", "dirty", "written", "python", "machine"} <= set(source) and len(source["load"]) == 3
    found = json.loads((out / "packed_encoder.json").read_text())["found"]
    assert {len(clocks["user"]) for clocks in found["measured"]["tiny"]["seconds"]["forward"].values()} == {5}
    assert {row["mix"] for row in found["speed"] + found["memory"]} == {"tiny"}


def test_without_names_all_are_run_and_nothing_tracked_is_written(tmp_path, monkeypatch):
    called = []
    for name in command.BENCHMARKS:
        monkeypatch.setattr(f"benchmarks.{name}.main", lambda flags, name=name: called.append((name, flags)))
    monkeypatch.chdir(tmp_path)
    command.main([])
    assert called == [(name, ["--json", f"build/benchmarks/{name}.json"]) for name in command.BENCHMARKS]


def test_every_name_is_a_benchmark():
    folder = Path(command.__file__).parent
    assert all((folder / f"{name}.py").is_file() for name in (*command.BENCHMARKS, *command.BY_NAME))


def test_unknown_names_and_pages_are_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "import_module", lambda name: pytest.fail("work began"))
    with pytest.raises(SettingsError, match="unknown benchmark 'cost'; did you mean 'costs'"):
        command.main(["cost"])
    with pytest.raises(SystemExit):
        command.main(["--docs", str(tmp_path / "absent.md")])
    assert "argument --docs: no file" in capsys.readouterr().err


def test_a_renewed_page_does_not_change_the_state_of_the_code(monkeypatch):
    results.code.cache_clear()
    states = iter([("abc", False), ("abc", True)])
    monkeypatch.setattr(results, "git_state", lambda: next(states))
    assert [results.source()["dirty"] for _ in range(2)] == [False, False]
    results.code.cache_clear()


def test_ways_take_turns_and_their_first_round_is_not_counted():
    order = []

    def way(name):
        order.append(name)
        return {"wall": float(len(order))}

    taken = in_turns({name: lambda name=name: way(name) for name in "ab"}, rounds=2)
    assert "".join(order) == "baabba" and taken == {"a": {"wall": [3.0, 6.0]}, "b": {"wall": [4.0, 5.0]}}


def test_cells_are_short():
    values = [None, True, False, 12_345, 12_345.6, 99.5, 0.1234, 0.00123, "x"]
    assert " ".join(map(results.cell, values)) == "- yes no 12,345 12,346 99.50 0.12 0.0012 x"


def test_what_a_user_waits_for(tmp_path, monkeypatch):
    """Imports in fresh processes, once; questions about a film of four frames."""
    light = (waiting.Import("import oryx", "import json", most_seconds=60),
             waiting.Import("import json", "import json, wave", most_ratio=1000))  # fmt: skip
    monkeypatch.setattr(waiting, "IMPORTS", light)
    docs = tmp_path / "docs.md"
    docs.write_text("before\n<!-- waiting -->\nold\n<!-- end -->\nafter\n")
    found = waiting.main(["--rounds", "1", "--frames", "4", "--docs", str(docs)])
    text = docs.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert [one["met"] for one in found["imports"]] == [True, True] and "| `import oryx` |" in text
    tokens = [one["tokens"] for one in found["questions"]]
    assert tokens == [4 * (8 * 9 + 1) + 2, 4 * (4 * 5 + 1) + 2, 4 * (2 * 3 + 1) + 2]
    assert found["questions"][0]["met"] is None and "| 16x | 30 |" in text


def test_limits_of_waiting_are_applied(monkeypatch):
    monkeypatch.setattr(waiting, "import_seconds", lambda code: {"wall": 2.0, "cpu": 2.0 if "own" in code else 1.0})
    for limit, met in (({"most_seconds": 2.0}, True), ({"most_seconds": 1.9}, False), ({"most_ratio": 1.9}, False)):
        assert waiting.imports(waiting.Import("own", "peer", **limit), 1)["met"] is met
    monkeypatch.setattr(waiting, "timed", slow_at_16x)
    assert [one["met"] for one in waiting.questions(1, 1)] == [None, True, False]


def slow_at_16x(ask):
    ask()
    return dict.fromkeys(("wall", "cpu"), 2.0 if ask.args == (16,) else 1.0)


def test_the_questions_of_costs_take_turns_with_the_rates(monkeypatch):
    monkeypatch.setattr(costs, "products", lambda: {"rate": (8, lambda: None), "memory": (2, lambda: None)})
    monkeypatch.setattr(costs, "asking", lambda model, case: lambda: None)
    monkeypatch.setattr(costs, "timed", lambda call: {"user": 0.5})
    found = costs.measured("20M", 5)
    assert (found["rate"], found["memory"], found["took"]) == (16, 4, 0.5)
