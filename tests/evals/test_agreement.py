"""Our reader of benchmarks and the harness's tasks, item by item: the same prompts, the same scores, the same answers.

Where they differ docs/lmms-eval.md says so, and these tests hold the page to what they find.
"""

import contextlib
import io
import random
import re
from pathlib import Path

import pytest

from oryx.processing.visuals import Video
from oryx.train.device import compute
from tests.benchmark_copies import COPIES
from workbook.data.benchmarks import read_benchmark
from workbook.data.protocols import protocol
from workbook.studies.asking import Asker, Question, Way

from .harness import ask, task_manager

PAGE = Path(__file__).parents[2] / "docs" / "lmms-eval.md"
PAPER = protocol("paper")
LETTERS = "ABCDE"
FORMS = {
    "the letter": "{A}",
    "a small letter": "{a}",
    "letter and full stop": "{A}.",
    "letter in brackets": "({A})",
    "letter and bracket": "{A})",
    "letter, colon, text": "{A}: {text}",
    "letter, full stop, text": "{A}. {text}",
    "bracketed letter, text": "({A}) {text}",
    "a bold letter": "**{A}**",
    "a quoted letter": '"{A}"',
    "letter, line, text": "{A}\n{text}",
    "letter, reason": "{A}, because it is {text}",
    "sentence with the letter": "The answer is {A}.",
    "best answer": "The best answer is: {A}",
    "sentence with bracketed letter, text": "The correct answer is ({A}) {text}",
    "option": "Option {A}",
    "the text": "{text}",
    "sentence with the text": "It is {text}",
    "the other ruled out first": "{B} is wrong, so {A}",
    "the other ruled out after": "It is {A}, not {B}.",
    "two letters": "{A} or {B}",
    "two texts": "{text} and {other}",
    "the article": "A {text} picture",
    "another letter": "{B}",
    "nothing": "",
    "a refusal": "I cannot tell.",
}
"""What an answer looks like -> an answer; {A} is the right letter, {B} another one."""


@pytest.fixture(scope="module")
def tasks(copies):
    from lmms_eval.tasks import get_task_dict

    return get_task_dict([f"{name}_local" for name in COPIES], task_manager(copies), "chat")


def pairs(name, copies, tasks):
    """(the harness's question, ours) of every item."""
    task = tasks[f"{name}_local"]
    return task, list(zip(task.eval_docs, read_benchmark(name, copies, PAPER), strict=True))


def harness_score(name, task, document, answer) -> float:
    found = task.process_results(document, [answer])
    if name == "ocrbench":
        return float(found["ocrbench_accuracy"]["score"])
    if name == "videomme":
        return found["videomme_perception_score"]["score"]
    if name == "mlvu":
        return float(found["mlvu_percetion_score"]["pred_answer"] == document["answer"])
    if name == "nextqa":
        return float(found["exact_match"])
    from lmms_eval.tasks.mmbench.mmbench_evals import MMBench_Evaluator

    with contextlib.redirect_stdout(io.StringIO()):  # scored as a whole benchmark; here one question is it
        return float(MMBench_Evaluator().eval_result([found["gpt_eval_score"] | {"index": 0}], "static")[0])


def table(title: str) -> dict[str, list[str]]:
    """First cell -> the others, of the table under a heading of the page."""
    section = PAGE.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}


def test_prompts_are_the_same_but_where_the_page_says_so(copies, tasks):
    differing = {}
    for name in COPIES:
        task, both = pairs(name, copies, tasks)
        for document, item in both:
            theirs = task.doc_to_text(document)
            if theirs != item.question:
                differing[name] = item.question.removeprefix(theirs)
    assert differing == {"nextqa": "\nAnswer the question with A, B, C, D, or E."}
    assert differing["nextqa"].strip() in PAGE.read_text("utf-8")


def test_scores_are_the_same_but_where_the_page_says_so(copies, tasks, monkeypatch):
    monkeypatch.setattr(random, "choice", lambda letters: "none")  # NExT-QA's guess, see below
    found: dict[str, set[str]] = {}
    for name in ("mmbench", "videomme", "mlvu", "nextqa"):
        task, both = pairs(name, copies, tasks)
        for document, item in both:
            right = LETTERS.index(item.truths[0])
            wrong = (right + 1) % len(item.options)
            text, other = item.options[right].rstrip("."), item.options[wrong].rstrip(".")
            for form, answer in FORMS.items():
                given = answer.format(
                    A=LETTERS[right], a=LETTERS[right].lower(), B=LETTERS[wrong], text=text, other=other
                )
                if harness_score(name, task, document, given) != item.score(given):
                    ours = "right" if item.score(given) else "wrong"
                    found.setdefault(f"{form}, {ours} by ours", set()).add(name)
    stated = {
        f"{form}, {ours} by ours": set(re.findall(r"\w+", names)) for form, (_, ours, names) in table("Scores").items()
    }
    assert found == stated


def test_ocrbench_is_scored_the_same(copies, tasks):
    task, both = pairs("ocrbench", copies, tasks)
    answers = (
        "red",
        "RED",
        "It says Red.",
        "ｒｅｄ",
        "green",
        "",
        "x^{2}",
        "x ^ { 2 }",
        "X^{2}",
        "an all red page",
        "r ed",
    )
    scores = [(harness_score("ocrbench", task, doc, one), item.score(one)) for doc, item in both for one in answers]
    assert all(theirs == ours for theirs, ours in scores) and {ours for _, ours in scores} == {0.0, 1.0}


def test_the_harness_guesses_where_it_cannot_read_an_answer_of_nextqa(copies, tasks, monkeypatch):
    task, both = pairs("nextqa", copies, tasks)
    for document, item in both:
        monkeypatch.setattr(random, "choice", lambda letters, truth=item.truths[0]: truth)
        assert harness_score("nextqa", task, document, "I cannot tell.") == 1.0 and item.score("I cannot tell.") == 0.0


def test_the_same_model_gives_the_same_answers(checkpoint, copies, tmp_path):
    """Our own way of asking reads a visual once for all its questions; the plugin asks batch by batch."""
    names, most = ("ocrbench", "mmbench", "videomme", "mlvu"), 4
    chosen = PAPER.changed(frames=4)
    run = ask(
        f"pretrained={checkpoint},frames=4", [f"{name}_local" for name in names], copies, tmp_path, most, batch_size=2
    )
    asker = Asker(str(checkpoint), compute("fp32"))
    way = Way(options=chosen.options, generation=chosen.generation(video=True))
    for name in names:
        items = read_benchmark(name, copies, chosen)
        questions = [
            Question(
                id=str(number),
                visual=Video(item.visual) if isinstance(item.visual, Path) else item.visual,
                text=item.question,
                truth=item.truths[0],
                task=item.task,
                cluster=item.cluster,
                chance=item.chance,
                score=item.score,
                most=most,
            )
            for number, item in enumerate(items)
        ]
        answers = {}
        for batch in asker.batches(questions, way, {}, conditions=["visual"]):
            answers |= {int(row["item"]): one["answer"] for row, one in zip(batch.rows, batch.payload(), strict=True)}
        assert answers == run.answers[f"{name}_local"], name
