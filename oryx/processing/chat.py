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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL, VISUAL_TOKEN_ID

MARK = "<image>"
SYSTEM = "You are a helpful assistant."
FORMS = ("qwen", "template", "plain")
MARKS = ("all", "first", "text")
_WRITTEN = """{%- macro written(content) -%}{%- if content is string -%}{{ content }}{%- else -%}
{%- set passes = [["image", "video"], ["text"]] if content[0]["type"] == "text" else [["image", "video", "text"]] -%}
{%- for kinds in passes -%}{%- for part in content -%}{%- if part["type"] not in ["image", "video", "text"] -%}
{{ raise_exception("content: expected parts of type image, video or text, got " ~ part["type"]) }}
{%- elif part["type"] in kinds -%}{{ part["text"] if part["type"] == "text" else "<" ~ part["type"] ~ ">\\n" }}
{%- endif -%}{%- endfor -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}"""
_CHATML = """{%- for message in messages -%}{%- if loop.first and message["role"] != "system" -%}
{{ "<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n" }}{%- endif -%}
{{ "<|im_start|>" + message["role"] + "\\n" }}{{ written(message["content"]) }}{{ "<|im_end|>\\n" }}{%- endfor -%}
{%- if add_generation_prompt -%}{{ "<|im_start|>assistant\\n" }}{%- endif -%}"""
_PLAIN = """{%- for message in messages -%}
{%- if loop.index > 2 or message["role"] != ["user", "assistant"][loop.index0] -%}
{{ raise_exception("this model's prompt form takes one question of the user and one answer of the assistant") }}
{%- endif -%}{{ written(message["content"]) }}{{ "\\n" if loop.first else "<|endoftext|>" }}{%- endfor -%}"""
TEMPLATES = {"qwen": _WRITTEN + _CHATML, "template": _WRITTEN + _CHATML, "plain": _WRITTEN + _PLAIN}
"""Jinja chat templates by form. Images and videos stand where they are said; where a message begins with text all its
visuals come first, as the public training code has it. A rendered text gives the same ids as the question in it."""
RENDERED = ("<|im_start|>", "<|endoftext|>")
"""How a rendered text begins, in the ChatML forms, and how one with its answer ends, in the form "plain"."""
STOP_TOKENS = {"qwen": ("<|im_end|>", "<|endoftext|>"), "template": ("<|im_end|>",), "plain": ("<|endoftext|>",)}
"""What ends an answer, by form; tokens that a tokenizer lacks are passed over."""

Turn = Mapping[str, str | None]
"""{"from": "human" or "gpt", "value": text or None}; a last value of None asks for an answer."""


@dataclass(frozen=True)
class Tokens:
    """Token ids with ``-200`` for each visual, and the label of each (-100: not supervised)."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Message:
    """One message in any form; one that has not ``ended`` is to be continued, with an empty text: to be answered."""

    role: str
    text: str
    ended: bool = True

    def written(self) -> str:
        """As it stands in a ChatML text."""
        return f"<|im_start|>{self.role}\n{self.text}" + "<|im_end|>\n" * self.ended


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
    return tokenize_messages(tokenizer, as_messages(checked(conversation)), form, marks, answered=False)


def tokenize_messages(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    form: str = "qwen",
    marks: str = "all",
    answered: bool = True,
) -> Tokens:
    """As :func:`tokenize`, of messages; ``answered``: the form "template" takes answers too, without labels."""
    if form == "qwen":
        return _piecewise(tokenizer, messages, marks)
    if form == "plain":
        return _plain(tokenizer, messages)
    if not answered and any(message.ended for message in messages if message.role == "assistant"):
        raise InputError("the template form is for asking: expected a question without its answer")
    ids = _split_at_marks(tokenizer, "".join(message.written() for message in messages))
    return Tokens(ids, [IGNORED_LABEL] * len(ids))


def checked(conversation: Sequence[Turn]) -> list[Turn]:
    """The turns, beginning with the user's; an opening by another is dropped, as in the public code.

    Raises InputError unless questions and answers alternate and each has its text (the last answer may be None).
    """
    turns = list(conversation)
    if turns and "role" in turns[0]:
        raise InputError(
            "conversation: expected turns with from and value; for role and content use apply_chat_template"
        )
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


def as_messages(turns: Sequence[Turn]) -> list[Message]:
    """Turns as messages, behind the system's; see :func:`checked`."""
    names = {"human": "user", "gpt": "assistant"}
    spoken = [Message(names[turn["from"]], turn["value"] or "", turn["value"] is not None) for turn in turns]
    return [Message("system", SYSTEM), *spoken]


