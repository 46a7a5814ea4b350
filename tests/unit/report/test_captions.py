"""What the table of caption metrics says where pycocoevalcap or Java is missing, and how it splits words."""

import pandas as pd
import pytest

from workbook.report import captions
from workbook.report.captions import METRICS, caption_table, plain_tokens


def rows_of(answers: list[str], truths: list[list[str]], **fields) -> pd.DataFrame:
    """Rows of one arm with ScanQA's score, two questions a scene."""
    lines = [
        {"arm": "paper", "condition": "visual", "task": "scanqa", "item": f"scanqa/{i}", "seed": 0, "error": None,
         "cluster": f"scanqa/scene{i // 2}", "answer": answer, "truths": own, "score": float(answer in own)}
        for i, (answer, own) in enumerate(zip(answers, truths, strict=True))
    ]  # fmt: skip
    return pd.DataFrame(lines).assign(**fields)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("To the LEFT, of the desk.", "to the left of the desk"),
        ("it's a (wooden) table!", "it's a ( wooden ) table"),
        ("black & white; 2", "black & white 2"),
        ("...", ""),
    ],
)
def test_plain_tokens(text, tokens):
    assert plain_tokens(text) == tokens


def test_without_the_extra_exact_match_stands_alone_and_the_rest_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(captions, "find_spec", lambda name: None)
    rows = rows_of(["two", "Two", "red", "sofa"], [["two"], ["two"], ["a red one", "red"], ["chair"]])
    table = caption_table(rows).set_index("metric")
    assert table.loc["EM", "score"] == 50 and 0 <= table.loc["EM", "low"] < 50 < table.loc["EM", "high"] <= 100
    assert (table.loc["EM", "n"], table.loc["EM", "clusters"]) == (4, 2)
    assert table.loc[list(METRICS), "score"].isna().all()
    assert set(table.loc[list(METRICS), "how"]) == {'not computed: pip install -e ".[captions]"'}


def test_failed_questions_and_those_without_a_visual_are_passed_over(monkeypatch):
    monkeypatch.setattr(captions, "find_spec", lambda name: None)
    seen = rows_of(["two", "red"], [["two"], ["blue"]])
    blind = seen.assign(condition="no_visual", score=1.0)
    failed = rows_of(["x"], [["x"]], item="scanqa/9", error="out of memory")
    table = caption_table(pd.concat([seen, blind, failed])).set_index("metric")
    assert (table.loc["EM", "score"], table.loc["EM", "n"]) == (50, 2)
    assert caption_table(blind).empty and caption_table(seen.drop(columns="truths")).empty
