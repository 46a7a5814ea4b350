"""What figures, tables and sentences call an arm. No torch."""

import re
import tomllib
from functools import cache
from pathlib import Path


@cache
def _names() -> dict[str, str]:
    return tomllib.loads(Path(__file__).with_name("names.toml").read_text(encoding="utf-8"))


def name_of(arm: str) -> str:
    """What an arm is called; one that ``names.toml`` lacks as it is, its underscores blanks."""
    return _names().get(arm, arm.replace("_", " "))


def with_names(text: str) -> str:
    """A text about arms with their names in the place of their codes."""
    return re.sub(r"\w+", lambda word: _names().get(word[0], word[0]), text)
