"""Prompts and labels: the forms of the public code, differing by one newline, and a terse one for small models.

``qwen``
    ChatML built piece by piece, as the public code trains all models and runs the 7B ones: each visual mark is followed
    by a newline token of its own, so two newlines stand between visual and question.
``template``
    ChatML as one string split at the marks: one newline. The published evaluation of all models, and the 34B model's
    inference, use this form.
``plain``
    the visual, the question, a newline; then the answer and the end token. Small models of the studies.

Facts: reference files ``train.py``, ``mm_utils.py``, ``conversation.py``, ``inference.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL, VISUAL_TOKEN_ID

MARK = "<image>"
SYSTEM = "You are a helpful assistant."
FORMS = ("qwen", "template", "plain")
MARKS = ("all", "first", "text")
STOP_TOKENS = {"qwen": ("<|im_end|>", "<|endoftext|>"), "template": ("<|im_end|>",), "plain": ("<|endoftext|>",)}
"""What ends an answer, by form; tokens that a tokenizer lacks are passed over."""

Turn = Mapping[str, str | None]
"""{"from": "human" or "gpt", "value": text or None}; a last value of None asks for an answer."""


@dataclass(frozen=True)
class Tokens:
    """Token ids with ``-200`` for each visual, and the label of each (-100: not supervised)."""

    input_ids: list[int]
    labels: list[int]


def tokenize(
    tokenizer: PreTrainedTokenizerBase, conversation: Sequence[Turn], form: str = "qwen", marks: str = "all"
) -> Tokens:
    """Ids and labels of a conversation in one of the three forms.

    ``marks``: "all": every visual mark of a question is a visual. The other two exist for parity with the public
    training code, in the form "qwen" only: "first": of any turn, answers too, only the first mark is a visual, later
    ones are tokenised as text (a defect); "text": none is, as in its samples without visuals.
    Raises InputError for an unknown form, unknown ``marks`` or an ill-formed conversation.
    """
    if form not in FORMS:
        raise InputError(f"prompt form {form!r}: expected one of {', '.join(FORMS)}")
    if marks not in MARKS or (marks != "all" and form != "qwen"):
        raise InputError(f"marks {marks!r}: expected one of {', '.join(MARKS)} in form 'qwen', 'all' in form {form!r}")
    turns = checked(conversation)
    if form == "qwen":
        return _piecewise(tokenizer, turns, marks)
    if form == "plain":
        return _plain(tokenizer, turns)
    if any(turn["value"] is not None for turn in turns[1::2]):
        raise InputError("the template form is for asking: expected a question without its answer")
    ids = _split_at_marks(tokenizer, prompt_text(turns[0]["value"]))
    return Tokens(ids, [IGNORED_LABEL] * len(ids))


def checked(conversation: Sequence[Turn]) -> list[Turn]:
    """The turns, beginning with the user's; an opening by another is dropped, as in the public code.

    Raises InputError unless questions and answers alternate and each has its text (the last answer may be None).
    """
    turns = list(conversation)
    if turns and turns[0].get("from") != "human":
        turns = turns[1:]
    for i, turn in enumerate(turns):
        expected = ("human", "gpt")[i % 2]
        if turn.get("from") != expected:
            raise InputError(f"turn {i}: expected from {expected!r}, got {turn.get('from')!r}")
        if turn.get("value") is None and (expected == "human" or i < len(turns) - 1):
            raise InputError(f"turn {i}: expected text, got None")
    if not turns:
        raise InputError("conversation: expected at least one question, got none")
    return turns


def question(text: str) -> list[dict]:
    """The conversation that asks ``text`` and waits for an answer."""
    return [{"from": "human", "value": text}, {"from": "gpt", "value": None}]


def prompt_text(text: str) -> str:
    """The whole ChatML prompt of one question, ready to be answered."""
    return f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def move_marks_first(conversation: Sequence[Turn], keep_all: bool = True) -> list[dict]:
    """The training rewrite: a turn with a mark that does not begin with one gets its mark moved to the front.

    The public code puts one mark in front whatever their number, in answers too; with ``keep_all`` (the fix) as many as
    there were, in questions only: a mark in an answer is text.
    """
    moved = []
    for turn in conversation:
        text = turn["value"]
        ours = turn["from"] == "human" or not keep_all
        if ours and text is not None and MARK in text and not text.startswith(MARK):
            count = text.count(MARK) if keep_all else 1
            text = (f"{MARK}\n" * count + text.replace(MARK, "").strip()).strip()
        moved.append({**turn, "value": text})
    return moved


def stop_ids(tokenizer: PreTrainedTokenizerBase, form: str) -> list[int]:
    """Ids of the tokens that end an answer."""
    known = tokenizer.get_vocab()
    found = [known[token] for token in STOP_TOKENS[form] if token in known]
    if not found and tokenizer.eos_token_id is not None:
        found = [tokenizer.eos_token_id]
    if not found:
        raise InputError(f"the tokenizer has none of the stop tokens {', '.join(STOP_TOKENS[form])}")
    return found


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


def _split_at_marks(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids, begin = _marked(tokenizer, text, []), tokenizer.bos_token_id
    return [begin, *ids] if begin is not None and tokenizer("a")["input_ids"][0] == begin else ids


def _piecewise(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], marks: str) -> Tokens:
    known = tokenizer.get_vocab()
    missing = [token for token in ("<|im_start|>", "<|im_end|>") if token not in known]
    if missing:
        raise InputError(f"the tokenizer lacks {' and '.join(missing)}: expected a ChatML tokenizer, or form 'plain'")
    start, end = known["<|im_start|>"], known["<|im_end|>"]
    newline = _encode(tokenizer, "\n")

    def role(name: str) -> list[int]:
        return _encode(tokenizer, name) + newline

    # of every piece its ids, and whether they are supervised
    pieces = [([start], True), (role("system") + _encode(tokenizer, SYSTEM), False), ([end, *newline], True)]
    for turn in turns:
        human = turn["from"] == "human"
        pieces += [([start], True), (role("user" if human else "assistant"), False)]
        if turn["value"] is None:
            break
        kind = marks if human or marks != "all" else "text"
        pieces += [(_marked(tokenizer, turn["value"], newline, kind), not human), ([end, *newline], True)]
    ids = [i for piece, _ in pieces for i in piece]
    return Tokens(ids, [i if supervised else IGNORED_LABEL for piece, supervised in pieces for i in piece])


def _marked(tokenizer: PreTrainedTokenizerBase, text: str, after: list[int], marks: str = "all") -> list[int]:
    """Ids of a text, a mark's followed by those of ``after``; ``marks`` as in :func:`tokenize`."""
    ids: list[int] = []
    for i, part in enumerate(text.split(MARK, {"all": -1, "first": 1, "text": 0}[marks])):
        ids += [VISUAL_TOKEN_ID, *after] * (i > 0) + _encode(tokenizer, part)
    return ids


def _plain(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn]) -> Tokens:
    if len(turns) > 2:
        raise InputError(f"the plain form has one question and one answer, got {len(turns)} turns")
    text = turns[0]["value"]
    marks = text.count(MARK)
    prompt = [VISUAL_TOKEN_ID] * marks + _encode(tokenizer, text.replace(MARK, "").strip() + "\n")
    answer = turns[1]["value"] if len(turns) == 2 else None
    tail = [] if answer is None else [*_encode(tokenizer, answer), stop_ids(tokenizer, "plain")[0]]
    return Tokens(prompt + tail, [IGNORED_LABEL] * len(prompt) + tail)
