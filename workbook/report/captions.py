"""Caption metrics of open answers, from rows: BLEU-1 to 4, ROUGE-L, CIDEr and METEOR by pycocoevalcap. No torch.

They are what ScanQA's own scorer prints (``ATR-DBI/ScanQA``, ``scripts/score.py``), in percent as there, and what the
paper's table gives. The formulas are pycocoevalcap's (the extra ``captions``); METEOR and the Penn Treebank tokenizer
are Java programs inside it. Without Java METEOR is missing, and words are split by :func:`plain_tokens`, which the
table then says: such numbers are near the published ones, not comparable with them. CIDEr weighs words by how rare they
are among the references of the questions asked: a part of a benchmark gives another CIDEr.

Intervals are percentiles of a bootstrap over clusters (scenes). What a metric is made of is summed within each cluster
once, and the metric computed from the sums of clusters drawn; CIDEr's weights stay those of all questions.
"""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pandas as pd

from oryx.errors import RunError
from oryx.evidence.stats import score_of

DRAWS = 1000
EXACT, METEOR = "EM", "METEOR"
METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr", METEOR)
LACKING = {True: "not computed: no Java here", False: 'not computed: pip install -e ".[captions]"'}
HOW = {True: "pycocoevalcap, Penn Treebank tokens", False: "pycocoevalcap, plain tokens (no Java here)"}
MARKS = frozenset(["'", "`", ".", "?", "!", ",", ":", "-", ";"])
"""What pycocoevalcap's tokenizer drops too, among single characters."""
CHUNKS, MATCHED, LENGTHS = 20, slice(21, 23), slice(0, 2)
"""Places in METEOR 1.5's statistics: chunks, words matched and words there are, of answer and reference."""

Texts = Mapping[int, list[str]]
"""Number of a question -> its answer alone, or its references; words separated by one blank."""
Metric = tuple[tuple[str, ...], np.ndarray, Callable[[np.ndarray], Sequence]]
"""Names; what each question adds (questions, parts); sums of parts (draws, parts) -> of each name the draws' values."""


