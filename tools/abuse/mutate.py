"""Odd inputs: bytes and JSON values that were changed by chance, and values that nobody expected."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        "",
        " ",
        "null",
        "nan",
        "../../etc/passwd",
        "/dev/null",
        "a\x00b",
        "<script>alert(1)</script>",
    ),
    *("x" * 5000, "\ud800", "1e999", "${HOME}", "[1,2", "-1", "0", -1, 0, 1, 3, 2**31, 2**63, 10**30, -(2**40), 0.5),
    *(-1.5, 1e308, float("inf"), float("nan"), [], [[]], {}, {"a": 1}, [None], [1, "a"], "auto", "native"),
)
"""Values to put in the place of others."""
NUMBERS = (
    b"\0" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x01",
    b"\x01\0\0\0",
    b"\x80\0\0\0",
)


def bytes_of(data: bytes, chance: random.Random) -> tuple[bytes, bool]:
    """The data changed in one to four ways; and whether its end alone is missing."""
    out = bytearray(data)
    if chance.random() < 0.15:
        return data[: chance.randrange(len(data))], True
    for _ in range(chance.randint(1, 4)):
        if len(out) < 8:
            break
        at, length = chance.randrange(len(out) - 4), min(len(out) // 3, chance.choice((1, 2, 4, 16, 64, 512)))
        how = chance.randrange(8)
        if how == 0:
            out[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            out[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x0A))
        elif how == 2:
            out[at : at + 4] = chance.choice(NUMBERS)
        elif how == 3:
            del out[at : at + length]
        elif how == 4:
            out[at:at] = out[at : at + length]
        elif how == 5:
            out[at : at + length] = bytes(min(length, len(out) - at))
        elif how == 6:
            out[at:at] = chance.randbytes(length)
        else:
            other = chance.randrange(len(out) - 4)
            out[at : at + length] = out[other : other + length]
    return bytes(out), False


def value_of(value: Any, chance: random.Random) -> Any:
    """A JSON value with one to three of its parts changed, dropped, doubled or renamed."""
    out = {"": copy.deepcopy(value)}
    for _ in range(chance.randint(1, 3)):
        places = [(out, "")]
        for holder, key in places:
            inner = holder[key]
            if isinstance(inner, dict):
                places += [(inner, name) for name in inner]
            elif isinstance(inner, list):
                places += [(inner, number) for number in range(len(inner))]
        holder, key = chance.choice(places[1:] or places)
        how = chance.randrange(5)
        if how == 0 and key != "":
            holder.pop(key)
        elif how == 1 and isinstance(holder, dict) and key != "":
            holder[f"{key}_"] = holder.pop(key)
        elif how == 2 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return out[""]


def json_of(data: bytes, chance: random.Random) -> bytes:
    """A JSON file with a changed value."""
    return json.dumps(value_of(json.loads(data), chance)).encode("utf-8", "surrogatepass")


def examples(strategy: strategies.SearchStrategy, count: int) -> list[Any]:
    """``count`` values that hypothesis finds of a strategy, the same ones every time; fewer where there are no more."""
    found: list[Any] = []

    @hypothesis.settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found[:count]


def odd_values() -> strategies.SearchStrategy:
    """Odd values of ours, or any JSON value or text."""
    plain = strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text()
    nested = strategies.recursive(
        plain,
        lambda one: strategies.lists(one, max_size=4) | strategies.dictionaries(strategies.text(), one, max_size=3),
    )
    return strategies.sampled_from(ODD) | nested


Change = Callable[[bytes, random.Random], tuple[bytes, bool]]
