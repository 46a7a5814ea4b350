"""Whether an answer is right: the rules of benchmarks and of one's own tables. No torch.

Where no rule can read an answer it counts as wrong; nothing is guessed, so a model that answers nothing scores nothing.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from string import ascii_uppercase

ANSWER_IS = r"(?:answer|option|choice)\b(?:\s+(?:is|should be|would be))?\W*"


def score(answer: str, truth: str, rule: str) -> float:
    """1 if the answer is right, else 0; case, accents' encoding, spaces, quotes and closing punctuation do not matter.

    ``exact``: the answer is the truth. ``contains``: its words stand somewhere in the answer, in this order and side by
    side ("a red cat" contains "cat", not "at").
    """
    given, expected = plain(answer), plain(truth)
    if rule == "exact":
        return float(given == expected)
    return float(re.search(rf"(?<!\w){re.escape(expected)}(?!\w)", given) is not None)


def option_letter(answer: str, options: Sequence[str]) -> str:
    """The letter of the option that an answer chooses; "" where it chooses none, or more than one.

    Read in this order: the letter alone or before a mark ("B", "(B)", "B.", "**B**: red"); "the answer is B"; the text
    of one option and no more, with its letter or without; one bracketed letter; one capital letter that stands alone;
    the text of exactly one option somewhere. "A" before a small letter is the article.
    """
    letters = ascii_uppercase[: len(options)]
    text, one, texts = answer.strip(), f"([{letters}])", [plain(option) for option in options]
    alone = rf"{one}(?![\w'])(?!\s+(?!or\b|and\b)[a-z])"
    first = rf"\W*{one}\s*[.):,*\]\n](?!\s*(?:or|and|\(?[{letters}])\b)"
    if found := re.fullmatch(rf"\W*{one}\W*", text, re.IGNORECASE) or re.match(first, text):
        return found[1].upper()
    if found := re.findall(rf"(?i:{ANSWER_IS}){alone}", text):
        return found[-1]
    given = plain(text), plain(re.sub(rf"^{one}\s+", "", text))
    for found in (
        {letter for letter, option in zip(letters, texts, strict=True) if option in given},
        set(re.findall(rf"\({one}\)", text)),
        set(re.findall(rf"(?<![\w']){alone}", text)),
        {letter for letter, option in zip(letters, texts, strict=True) if score(text, option, "contains")},
    ):
        if found:
            return found.pop() if len(found) == 1 else ""
    return ""


RULES: dict[str, Callable[[str, Sequence[str], Sequence[str]], bool]] = {
    "letter": lambda answer, truths, options: option_letter(answer, options) in truths,
    # OCRBench: some truth stands in the answer, case aside
    "reading": lambda answer, truths, _: any(_folded(truth) in _folded(answer) for truth in truths),
    # OCRBench's HME100k: the same without blanks, case kept
    "formula": lambda answer, truths, _: any("".join(truth.split()) in "".join(answer.split()) for truth in truths),
    # ScanQA (ATR-DBI/ScanQA, scripts/score.py): one of its answers, letter by letter
    "verbatim": lambda answer, truths, _: answer in truths,
    "exact": lambda answer, truths, _: any(score(answer, truth, "exact") for truth in truths),
}
"""Name of a rule -> whether (answer, truths, options) is right."""


def _folded(text: str) -> str:
    """As OCRBench compares: small letters, full-width forms as ASCII, lines as one."""
    wide = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
    return text.translate(wide).lower().strip().replace("\n", " ")


def plain(text: str) -> str:
    """Text without what does not count: case, encoding of accents, blanks, quotes and closing punctuation."""
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return text.strip("\"'`“”‘’ ").rstrip(".!?,;: ").strip("\"'`“”‘’ ") or text