def caption_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per arm and metric: score in percent, its 95 % interval, questions, clusters, and how it was computed.

    ``rows`` have ``truths``, all references; those of questions asked without a visual and of failed ones are passed
    over, and there is no line where no row has any. EM is the rows' own score, with its own kind of interval. Where no
    cluster differs there is no interval.
    """
    if "truths" not in rows:
        rows = rows[:0]
    java, installed, lines = which("java") is not None, find_spec("pycocoevalcap") is not None, []
    meteor = _started_meteor() if java and installed else None
    for arm, own in rows[(rows["condition"] == "visual") & rows["error"].isna()].groupby("arm", sort=False):
        about = {"arm": arm, "n": len(own), "clusters": own["cluster"].nunique()}
        answers, references = own["answer"].tolist(), [list(map(str, truths)) for truths in own["truths"]]
        lines.append(about | {"metric": EXACT, "how": "as the rows' score"} | _percent(**score_of(own.assign(task=""))))
        metrics = _metrics(answers, references, meteor) if installed else []
        for metric in metrics:
            lines += [about | {"how": HOW[java]} | line for line in _with_intervals(metric, own["cluster"])]
        found = {name for names, *_ in metrics for name in names}
        lines += [about | {"metric": name, "how": LACKING[installed]} for name in METRICS if name not in found]
    return pd.DataFrame(lines, columns=["arm", "metric", "score", "low", "high", "n", "clusters", "how"])


def plain_tokens(text: str) -> str:
    """Small letters; words, and whatever else stands between blanks, apart; punctuation that COCO's scorers drop gone.

    Unlike the Penn Treebank's it leaves "it's" one word.
    """
    found = re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text.lower())
    return " ".join(token for token in found if token not in MARKS)


def _metrics(answers: Sequence[str], references: Sequence[Sequence[str]], meteor: Any) -> list[Metric]:
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    given, expected = (_tokens(texts, meteor is not None) for texts in ([[one] for one in answers], references))
    found = [_bleu(given, expected)]
    for name, scorer in (("ROUGE-L", Rouge()), ("CIDEr", Cider())):
        found.append(_mean(name, scorer.compute_score(expected, given)[1]))
    return [*found, _meteor(meteor, given, expected)] if meteor else found


def _tokens(texts: Sequence[Sequence[str]], java: bool) -> Texts:
    one_line = [" ".join(text.split()) for own in texts for text in own]
    tokens = iter(_penn_tokens(one_line) if java else map(plain_tokens, one_line))
    return {number: list(islice(tokens, len(own))) for number, own in enumerate(texts)}


def _penn_tokens(texts: Sequence[str]) -> list[str]:
    """As pycocoevalcap's PTBTokenizer, which writes a file beside itself and lets Java talk into a notebook."""
    from pycocoevalcap.tokenizer import ptbtokenizer

    jar = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    options = ["-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
    command = ["java", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", *options]
    done = subprocess.run(command, input="\n".join(texts).encode(), capture_output=True)
    lines = done.stdout.decode().split("\n")[: len(texts)]
    if done.returncode or len(lines) != len(texts):
        raise RunError(f"Penn Treebank tokenizer: {len(lines)} lines of {len(texts)}: {done.stderr.decode()[-300:]}")
    marks = set(ptbtokenizer.PUNCTUATIONS)
    return [" ".join(token for token in line.split() if token not in marks) for line in lines]


def _mean(name: str, values: np.ndarray) -> Metric:
    parts = np.stack([values, np.ones(len(values))], axis=1)
    return (name,), parts, lambda sums: [sums[:, 0] / sums[:, 1]]


def _bleu(given: Texts, expected: Texts) -> Metric:
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=4)
    for number in given:
        scorer += (given[number][0], expected[number])
    parts = []
    for one in scorer.ctest:
        closest = scorer._single_reflen(one["reflen"], "closest", one["testlen"])
        parts.append([one["testlen"], closest, *one["correct"], *one["guess"]])

    def values(sums: np.ndarray) -> list[list[float]]:
        drawn = BleuScorer(n=4)  # a draw's counts stand for one long answer: the library's formula is the same
        drawn.ctest = [
            {"testlen": one[0], "reflen": [one[1]], "correct": one[2:6], "guess": one[6:]} for one in sums.tolist()
        ]
        return drawn.compute_score(option="closest")[1]

    return METRICS[:4], np.array(parts, dtype=float), values


def _started_meteor() -> Any:
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor()


def _meteor(meteor: Any, given: Texts, expected: Texts) -> Metric:
    parts = np.array([meteor._stat(given[i][0], expected[i]).split() for i in given], dtype=float)
    perfect = (parts[:, CHUNKS] == 1) & (parts[:, MATCHED] == parts[:, LENGTHS]).all(axis=1)
    parts[perfect, CHUNKS] = 0  # so METEOR adds statistics up: only a perfect answer has no fragmentation penalty

    def values(sums: np.ndarray) -> list[list[float]]:
        pipe = meteor.meteor_p
        drawn = (" ".join(map(str, one)) for one in sums.tolist())
        pipe.stdin.write(f"EVAL ||| {' ||| '.join(drawn)}\n".encode())
        pipe.stdin.flush()
        found = [float(pipe.stdout.readline()) for _ in sums]
        pipe.stdout.readline()  # that of all draws together
        return [found]

    return (METEOR,), parts, values


def _with_intervals(metric: Metric, clusters: pd.Series) -> list[dict]:
    names, parts, values = metric
    sums = pd.DataFrame(parts).groupby(clusters.to_numpy()).sum().to_numpy()
    draws = np.random.default_rng(0).multinomial(len(sums), [1 / len(sums)] * len(sums), DRAWS)
    score, *drawn = np.transpose(values(np.vstack([np.ones(len(sums)), draws]) @ sums))
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    low, high = np.where(high - low > 1e-9, (low, high), np.nan)  # draws that are all alike are no certainty
    each = zip(names, score, low, high, strict=True)
    return [{"metric": name} | _percent(*values) for name, *values in each]


def _percent(score: float, low: float, high: float, n: int = 0) -> dict[str, float]:
    return {"score": 100 * score, "low": 100 * low, "high": 100 * high}
