"""Will it fit? Memory and seconds of a question, by arithmetic on shapes alone, before anything is loaded. No torch.

What a device holds while a question is asked, in bytes; each term is the sum of the tensors that live at one moment of
the code that runs. ``python -m benchmarks.memory`` holds the terms against memory that was measured.

* **Weights**: of tower, compressor, projector and language model. In 8 and 4 bits the linear layers alone; the token
  table, output head, patch embedding, position table, norms and biases stay in 16 bits, as bitsandbytes leaves them.
* **Patches**: the pixels of all maps in float32, kept until the answer is there.
* **Encoding**: a block of the tower where it is widest, for all maps of a call at once: its input, the sum after
  attention and the norm of that, the hidden layer before and after GELU. For few patches the position table in float32
  is more, with the positions read from it.
* **Cache**: keys and values of all layers, for all tokens.
* **Reading**: the last layer of the language model where it is widest: the embeddings (``generate`` holds them twice),
  the layer's input, the sum after attention and the norm of that, gate, up and their product; and the rotary table.
  Logits are made for the last token alone, and the kernels of attention keep no L x L numbers.
* **In 8 bits** a product passes through int8, int32 and float16 on its way to bfloat16; **in 4 bits** a layer's weights
  are there in 16 bits while they are used. Both are read in bitsandbytes 0.50, not measured.
* **Allowance**, a guess: :data:`FIXED` for the CUDA context and the libraries' workspaces, and :data:`LOST` of all that
  is not weights for what the allocator cannot use.

Encoding and reading follow one another, so the larger of them counts. The compressor and the projector hold less than
these two; a further word of the answer holds less than the prompt. :func:`oryx.processing.processor.ask` encodes all
maps in one call; :class:`oryx.eval.features.FrameEncoder` does it in chunks, and keeps the compressed tokens.
"""

from bisect import bisect_right
from dataclasses import dataclass

from oryx.grids import Grid, Size, compressed_grid, image_token_count, patch_grid, token_count, view_sizes
from oryx.grids import video_token_count as tokens_of_video
from oryx.processing.context import PATCH, PROMPT_TOKENS, frame_size
from oryx.processing.options import PreprocessOptions
from oryx.processing.shapes import FORMATS, Shape

GIGA, TERA = 1e9, 1e12
FIXED, LOST = 1 * GIGA, 0.05
CHUNK = 64
"""Frames that are encoded at a time where they are not encoded all at once."""

OPERATIONS, BYTES, SHARE = 312.0, 2.0, 0.4
"""Of an A100 by its data sheet: bfloat16 operations and bytes of memory a second, in 10¹²; and the share of the
operations that is assumed to be reached."""

MOST = 1_000_000
"""No more frames than this are looked for."""


@dataclass(frozen=True)
class Shown:
    """A visual in numbers.

    Attributes:
        maps: views or frames. ``patches``: of all maps. ``pairs``: of patches that attend to each other.
        kept: tokens after the compressor. ``tokens``: what the projector emits, newlines and separators included.
    """

    maps: int
    patches: int
    pairs: int
    kept: int
    tokens: int


def picture(size: Size, patch: int = PATCH, side: int = 1) -> Shown:
    """A picture of ``size`` (height, width) in pixels with its second view, by the released rules, which are for 1x;
    compressed in regions of ``side`` x ``side`` patches."""
    rules = PreprocessOptions()
    grids = [patch_grid(view, patch) for view in view_sizes(size, rules.low, rules.high, rules.max_pixels)]
    (small, large), kept = map(token_count, zip(grids)), [compressed_grid(grid, side) for grid in grids]
    return Shown(2, small + large, small**2 + large**2, token_count(kept), image_token_count(*kept))


def video(frames: int, size: Size, ratio: int, patch: int = PATCH) -> Shown:
    """A video of frames of ``size`` (height, width) in pixels at 1x, 4x or 16x, by the released rules."""
    return frames_of(frames, patch_grid(frame_size(size, ratio), patch), round(ratio**0.5))


def frames_of(frames: int, grid: Grid, side: int) -> Shown:
    """A video of frames of ``grid`` patches, compressed in regions of ``side`` x ``side``."""
    count, small = token_count([grid]), compressed_grid(grid, side)
    tokens = tokens_of_video(frames, small)
    return Shown(frames, frames * count, frames * count**2, frames * token_count([small]), tokens)


