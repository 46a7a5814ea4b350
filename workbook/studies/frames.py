"""What the studies on video share: files written in parallel, features in one cache, one way to ask."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from operator import call
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from oryx.eval.features import FrameCache, FrameEncoder, FrameTokens
from oryx.evidence.store import RowWriter, gather_parts, part_writer
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.device import Compute, process
from workbook.runs.jobs import cores
from workbook.runs.worker import die_with_parent
from workbook.studies.base import Progress
from workbook.studies.evaluate import Batch, evaluate

MOST_TOKENS = 40_000
"""Video tokens that a model reads at once: what bounds the memory of an evaluation."""


def at_size(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The frame scaled to (height, width); itself if it has that size."""
    return frame if frame.size == size[::-1] else frame.resize(size[::-1], Image.Resampling.BICUBIC)


def frame_cache(
    folder: Path,
    model: OryxForConditionalGeneration,
    side: int,
    size: tuple[int, int],
    weights: str,
    compute: Compute,
    **decoding: Any,
) -> FrameCache:
    """The feature cache of one encoder (``weights``: its hash), frame size and region side."""
    encoder = FrameEncoder(model, partial(at_size, size=size), side, compute, **decoding)
    return FrameCache(folder / "features", encoder, {"weights": weights, "size": list(size)})


def compressed(model: OryxForConditionalGeneration, video: FrameTokens, side: int) -> FrameTokens:
    """A video's uncompressed tokens as the model's connector passes them on, on the model's device."""
    return FrameTokens(*model.compressor(on_device(model, video).tokens, video.grid, side))


def on_device(model: OryxForConditionalGeneration, video: FrameTokens) -> FrameTokens:
    """A video's tokens in float32 where the model is."""
    return FrameTokens(video.tokens.to(model.device, torch.float32), video.grid)


def write_in_parallel(calls: Sequence[Callable[[], object]]) -> None:
    """Make every call, each in a process of its own, as many at a time as there are cores."""
    with ProcessPoolExecutor(cores(), initializer=die_with_parent, initargs=(os.getpid(),)) as pool:
        for job in [pool.submit(call) for call in calls]:
            job.result()


@contextmanager
def shared_rows(folder: Path) -> Iterator[RowWriter]:
    """The writer of the rows in ``folder``; each of several processes has one of its own, which the first gathers."""
    state = process()
    if state.is_main_process:
        gather_parts(folder)  # of an earlier run that was killed
    state.wait_for_everyone()
    several = state.num_processes > 1
    with part_writer(folder, state.process_index) if several else RowWriter(folder / "rows.jsonl") as writer:
        yield writer
    state.wait_for_everyone()
    if state.is_main_process:
        gather_parts(folder)


def evaluate_arm(batches: Iterable[Batch], writer: RowWriter, compute: Compute, progress: Progress) -> None:
    """Write the rows of ``batches`` that are missing, each batch answered by its payload in the run's precision.

    All batches are made before the first is asked, to count their rows.
    """
    batches = list(batches)
    total = sum(len(batch.rows) for batch in batches)
    with compute.autocast():
        evaluate(batches, call, writer, lambda done: progress("evaluate", done, total))


def chunks(items: Sequence, size: int) -> list[Sequence]:
    """The items, at most ``size`` at a time, and at least one."""
    return [items[i : i + max(1, size)] for i in range(0, len(items), max(1, size))]