def read_rendered(text: str, form: str) -> list[Message]:
    """The messages of a text that a template of :data:`TEMPLATES` wrote; the question in form "plain" is one line.

    Raises InputError for any other text.
    """
    if form == "plain":
        whole = re.fullmatch(r"((?:<image>\n|<video>\n)*[^\n]*)\n(.*)<\|endoftext\|>", text, re.DOTALL)
        return [Message("user", whole[1]), Message("assistant", whole[2])] if whole else as_messages(question(text))
    found = re.findall(r"<\|im_start\|>(\w+)\n(.*?)(<\|im_end\|>\n?|(?=<\|im_start\|>)|\Z)", text, re.DOTALL)
    messages = [Message(role, content, bool(end)) for role, content, end in found]
    if "".join(message.written() for message in messages).rstrip("\n") != text.rstrip("\n"):
        raise InputError(f"text: expected ChatML as apply_chat_template writes it, got {text[:200]!r}")
    return messages


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
    found = [known for token in STOP_TOKENS[form] if (known := _id_of(tokenizer, token)) is not None]
    if not found and tokenizer.eos_token_id is not None:
        found = [tokenizer.eos_token_id]
    if not found:
        raise InputError(f"the tokenizer has none of the stop tokens {', '.join(STOP_TOKENS[form])}")
    return found


def _id_of(tokenizer: PreTrainedTokenizerBase, token: str) -> int | None:
    """The id of a token, None where there is none; the vocabulary is not listed, which takes 0.1 s of a large one."""
    found = tokenizer.convert_tokens_to_ids(token)
    return found if found is not None and tokenizer.convert_ids_to_tokens(found) == token else None


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


def _split_at_marks(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids, begin = _marked(tokenizer, text, []), tokenizer.bos_token_id
    return [begin, *ids] if begin is not None and tokenizer("a")["input_ids"][0] == begin else ids


def _piecewise(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], marks: str) -> Tokens:
    known = {token: _id_of(tokenizer, token) for token in ("<|im_start|>", "<|im_end|>")}
    missing = [token for token, number in known.items() if number is None]
    if missing:
        raise InputError(f"the tokenizer lacks {' and '.join(missing)}: expected a ChatML tokenizer, or form 'plain'")
    start, end = known["<|im_start|>"], known["<|im_end|>"]
    newline = _encode(tokenizer, "\n")

    def role(name: str) -> list[int]:
        return _encode(tokenizer, name) + newline

    pieces = []  # of every piece its ids, and whether they are supervised
    for message in messages:
        user, assistant = message.role == "user", message.role == "assistant"
        pieces += [([start], True), (role(message.role), False)]
        kind = marks if user or (assistant and marks != "all") else "text"
        pieces += [(_marked(tokenizer, message.text, newline, kind), assistant)]
        pieces += [([end, *newline], True)] * message.ended
    ids = [i for piece, _ in pieces for i in piece]
    return Tokens(ids, [i if supervised else IGNORED_LABEL for piece, supervised in pieces for i in piece])


def _marked(tokenizer: PreTrainedTokenizerBase, text: str, after: list[int], marks: str = "all") -> list[int]:
    """Ids of a text, a mark's followed by those of ``after``; ``marks`` as in :func:`tokenize`."""
    ids: list[int] = []
    for i, part in enumerate(text.split(MARK, {"all": -1, "first": 1, "text": 0}[marks])):
        ids += [VISUAL_TOKEN_ID, *after] * (i > 0) + _encode(tokenizer, part)
    return ids


def _plain(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> Tokens:
    asked, *answers = [message for message in messages if message.role != "system"]
    if len(answers) > 1:
        raise InputError(f"the plain form has one question and one answer, got {len(answers) + 1} turns")
    marks = asked.text.count(MARK)
    prompt = [VISUAL_TOKEN_ID] * marks + _encode(tokenizer, asked.text.replace(MARK, "").strip() + "\n")
    ended = bool(answers) and answers[0].ended
    tail = [*_encode(tokenizer, answers[0].text), stop_ids(tokenizer, "plain")[0]] if ended else []
    return Tokens(prompt + tail, [IGNORED_LABEL] * len(prompt) + tail)
