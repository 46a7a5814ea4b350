"""The table of hours in docs/released-models.md, by arithmetic on shapes and counts; ``python -m tools.docs``.

Counts of questions and visuals are those that the benchmarks' pages state; where no number of videos was at hand, one a
question. The pictures and videos have one usual size. Everything else is the code's own: which cells an arm is asked,
how many tokens they take, operations of tower and language model.
"""

from collections.abc import Iterator
from math import ceil

import pandas as pd

from oryx.layout import SIDES
from oryx.processing import fit
from oryx.processing.shapes import Shape, read_shape
from workbook.cli import find_study
from workbook.data.protocols import protocol
from workbook.report.tables import as_table
from workbook.studies.needle.arms import ARMS, RELEASED
from workbook.studies.needle.cells import arm_cells

BEGIN, END = "<!-- hours: python -m tools.docs -->", "<!-- end of hours -->"
PAGE, PHOTO, FRAME, VIEW = (1500, 1100), (480, 640), (720, 1280), (968, 1296)
"""(height, width) of a page of OCRBench, a picture of MMBench, a frame, and of a scene's, in pixels; assumed."""
QUESTIONS = {
    "ocrbench": (1000, 1000),
    "mmbench": (4329, 1164),
    "videomme": (2700, 900),
    "mlvu": (2174, 2174),
    "nextqa": (8564, 1000),
    "mvbench": (4000, 4000),
    "longvideobench": (1337, 1337),
}
"""Benchmark -> questions and visuals."""
SCENES = (4675, 71)
"""Questions and scenes of ScanQA's validation part."""
MODELS, NUMBERS = ("7b", "34b"), "bf16"
PEAK, SHARE, ANSWER, DECODE, PRICE = 989.0, 0.4, 0.4, 2.0, 3.0
"""Assumed: an H100's dense bfloat16 peak in 10¹² operations a second and the share reached; seconds of a question's
prompt and answer by the 7B model, and of decoding a video on one thread; the price of a GPU's hour in dollars."""

Load = tuple[fit.Shown, int, int]
"""What is shown, how many times, and how many questions are asked about all of them together."""


def of_benchmark(name: str, shown: fit.Shown) -> Load:
    """A benchmark with every visual shown in one way."""
    questions, visuals = QUESTIONS[name]
    return shown, visuals, questions


def picture_of(name: str) -> fit.Shown:
    """A picture of usual size of a benchmark."""
    return fit.picture(PAGE if name == "ocrbench" else PHOTO)


def benchmarks() -> Iterator[Load]:
    """Notebook 06: every benchmark by the protocol ``paper``."""
    for name in QUESTIONS:
        if name in ("ocrbench", "mmbench"):
            yield of_benchmark(name, picture_of(name))
        else:
            asked = protocol("paper")  # whose frames are no more than a short video's
            yield of_benchmark(name, fit.video(asked.frames, FRAME, SIDES["video"] ** 2))


def study_1() -> Iterator[Load]:
    """Every arm on pictures of usual size; fixed sizes are reckoned as native ones."""
    study = find_study("native_vs_fixed_resolution")
    settings = study.settings({"scale": "paper"})
    for name in settings.benchmarks:
        yield from [of_benchmark(name, picture_of(name))] * len(study.arms(settings))


def study_3() -> Iterator[Load]:
    """Every cell of every arm of the default panel."""
    from workbook.studies.compressor.released import cells  # here, not above: it loads torch

    study = find_study("pooling_vs_dynamic_compression")
    settings = study.settings({"scale": "paper"})
    for arm in study.arms(settings):
        for cell in cells(settings, arm):
            size = (cell.side, cell.side) if cell.side else FRAME
            for name in settings.benchmarks:
                yield of_benchmark(name, fit.video(cell.frames, size, cell.ratio))


def study_4() -> Iterator[Load]:
    """Every cell of the needle study without the lengths beyond; frames are square and keep their size."""
    settings = find_study("needle_in_a_haystack").settings({"scale": "paper", "beyond": []})
    side = ARMS[RELEASED[0]].side
    for cell in arm_cells(settings, RELEASED[0]):
        shown = fit.video(cell.frames, (settings.frame_side, settings.frame_side), side**2)
        yield shown, cell.trials, cell.trials


def study_5() -> Iterator[Load]:
    """Every arm that needs no frames with marks painted in, which are the user's own."""
    settings = find_study("spatial_correspondence").settings({"scale": "paper"})
    questions, scenes = SCENES
    for arm in (arm for arm in settings.arms if arm != "marked"):
        frames = 1 if arm == "single_view" else protocol(settings.protocol).frames
        yield fit.video(frames, VIEW, settings.ratio), scenes, questions


def hours(shape: Shape, loads: Iterator[Load], smaller: Shape) -> float:
    """Of one GPU: encoding and reading, every question with its visual and without, and decoding on one thread.

    Prompts and answers are reckoned as reading weights: of a larger model they take longer in proportion.
    """
    total, rate = 0.0, PEAK * fit.TERA * SHARE
    answer = ANSWER * sum(shape.weights(NUMBERS).values()) / sum(smaller.weights(NUMBERS).values())
    for shown, visuals, questions in loads:
        video = shown.maps > 2  # a picture has two views
        total += visuals * (sum(fit.operations(shape, shown)) / rate + DECODE * video) + 2 * questions * answer
    return total / 3600


def needed(shape: Shape, shown: fit.Shown) -> float:
    """Bytes that a question about a visual needs; longer videos than a chunk are encoded in chunks."""
    return fit.memory(shape, shown, NUMBERS, fit.CHUNK if shown.maps > fit.CHUNK else None).needed


def table() -> pd.DataFrame:
    """A line per notebook on released weights: hours, memory of a GPU and price by model."""
    rows, smaller = [], read_shape(MODELS[0])
    runs = {"06, seven benchmarks": benchmarks, "01": study_1, "03": study_3, "04, to 1,600 frames": study_4}
    runs["05, without marks"] = study_5
    for notebook, loads in runs.items():
        row = {"notebook": notebook, "questions": f"{sum(asked for *_, asked in loads()):,}"}
        for name in MODELS:
            shape = read_shape(name)
            spent = hours(shape, loads(), smaller)
            row[f"{shape.name}, hours"] = f"{spent:.1f}"
            row[f"{shape.name}, GB"] = str(ceil(max(needed(shape, shown) for shown, *_ in loads()) / fit.GIGA))
            row[f"{shape.name}, dollars"] = f"{ceil(spent * PRICE):,}"
        rows.append(row)
    return pd.DataFrame(rows)


def blocks() -> str:
    """The table and what it rests on."""
    sizes = [f"{width}x{height}" for height, width in (PAGE, PHOTO, FRAME, VIEW)]
    rests = (
        f"By arithmetic, not measured. Assumed: one H100 in bfloat16 at {SHARE:.0%} of {PEAK:g} TFLOP/s; {ANSWER:g} s "
        f"for a question's prompt and answer (7B; longer in proportion to the weights), asked with and without its "
        f"visual; {DECODE:g} s to decode a video on one thread; pages of {sizes[0]}, pictures of {sizes[1]}, videos of "
        f"{sizes[2]} pixels, frames of a scene of {sizes[3]}, encoded anew in every arm; {PRICE:g} dollars an hour. "
        "A 34B checkpoint in bfloat16 fills an 80 GB GPU: see [Will it fit?](fit.md)."
    )
    return "\n\n".join([BEGIN, as_table(table()), rests, END])
