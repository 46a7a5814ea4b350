"""The errors a user can meet. Each message says what was expected and what came.

``exit_code`` is what ``python -m oryx`` returns when the error reaches the command line.
"""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any


class OryxError(Exception):
    """Base of every error raised on purpose by this package."""

    exit_code = 3

    def __str__(self) -> str:
        return shortened(super().__str__(), 3000)  # a value that is told back may be of any length


class InputError(OryxError, ValueError):
    """An image, video, question or other user input that cannot be used."""


class CheckpointError(OryxError, ValueError):
    """Weights or a configuration that are missing, truncated or of the wrong shape."""

    exit_code = 2


class SettingsError(OryxError, ValueError):
    """An unknown, mistyped or contradictory setting; raised before any long work."""

    exit_code = 2


class RunError(OryxError, RuntimeError):
    """A run that cannot start or go on (locked shard, unreadable rows, full disk)."""


class MissingResource(OryxError, RuntimeError):
    """Something that this machine lacks: weights, a benchmark, a GPU, an optional package."""

    exit_code = 2


def shortened(text: Any, most: int = 200) -> str:
    """A text for a message, cut after ``most`` characters; it then says how many there are."""
    return text if len(text := str(text)) <= most else f"{text[:most]}... ({len(text):,} characters)"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'nearest'? ``, or nothing where no known word is near."""
    near = difflib.get_close_matches(str(word), known, 1, 0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def check_known(words: Iterable[str], known: Collection[str], what: str) -> None:
    """Raises SettingsError for the first of ``words`` that is not known, with the nearest one; ``what`` they name."""
    for word in words:
        if word not in known:
            raise SettingsError(f"unknown {what} {word!r}; {did_you_mean(word, known)}known: {', '.join(known)}")


def first_fault(error: Any) -> str:
    """What pydantic's ValidationError found wrong first: the field, what was expected, what came."""
    first = error.errors()[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    text = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected").replace("tuple", "list")
    if first["type"] not in ("value_error", "missing", "extra_forbidden"):
        text += f", got {first['input']!r}"
    if first["type"] == "literal_error":
        text += "; " + did_you_mean(str(first["input"]), re.findall("'([^']*)'", first["ctx"]["expected"]))
    return ": ".join(filter(None, (field, text.rstrip("; "))))