@dataclass(frozen=True)
class Memory:
    """Bytes.

    Attributes:
        weights: of all parts. ``cache``: keys and values, a part of ``reading``.
        encoding, reading: beside the weights, while the tower or the language model is at its widest.
    """

    weights: float
    encoding: float
    reading: float
    cache: float

    @property
    def peak(self) -> float:
        """The most that tensors take together."""
        return self.weights + max(self.encoding, self.reading)

    @property
    def needed(self) -> float:
        """The peak with the allowance: what the device should have."""
        return self.peak + FIXED + LOST * max(self.encoding, self.reading)


def memory(
    shape: Shape, shown: Shown, numbers: str = "bf16", chunk: int | None = None, prompt: int = PROMPT_TOKENS
) -> Memory:
    """What one question about ``shown`` takes, in a format of :data:`oryx.processing.shapes.FORMATS`.

    ``chunk``: maps that are encoded at a time, as the evaluation of long videos does; None: all, as ``ask`` does.
    """
    tower, text, size = shape.tower, shape.text, FORMATS[numbers][2]
    once, length = shown.patches * min(1, (chunk or shown.maps) / shown.maps), shown.tokens + prompt
    channels, width, pixels = tower["hidden_size"], text["hidden_size"], 4 * 3 * tower["patch_size"] ** 2
    block = size * 3 * channels * once + _mlp(numbers, once, channels, tower["intermediate_size"], 2)
    positions = channels * (4 * tower["position_grid"] ** 2 + 8 * once)
    cache = 2 * size * text["num_hidden_layers"] * text["num_key_value_heads"] * text["head_dim"] * length
    layer = size * length * ((4 if chunk else 5) * width + 2 * text["head_dim"])
    hidden = _mlp(numbers, length, width, text["intermediate_size"], 3)
    features = size * channels * shown.kept if chunk else 0
    encoding = features + pixels * once + max(block, positions)
    reading = (features if chunk else pixels * shown.patches) + cache + layer + hidden
    return Memory(sum(shape.weights(numbers).values()), encoding, reading, cache)


def _mlp(numbers: str, rows: float, width: int, hidden: int, layers: int) -> float:
    """The most bytes of hidden layers that an MLP holds at once: ``layers`` of them, 3 with a gate, else 2."""
    size = FORMATS[numbers][2]
    if numbers == "8 bit":  # while the last of them is made: int8 of its input, its int32, float16 and bfloat16
        return rows * (width + (8 + size * (layers - 2)) * hidden)
    dequantised = width * hidden if numbers == "4 bit" else 0
    return size * max(layers * rows * hidden, (layers - 1) * rows * hidden + dequantised)


def operations(shape: Shape, shown: Shown) -> tuple[float, float]:
    """Of encoding and of reading, by arithmetic.

    Two a weight and token; four a channel and pair of tokens, half of them where attention is causal.
    """
    weights = {part: sum(n * a * b for n, a, b in linears) for part, (linears, _) in shape.parts().items()}
    text, length = shape.text, shown.tokens + PROMPT_TOKENS
    attended = 4 * shape.tower["num_hidden_layers"] * shape.tower["hidden_size"] * shown.pairs
    encoding = 2 * (weights["tower"] * shown.patches + weights["projector"] * shown.kept) + attended
    causal = 2 * text["num_hidden_layers"] * text["num_attention_heads"] * text["head_dim"] * length**2
    return encoding, 2 * (weights["language model"] * length + text["vocab_size"] * text["hidden_size"]) + causal


def seconds(shape: Shape, shown: Shown, numbers: str = "bf16", tera: float = OPERATIONS) -> tuple[float, float]:
    """Of encoding and of reading: together the time to the first token.

    By arithmetic: :func:`operations` at :data:`SHARE` of ``tera`` · 10¹² a second, or weights read once if that is
    longer.
    """
    *vision, language = shape.weights(numbers).values()
    both = zip(operations(shape, shown), (sum(vision), language), strict=True)
    return tuple(max(count / (tera * TERA * SHARE), size / (BYTES * TERA)) for count, size in both)


def most_frames(
    shape: Shape, room: float, size: Size, ratio: int, numbers: str = "bf16", chunk: int | None = None
) -> int:
    """The longest video of frames of ``size`` that ``room`` bytes hold, whatever the context; at most :data:`MOST`."""

    def needed(frames: int) -> float:  # it only grows with the length
        return memory(shape, video(frames, size, ratio, shape.tower["patch_size"]), numbers, chunk).needed

    return bisect_right(range(1, MOST + 1), room, key=needed)
