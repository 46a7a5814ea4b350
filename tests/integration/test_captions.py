"""Caption metrics: numbers worked out by hand, pycocoevalcap's own, and its own again on draws of the bootstrap."""

import random
from math import exp

import numpy as np
import pandas as pd
import pytest

from tests.unit.report.test_captions import rows_of
from workbook.report import captions
from workbook.report.captions import METRICS, caption_table

pytestmark = [pytest.mark.integration, pytest.mark.captions]

HAND = rows_of(
    ["brown chair", "Left of the desk.", "two", "table chair"],
    [["a brown chair", "brown"], ["on the left of the desk"], ["two"], ["wooden table in the corner"]],
)
WORDS = ["brown", "black", "on", "the", "left", "side of", "table", "chair", "(a)", "desk", "in front,", "it's", "2."]


def written(seed: int, count: int, longest: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, longest))).capitalize() for _ in range(count)]


def many(count: int = 40):
    """Answers of all kinds: right, partly right, empty, of punctuation alone, with other ends of lines inside."""
    one, two = written(1, count, 6), written(2, count, 3)
    answers = [[a, b, f"{a} {b}", a.upper()][i % 4] for i, (a, b) in enumerate(zip(one, two, strict=True))]
    answers[3:7] = ["", "...", "brown\r\nchair\u2028left", one[6]]
    return rows_of(answers, [[a, b] if i % 2 else [a] for i, (a, b) in enumerate(zip(one, two, strict=True))])


@pytest.fixture(scope="module")
def meteor():
    """One, because it takes seconds to start."""
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor()


@pytest.fixture(scope="module")
def hand():
    return caption_table(HAND).set_index("metric")


def by_pycocoevalcap(rows, meteor) -> dict[str, float]:
    """In percent, as ScanQA's own scorer calls pycocoevalcap: tokens of all answers, then each metric."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    line = " ".join
    truths = {i: [{"caption": line(one.split())} for one in own] for i, own in enumerate(rows["truths"])}
    answers = {i: [{"caption": line(one.split())}] for i, one in enumerate(rows["answer"])}
    pair = PTBTokenizer().tokenize(truths), PTBTokenizer().tokenize(answers)
    found = [*Bleu(4).compute_score(*pair, verbose=0)[0]]
    found += [scorer.compute_score(*pair)[0] for scorer in (Rouge(), Cider(), meteor)]
    return dict(zip(METRICS, 100 * np.array(found), strict=True))


def same(table, found: dict[str, float]) -> None:
    assert table.loc[list(found), "score"].to_dict() == pytest.approx(found, abs=1e-5)


def test_numbers_worked_out_by_hand(hand):
    # nine words, eight of them right; the nearest references have 1 + 6 + 1 + 5 words
    brevity = exp(1 - 13 / 9)
    # five pairs of words, four right
    by_hand = {"EM": 25.0, "BLEU-1": 100 * 8 / 9 * brevity, "BLEU-2": 100 * (8 / 9 * 4 / 5) ** 0.5 * brevity}
    # longest common subsequences 2, 4, 1, 1; F with beta² = 1.44
    f = [2.44 * p * r / (r + 1.44 * p) for p, r in ((1, 1), (1, 4 / 6), (1, 1), (1 / 2, 1 / 5))]
    same(hand, by_hand | {"ROUGE-L": 100 * sum(f) / 4})


def test_every_metric_is_pycocoevalcaps_own(hand, meteor):
    same(hand, by_pycocoevalcap(HAND, meteor))
    assert set(hand.loc[list(METRICS), "how"]) == {"pycocoevalcap, Penn Treebank tokens"}


def test_so_is_an_interval_of_whole_scenes_drawn_again(meteor, monkeypatch):
    monkeypatch.setattr(captions, "DRAWS", 4)
    rows = many().assign(cluster=lambda frame: [f"scene{i % 3}" for i in range(len(frame))])
    table = caption_table(rows).set_index("metric")
    same(table, by_pycocoevalcap(rows, meteor))
    drawn, scenes = [], [rows[rows["cluster"] == f"scene{i}"] for i in range(3)]
    for counts in np.random.default_rng(0).multinomial(3, [1 / 3] * 3, 4):
        again = [scene for scene, count in zip(scenes, counts, strict=True) for _ in range(count)]
        drawn.append(by_pycocoevalcap(pd.concat(again, ignore_index=True), meteor))
    for metric in set(METRICS) - {"CIDEr"}:  # whose weights stay those of all questions
        low, high = np.percentile([one[metric] for one in drawn], (2.5, 97.5))
        assert table.loc[metric, ["low", "high"]].tolist() == pytest.approx([low, high], abs=1e-5), metric


def test_where_every_scene_is_alike_there_is_no_interval(monkeypatch):
    monkeypatch.setattr(captions, "which", lambda name: None)
    table = caption_table(rows_of(["brown chair"] * 4, [["brown chair"]] * 4)).set_index("metric")
    assert table.loc[["BLEU-1", "ROUGE-L"], "score"].tolist() == pytest.approx([100, 100])
    assert table.loc[["BLEU-1", "ROUGE-L"], ["low", "high"]].isna().all(axis=None)


def test_without_java_meteor_is_missing_and_words_are_split_plainly(hand, monkeypatch):
    monkeypatch.setattr(captions, "which", lambda name: None)
    table = caption_table(HAND).set_index("metric")
    assert table.loc["METEOR", "how"] == "not computed: no Java here" and np.isnan(table.loc["METEOR", "score"])
    rest = list(METRICS[:-1])
    assert set(table.loc[rest, "how"]) == {"pycocoevalcap, plain tokens (no Java here)"}
    assert table.loc[rest, "score"].tolist() == pytest.approx(hand.loc[rest, "score"].tolist()), "simple words"
