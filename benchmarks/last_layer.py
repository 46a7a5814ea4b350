"""Questions about long videos: the language model's last layer from where it is read, against all of it.

    python -m benchmarks.last_layer [--rounds 7] [--json FILE] [--docs FILE]

Both ways read the same embeddings with the same weights: the workbook's (``oryx/model/last_layer.py``; in training also
without the mask of a padded batch) and transformers' whole forward with its mask. Ratios are of medians of CPU time
within one run, in which the two take turns. ``--docs docs/benchmarks.md`` renews the table there.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import DynamicCache

from benchmarks.results import deliver
from oryx.grids import video_token_count
from oryx.model.config import IGNORED_LABEL
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.training.recipes import recipe
from oryx.training.shared import build_reader

READING, TRAINING = ((8, 400), (2, 1600), (1, 3200)), ((48, 12), (12, 50), (1, 400))
"""(videos, frames of each at 16x): read before a question, and in a training step of the needle study."""
ANSWER = 3


def reading(model: OryxForConditionalGeneration, embeds: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Both ways of filling a cache with videos, (B, L, width)."""

    def whole():
        cache = DynamicCache(config=model.language_model.config)
        with torch.inference_mode():
            model.language_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True, logits_to_keep=1)

    def last():
        cache = DynamicCache(config=model.language_model.config)
        with torch.inference_mode():
            model(inputs_embeds=embeds, past_key_values=cache, use_cache=True, logits_to_keep=1)

    return {"whole": whole, "last": last}


def training(model: OryxForConditionalGeneration, embeds: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Both ways of a step's forward and backward: the answer ends the sample, the first sample is a token shorter."""
    batch, length, _ = embeds.shape
    ids = torch.full((batch, length), IGNORED_LABEL)
    ids[:, -ANSWER:] = 7
    mask = torch.ones(batch, length, dtype=torch.long)
    if batch > 1:
        mask[0, -1], ids[0, -1] = 0, IGNORED_LABEL

    def whole():
        logits = model.language_model(inputs_embeds=embeds, attention_mask=mask, logits_to_keep=ANSWER + 1).logits
        F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, -ANSWER:].flatten()).backward()

    def last():
        model(inputs_embeds=embeds, labels=ids).loss.backward()

    return {"whole": whole, "last": last}


def compare(ways: dict[str, Callable[[], object]], rounds: int) -> dict:
    """CPU seconds of each way, in turns after one round that is not counted, and the ratio of their medians."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            way()
            if number:
                seconds[name].append(time.process_time() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {"seconds": seconds, "ratio": medians["whole"] / medians["last"]}


def measure(rounds: int, reading_of=READING, training_of=TRAINING, layers: int = 2) -> list[dict]:
    """Every case, with random weights in the shape of the needle study's reader: the work is the same."""
    torch.manual_seed(0)
    model = build_reader(recipe("nano", text_layers=layers))
    found = []
    for kind, ways, cases in (("reading", reading, reading_of), ("training step", training, training_of)):
        for videos, frames in cases:
            tokens = video_token_count(frames, (1, 1))
            embeds = torch.randn(videos, tokens, model.config.text_config.hidden_size)
            found.append({"work": kind, "videos": videos, "frames": frames, **compare(ways(model, embeds), rounds)})
    return found


def table(found: list[dict]) -> str:
    """The results as Markdown, with what they were measured with."""
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, one thread, "
        "float32, two layers of width 128.",
        "",
        "| work | videos | frames each | whole, CPU s | last layer where read, CPU s | times as fast |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        whole, last = (statistics.median(one["seconds"][name]) for name in ("whole", "last"))
        lines.append(
            f"| {one['work']} | {one['videos']} | {one['frames']:,} | {whole:.3f} | {last:.3f} | {one['ratio']:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> list[dict]:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="What the last layer costs where nothing reads it.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the last-layer marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = measure(parsed.rounds)
    text = table(found)
    deliver(found, text, parsed.json, parsed.docs, "last-layer")
    return found


if __name__ == "__main__":
    main()
