"""The shape of a model, and what its weights weigh, from its configuration alone. No torch, no other download.

A shape is read from a ``config.json`` in our format or the authors', from a repository's, or taken from
``shapes.toml``, which has those of the released models.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oryx.errors import CheckpointError, MissingResource, did_you_mean
from oryx.files import read_json
from oryx.hub import from_hub

KNOWN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
RELEASED: dict[str, dict] = KNOWN["models"]
"""Short name ("7b", "34b", "1.5-7b", "1.5-32b") -> the fields of its configuration that are known."""

BIASED = {"qwen2": True, "oryx_qwen": True, "llama": False, "oryx_llama": False}
"""Kind of language model -> whether its queries, keys and values have biases; of other kinds nothing is known here."""

NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
FORMATS = {"fp32": (4, 0, 4), "bf16": (2, 0, 2), "8 bit": (1, 4, 2), "4 bit": (0.5 + 4 / 64, 0, 2)}
"""Bytes of a weight of a linear layer, of one row of its outputs, and of any other number. The last two as bitsandbytes
holds them: int8 with a float32 scale a row, 4 bits with one for 64 weights."""


@dataclass(frozen=True)
class Shape:
    """A model's sizes.

    Attributes:
        tower, text: the fields of a configuration that say the sizes of tower and language model.
        compressor: width of queries and keys. ``context``: longest sequence; None: not limited, or not known.
        note: what is not certain about it.
    """

    name: str
    tower: dict
    text: dict
    compressor: int
    context: int | None
    note: str

    @classmethod
    def of(cls, config: Mapping, name: str) -> "Shape":
        """From the fields of a ``config.json``; raises CheckpointError with ``name`` and what is missing or unknown."""
        text = dict(config.get("text_config") or config)
        if text.get("model_type") not in BIASED:
            got = f"{config.get('model_type')!r} with {text.get('model_type')!r}"
            raise CheckpointError(f"{name}: model_type: expected an Oryx with a qwen2 or llama inside, got {got}")
        if missing := [field for field in NEEDED if not isinstance(text.get(field), int)]:
            raise CheckpointError(f"{name}: expected whole numbers, missing: {', '.join(missing)}")
        heads = text["num_attention_heads"]
        text["num_key_value_heads"] = text.get("num_key_value_heads") or heads
        text["head_dim"] = text.get("head_dim") or text["hidden_size"] // heads
        tower = KNOWN["tower"] | {k: v for k, v in (config.get("vision_config") or {}).items() if k in KNOWN["tower"]}
        limit, note = config.get("tokenizer_model_max_length"), config.get("note", "")
        return cls(name, tower, text, config.get("compressor_dim") or 256, limit, note)

    def parts(self) -> dict[str, tuple[list[tuple[int, int, int]], int]]:
        """Part -> its linear layers (how many of a size, what they take, what they give), and its other weights.

        Biases are among the others, and so is the output head: it stays as it is when linear layers are quantised.
        """
        channels, hidden, blocks = (self.tower[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
        width, mlp, layers, heads, rows = (self.text[name] for name in NEEDED)
        inner, keys = (count * self.text["head_dim"] for count in (heads, self.text["num_key_value_heads"]))
        table = self.tower["position_grid"] ** 2 + 3 * self.tower["patch_size"] ** 2 + 1
        tokens, biases = rows * (2 - bool(self.text.get("tie_word_embeddings"))), BIASED[self.text["model_type"]]
        block = ((1, channels, 3 * channels), (1, channels, channels), (1, channels, hidden), (1, hidden, channels))
        layer = ((1, width, inner), (2, width, keys), (1, inner, width), (2, width, mlp), (1, mlp, width))
        both = [[(n * times, *sides) for n, *sides in one] for one, times in ((block, blocks), (layer, layers))]
        return {
            "tower": (both[0], channels * table + blocks * (9 * channels + hidden)),
            "compressor": ([(2, channels, self.compressor)], 2 * self.compressor),
            "projector": ([(1, channels, width), (1, width, width)], 6 * width),
            "language model": (both[1], (tokens + 1 + 2 * layers) * width + biases * layers * (inner + 2 * keys)),
        }

    def weights(self, numbers: str = "bf16") -> dict[str, float]:
        """Part -> bytes of its weights in one of :data:`FORMATS`."""
        weight, row, other = FORMATS[numbers]
        return {
            part: sum(n * given * (taken * weight + row) for n, taken, given in linears) + others * other
            for part, (linears, others) in self.parts().items()
        }


def read_shape(name: str | Path) -> Shape:
    """The shape behind a short name of :data:`RELEASED`, a folder, a ``config.json``, or a repository's name.

    Of a repository its ``config.json`` alone is fetched; if that fails, a released one's shape is that of its short
    name. Raises CheckpointError or MissingResource naming what came.
    """
    path, released = Path(name), RELEASED.get(str(name).lower().removeprefix("thudyh/").removeprefix("oryx-"))
    try:
        if path.exists() or re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
            path = path if path.exists() else from_hub(str(name), "config.json")
            return Shape.of(read_json(path / "config.json" if path.is_dir() else path), str(name))
    except MissingResource:
        if not released:
            raise
    if not released:
        known = f"{did_you_mean(str(name).lower(), RELEASED)}expected one of {', '.join(RELEASED)}, a folder with"
        raise CheckpointError(f"{name}: {known} config.json, that file, or a repository like 'THUdyh/Oryx-7B'")
    return Shape.of(released, released["name"])
