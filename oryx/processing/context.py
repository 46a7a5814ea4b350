"""How many frames fit into a context: arithmetic on the released models' configurations. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oryx.errors import CheckpointError, InputError, SettingsError, check_known
from oryx.grids import Grid, Size, compressed_grid, patch_grid, video_token_count
from oryx.processing.options import PreprocessOptions

CONTEXTS = {"Oryx-7B": 32768, "Oryx-34B-Image": 8192, "Oryx-1.5-Image": 16384}
"""``tokenizer_model_max_length`` of the released config.json files: samples are cut there, at inference too. Their
language models have 32768, 16384 and 32768 positions. The configurations of the video models Oryx-34B, Oryx-1.5-7B and
Oryx-1.5-32B were not found."""

SIZES = {"256x256": (256, 256), "640x360": (360, 640), "1280x720": (720, 1280)}
PATCH, PROMPT_TOKENS = 16, 128
RULES = {16: "video_long", 4: "video", 1: "video"}
LIMIT, POSITIONS = "tokenizer_model_max_length", "max_position_embeddings"
SCALINGS = ("yarn", "dynamic")
"""How rotary positions may be scaled, as transformers names it. ``yarn``: every angle, whatever the length.
``dynamic``: only in sequences that are longer than the language model's own positions."""


@dataclass(frozen=True)
class Context:
    """How many ``tokens`` a model reads, by which ``scaling`` of its rotary positions ("none" or one of SCALINGS) and
    by which ``factor``; ``source`` says in words where the number comes from."""

    tokens: int
    source: str
    scaling: str = "none"
    factor: float = 1.0

    def __str__(self) -> str:
        scaled = "" if self.scaling == "none" else f", {self.scaling} scaling by {self.factor:g}"
        return f"{self.tokens:,} tokens ({self.source}{scaled})"


def context_of(config: Mapping[str, Any], least: int | None = None, scaling: str = "yarn") -> Context:
    """The context of a checkpoint by its ``config.json``, in our format or the authors'; at least ``least`` tokens.

    A checkpoint that states no limit has as many tokens as its language model has positions. Beyond these they are
    scaled.

    Raises:
        CheckpointError: neither a limit nor positions are stated, or one of them is no whole number of at least 1.
        SettingsError: another scaling than SCALINGS, or positions that the checkpoint scales already.
    """
    check_known([scaling], SCALINGS, "rope scaling")
    text = config.get("text_config") or config
    stated = {LIMIT: config.get(LIMIT), POSITIONS: text.get(POSITIONS)}
    for name, value in stated.items():
        if value is not None and (type(value) is not int or value < 1):
            raise CheckpointError(f"config.json: {name}: expected a whole number of at least 1, got {value!r}")
    source = next((name for name, value in stated.items() if value is not None), None)
    if source is None:
        raise CheckpointError(f"config.json: expected {LIMIT} or {POSITIONS}, to tell what the model can read")
    if least is None or least <= stated[source]:
        return Context(stated[source], source)
    positions = stated[POSITIONS] or stated[LIMIT]
    if least <= positions:
        return Context(least, f"asked for; within {POSITIONS}")
    if (kind := (text.get("rope_parameters") or {}).get("rope_type", "default")) != "default":
        raise SettingsError(f"context: {least} tokens need scaling, and the checkpoint has {kind!r} scaling of its own")
    return Context(least, f"asked for; {POSITIONS} {positions:,}", scaling, least / positions)


def frame_tokens(grid: Grid) -> int:
    """What one more frame of ``grid`` costs."""
    return video_token_count(1, grid) - video_token_count(0, grid)


def frames_that_fit(context: int, grid: Grid) -> int:
    """The longest video, in frames of ``grid`` after compression, that fits a context beside the prompt."""
    return max(0, (context - PROMPT_TOKENS - video_token_count(0, grid)) // frame_tokens(grid))


def check_fits(frames: int, context: int, grid: Grid) -> None:
    """Raises InputError, saying how many frames fit, if ``frames`` frames do not."""
    if frames > (most := frames_that_fit(context, grid)):
        tokens = video_token_count(frames, grid) + PROMPT_TOKENS
        raise InputError(
            f"{frames} frames of {grid[0]} x {grid[1]} tokens need {tokens} tokens with the prompt; the context holds "
            f"{context}, that is {most} frames. Ask for fewer frames, for frames of at most "
            f"{max(0, context - PROMPT_TOKENS - 2) // frames} tokens, more compression, or a context of {tokens} tokens"
        )


def frame_size(size: Size, ratio: int, options: PreprocessOptions | None = None) -> Size:
    """What a video frame of ``size`` pixels is resized to for compression by ``ratio``, by the released rules."""
    return getattr(options or PreprocessOptions(), RULES[ratio]).target(size)


def compressed(size: Size, ratio: int, options: PreprocessOptions | None = None, patch: int = PATCH) -> Grid:
    """Grid of a video frame of ``size`` pixels after resizing by the released rules and compression by ``ratio``."""
    return compressed_grid(patch_grid(frame_size(size, ratio, options), patch), round(ratio**0.5))
