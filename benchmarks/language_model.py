"""Batches of a training step read without padding, against the same batches padded.

    python -m benchmarks.language_model [--rounds 7] [--json FILE] [--docs FILE]

Both ways read the same samples with the same weights (``oryx/model/attention.py``). Ratios are medians of CPU time
within one run, in which the two take turns. ``--docs docs/benchmarks.md`` renews the table there.
"""

import argparse
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.measure import in_turns, paired_ratio, timed
from benchmarks.packed_encoder import EQUAL
from benchmarks.results import deliver
from oryx.grids import image_token_count, patch_grid, video_token_count
from oryx.layout import IGNORED_LABEL
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data.items import generator
from workbook.data.pictures import PictureSizes
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe

ANSWER, LAYERS = 3, 2


def pictures(count: int) -> list[int]:
    """Tokens of samples of study 1's training: a picture of any size, a question and an answer of ten bytes."""
    rng, sizes = generator("benchmark"), PictureSizes()
    grids = [patch_grid(sizes.draw(rng), sizes.patch) for _ in range(count)]
    return [image_token_count(None, grid) + 10 for grid in grids]


def videos(count: int, frames: int) -> list[int]:
    """Tokens of samples of study 4's training: a video at 16x, a question and an answer of 8 to 19 bytes."""
    return [video_token_count(frames, (1, 1)) + 8 + i % 12 for i in range(count)]


TRAINING = {
    "32 pictures of any size": pictures(32),
    "48 videos of 12 frames": videos(48, 12),
    "12 videos of 50 frames": videos(12, 50),
    "a video of 400 frames": videos(1, 400),
}
"""A training step's batch -> tokens of its samples."""
LIMITS = {"32 pictures of any size": 2.0}
"""Batch -> how many times as fast as padding it is asked to be: padded it has more than twice the tokens.
Others have hardly any padding to save, and are asked for :data:`benchmarks.packed_encoder.EQUAL`."""


def training(model: OryxForConditionalGeneration, lengths: Sequence[int]) -> dict[str, Callable[[], object]]:
    """Both ways of a step's forward and backward on samples of so many tokens, the last of which are the answer."""
    ids = torch.full((len(lengths), max(lengths)), 7)
    mask = torch.tensor([[1] * length + [0] * (max(lengths) - length) for length in lengths])
    ends = torch.tensor(lengths)[:, None] - torch.arange(max(lengths))
    labels = ids.masked_fill((ends < 1) | (ends > ANSWER), IGNORED_LABEL)
    first = min(lengths) - ANSWER - 1  # the first column that any answer needs
    targets = labels[:, first + 1 :].flatten()

    def padded():
        out = model.language_model(input_ids=ids, attention_mask=mask, logits_to_keep=ids.shape[1] - first)
        F.cross_entropy(out.logits[:, :-1].flatten(0, 1), targets, ignore_index=IGNORED_LABEL).backward()

    def packed():
        model(input_ids=ids, attention_mask=mask, labels=labels, loss_only=True).loss.backward()

    return {"padded": padded, "packed": packed}


def compare(ways: dict[str, Callable[[], object]], rounds: int) -> dict:
    """CPU seconds of each way in turns, and the median ratio of a round."""
    spent = in_turns({name: partial(timed, way) for name, way in ways.items()}, rounds)
    seconds = {name: clocks["cpu"] for name, clocks in spent.items()}
    return {"seconds": seconds, "ratio": paired_ratio(seconds["padded"], seconds["packed"])}


def measure(rounds: int, training_of: Mapping[str, Sequence[int]] = TRAINING) -> list[dict]:
    """Every case, with random weights in the shape of the needle study's reader: the work is the same."""
    torch.manual_seed(0)
    model = build_reader(recipe("nano", text={"num_hidden_layers": LAYERS}))
    found = []
    for batch, lengths in training_of.items():
        limit, ways = LIMITS.get(batch, EQUAL), training(model, lengths)
        found.append({"work": f"training step: {batch}", "limit": limit, **compare(ways, rounds)})
    return found


def table(found: list[dict]) -> str:
    """The results as Markdown, with what they were measured with."""
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, one thread, "
        f"float32, {LAYERS} layers of width 128.",
        "",
        "| work | padded, CPU s | packed, CPU s | times as fast | limit | met |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        padded, packed = (statistics.median(one["seconds"][name]) for name in ("padded", "packed"))
        limit = f">= {one['limit']:.2f} | {'yes' if one['ratio'] >= one['limit'] else 'no'}"
        lines.append(f"| {one['work']} | {padded:.3f} | {packed:.3f} | {one['ratio']:.2f} | {limit} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> list[dict]:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="Batches of a training step without padding, against padded ones.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the language-model marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = measure(parsed.rounds)
    text = table(found)
    deliver(found, text, parsed.json, parsed.docs, "language-model")
    return found


if __name__ == "__main__":
    main()
