"""The article's case studies in small: describe and summarise a video; reason and learn from its content.

The small model answers seven one-word questions about synthetic videos (coloured cards, one of them a sign with a
number, a moving icon, photographs). It writes no sentences: a summary is put together here from its answers, and says
so. What it cannot do is left to released weights, asked in the words of the article's cases.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from oryx.processing.visuals import Video
from workbook.data.stories import QUESTIONS, Story
from workbook.explore.examples import story
from workbook.explore.models import Opened

RELEASED = {
    "describe": "Describe this video in detail.",
    "summarise": "Summarise this video in one sentence.",
    "reason": "What happens first, what happens next, and why?",
    "learn": "What can be learned from this video? List the steps or facts that it shows.",
}
"""Our wording: the article shows such cases, its exact prompts were not found."""


def facts(model: Any, film: Story, compression: int = 4) -> dict[str, tuple[str, float]]:
    """Kind of question -> (answer, probability) of every question about a video."""
    asked = {kind: model.ask(Video(str(film.path)), QUESTIONS[kind], compression=compression) for kind in film.facts}
    return {kind: (answer.text, answer.probability) for kind, answer in asked.items()}


def summary(found: Mapping[str, str]) -> str:
    """A sentence put together from one-word answers; the words around them are ours."""
    order = f", first {found['order'].replace(' ', ', then ')}" if "order" in found else ""
    cards = "one card" if found["count"] == "1" else f"{found['count']} cards"
    return (
        f"The film shows {cards}{order}. The sign in the {found['colour']} frame, {found['when']} in the film, reads "
        f"{found['sign']}. Something called “{found['what']}” moves {found['move']}."
    )


def described(model: Any, films: Sequence[Story], compression: int = 4) -> pd.DataFrame:
    """A line per video and question: answer, probability, truth, and whether it is right."""
    lines = []
    for film in films:
        for kind, (answer, probability) in facts(model, film, compression).items():
            right = "yes" if answer == film.facts[kind] else "no"
            lines.append([film.id, kind, answer, round(probability, 2), film.facts[kind], right])
    return pd.DataFrame(lines, columns=["film", "question", "answer", "probability", "truth", "right"])


def summaries(frame: pd.DataFrame) -> pd.DataFrame:
    """The sentence from the model's answers beside that from the truth."""
    lines = []
    for film, part in frame.groupby("film", sort=False):
        said, true = (dict(zip(part["question"], part[column], strict=True)) for column in ("answer", "truth"))
        wrong = [kind for kind in said if said[kind] != true[kind]]
        lines.append([film, summary(said), summary(true), ", ".join(wrong) or "nothing"])
    return pd.DataFrame(lines, columns=["film", "from its answers", "from the truth", "wrong in it"])


def reasoned(frame: pd.DataFrame) -> pd.DataFrame:
    """Questions whose answer stands on no single frame, and a sum of two signs, against chance.

    ``order``, ``when``, ``move`` and ``count`` need several frames together: the model's own reasoning over time. The
    sum of the signs of two videos is what can be learned from them and used: the model reads, Python adds.
    """
    lines = []
    for kind in ("order", "when", "move", "count"):
        part = frame[frame["question"] == kind]
        lines.append([kind, "the model", int((part["right"] == "yes").sum()), len(part)])
    signs = frame[frame["question"] == "sign"]
    pairs = list(zip(signs.iloc[::2].itertuples(), signs.iloc[1::2].itertuples(), strict=False))
    right = sum(_sum(a.answer, b.answer) == _sum(a.truth, b.truth) for a, b in pairs)
    lines.append(["sum of two films' signs", "the model reads, Python adds", right, len(pairs)])
    return pd.DataFrame(lines, columns=["what", "who", "right", "of"])


def _sum(a: str, b: str) -> int | None:
    return int(a) + int(b) if a.isdigit() and b.isdigit() else None


def held_out(count: int) -> list[Story]:
    """The first short held-out videos."""
    return [story("short", index) for index in range(count)]


def asked_in_words(opened: Opened | None, reason: str, video: str, frames: int = 64) -> pd.DataFrame:
    """What released weights say about a video; with none, the reason is printed and the table is empty."""
    columns = ["case", "prompt", "answer", "visual tokens", "seconds"]
    if opened is None:
        print(f"Not asked: {reason}.")
        return pd.DataFrame(columns=columns)
    lines = []
    for case, prompt in RELEASED.items():
        answer = opened.model.ask(Video(video, frames=frames), prompt, max_new_tokens=256)
        lines.append([case, prompt, answer.text, answer.visual_tokens, round(answer.seconds, 1)])
    return pd.DataFrame(lines, columns=columns)
