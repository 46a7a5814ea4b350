"""The truth table of decoders: every file by every decoder, through our door and without it.

A file is *right* when every frame that is presented comes, in its order, upright and in its shape, read one after the
other and in jumps; *refused* when an error of ours names it; else *wrong*. A decoder that takes longer than the
deadline *hung*, one that takes its process along *died*. Of a damaged file less may come, if a warning says so.
"""

import importlib
import os
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from oryx.errors import MissingResource, OryxError
from oryx.processing.decoders import check_decoder
from oryx.processing.options import PreprocessOptions
from oryx.processing.visuals import Video, choose_frames
from tools.abuse.deadlines import carried_out
from tools.abuse.marks import read
from tools.abuse.videos import KINDS
from tools.abuse.writing import Truth

DOORS = ("pyav", "decord", "torchcodec")
ALONE = ("decord alone", "torchcodec alone", "pyav alone")
"""Decoders asked directly, to see what the door keeps out."""
SECONDS = 20.0
OUTCOMES = ("right", "refused", "wrong", "hung", "died", "traceback")
MOST_FRAMES = 1000
REORDERED = 3
"""Frames that a codec may keep back until a later one is there: their places differ where the end is missing."""
SQUEEZED = 0.04
"""By how much the ratio of the sides may differ: decoders round them to whole and even pixels."""


@dataclass(frozen=True)
class Question:
    """One file for one decoder."""

    kind: str
    name: str
    truth: Truth
    decoder: str


@dataclass(frozen=True)
class Found:
    """How it went: one of OUTCOMES, why, and seconds for all frames and for four of them."""

    outcome: str
    why: str = ""
    dense: float = 0.0
    sparse: float = 0.0


def ask(question: Question) -> Found:
    """Read the file and compare with the truth; for a worker process."""
    av.logging.set_level(None)
    with suppress(ImportError):
        decord = importlib.import_module("decord")
        decord.logging.set_level(decord.logging.QUIET)
    truth = question.truth
    reader = _alone if question.decoder in ALONE else _door
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            began = time.perf_counter()
            frames = reader(truth.path, question.decoder, None)
            dense = time.perf_counter() - began
            if wrong := _wrong(frames, truth.numbers, truth, bool(said)):
                return Found("wrong", wrong)
            places = _places(len(frames))
            began = time.perf_counter()
            jumps = reader(truth.path, question.decoder, places)
            sparse = time.perf_counter() - began
            seen = [read(frame, truth.turns, truth.mirrored) for frame in frames]
            if wrong := _wrong(jumps, [seen[i] for i in places], truth, bool(said)):
                return Found("wrong", f"in jumps: {wrong}")
    except (OryxError, MemoryError) as error:
        if str(truth.path) not in str(error) and reader is _door:
            return Found("wrong", f"the error does not name the file: {error}")
        return Found("refused", str(error).replace(str(truth.path), truth.path.name))
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return Found("refused" if reader is _alone else "traceback", what)
    return Found("right", "with a warning" if said and truth.damaged else "", dense, sparse)


def _door(path: Path, decoder: str, indices: Sequence[int] | None) -> list[np.ndarray]:
    video = Video(path, MOST_FRAMES, decoder=decoder, indices=indices)
    chosen = choose_frames(video, PreprocessOptions())
    if chosen.file.warning:  # it stands in the answer and in the row: the reader is told
        warnings.warn(chosen.file.warning, stacklevel=2)
    return [np.asarray(picture) for picture in chosen.pictures]


def _alone(path: Path, decoder: str, indices: Sequence[int] | None) -> list[np.ndarray]:
    name = decoder.split()[0]
    if name == "pyav":
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return [frames[i] for i in indices or range(len(frames))]
    if name == "decord":
        decord = importlib.import_module("decord")
        video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        return list(video.get_batch(list(indices or range(len(video)))).asnumpy())
    video = importlib.import_module("torchcodec.decoders").VideoDecoder(str(path), dimension_order="NHWC")
    return list(video.get_frames_at(list(indices or range(len(video)))).data.numpy())


def _places(count: int) -> list[int]:
    return [count - 1, 0, count // 2, count // 3]


def _wrong(frames: Sequence[np.ndarray], numbers: Sequence[int], truth: Truth, warned: bool) -> str:
    """What is not as it should be, or nothing."""
    seen = [read(frame, truth.turns, truth.mirrored) for frame in frames]
    wanted = [number % 256 for number in numbers]
    if seen != wanted:
        less = begins(seen, wanted)
        if not (less and truth.damaged and (warned or truth.prefix)):
            if any(read(frames[0], turns) is not None for turns in range(4) if turns != truth.turns):
                return "not upright"
            if less:
                return f"{len(seen)} of {len(wanted)} frames"
            torn = sum(number is None for number in seen)
            if torn:
                return f"{torn} of {len(seen)} frames torn"
            place = next((i for i, (a, b) in enumerate(zip(seen, wanted, strict=False)) if a != b), len(wanted))
            return (
                f"{len(seen)} of {len(wanted)} frames, from {place} on {_few(seen[place:])}, not {_few(wanted[place:])}"
            )
    height, width = frames[0].shape[:2]
    shape = width / height / (truth.size[1] / truth.size[0])
    if not 1 - SQUEEZED < shape < 1 + SQUEEZED:
        return f"squeezed: {width} x {height} pixels for the shape {truth.size[1]} x {truth.size[0]}"
    return ""


def begins(seen: Sequence[int | None], wanted: Sequence[int]) -> bool:
    """Whether these are the first of the wanted frames, but for some of the last, which lean on later ones."""
    whole = max(0, len(seen) - REORDERED)
    return len(seen) < len(wanted) and seen[:whole] == wanted[:whole] and [n for n in wanted if n in seen] == seen


def strictly_decoded(path: Path) -> bool:
    """Whether FFmpeg at its strictest reads a file to its end without an error: then no reader can tell of damage."""
    strict = {"err_detect": "crccheck+bitstream+buffer+explode"}
    try:
        with av.open(str(path), options=strict) as container:
            container.streams.video[0].codec_context.options = strict
            return not any(frame.is_corrupt for frame in container.decode(video=0))
    except av.error.FFmpegError:
        return False


def _few(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers[:3])) + (" ..." if len(numbers) > 3 else "") or "none"


def works(decoder: str) -> bool:
    """Whether a decoder is installed here."""
    try:
        check_decoder(decoder.split()[0])
    except MissingResource:
        return False
    return True


def made(folder: Path, each: int, kinds: Collection[str]) -> tuple[list[tuple[str, str, Truth]], list[str]]:
    """Write every ``each``-th file of ``kinds``; (kind, name, truth), and what could not be written."""
    os.environ["SVT_LOG"] = "1"  # the encoder of AV1 tells its settings otherwise, for every file
    av.logging.set_level(None)
    files, skipped = [], []
    for kind in kinds:
        for name, make in list(KINDS[kind]())[::each]:
            place = folder / f"{len(files) + len(skipped):03d}"
            place.mkdir()
            try:
                files.append((kind, name, make(place)))
            except (av.error.FFmpegError, ValueError) as error:  # an encoder or a container that this FFmpeg lacks
                skipped.append(f"{name}: {error}".splitlines()[0])
    return files, skipped


def table(
    workers: int = 2, each: int = 1, decoders: Sequence[str] = (*DOORS, *ALONE), kinds: Collection[str] = tuple(KINDS)
) -> dict[str, Any]:
    """Counts by decoder and kind, what went wrong, seconds, and what could not be tried."""
    used = [decoder for decoder in decoders if works(decoder)]
    folder = Path(tempfile.mkdtemp(prefix="abuse-"))
    try:
        files, skipped = made(folder, each, kinds)
        questions = [Question(*file, decoder) for file in files for decoder in used]
        answers = list(carried_out(ask, questions, SECONDS, workers))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    answers = [(q, found if isinstance(found, Found) else Found(found)) for q, found in answers]
    order = {question: place for place, question in enumerate(questions)}
    answers.sort(key=lambda answer: order[answer[0]])
    counts = Counter((question.decoder, question.kind, found.outcome) for question, found in answers)
    through = Counter(found.outcome for question, found in answers if question.decoder == "pyav")
    faults = [
        {"decoder": q.decoder, "kind": q.kind, "file": q.name, "outcome": f.outcome, "why": f.why}
        for q, f in answers
        if f.outcome not in ("right", "refused")
    ]
    return {
        "summary": f"{len(files)} files, through the door " + ", ".join(f"{through[o]} {o}" for o in OUTCOMES),
        "files": len(files),
        "kinds": dict(Counter(kind for kind, _, _ in files)),
        "not_written": skipped,
        "not_installed": [decoder for decoder in decoders if decoder not in used],
        "counts": {
            decoder: {kind: {o: n for o in OUTCOMES if (n := counts[decoder, kind, o])} for kind in kinds}
            for decoder in used
        },
        "faults": [fault for fault in faults if fault["decoder"] in DOORS],
        "alone": [fault for fault in faults if fault["decoder"] in ALONE],
        "refused": [
            {"file": q.name, "kind": q.kind, "why": f.why, "damaged": q.truth.damaged}
            for q, f in answers
            if f.outcome == "refused" and q.decoder == "pyav"
        ],
        "milliseconds": {
            decoder: {
                name: round(float(np.median([getattr(f, name) for f in right])) * 1000, 1)
                for name in ("dense", "sparse")
            }
            for decoder in used
            if (right := [f for q, f in answers if q.decoder == decoder and f.outcome == "right"])
        },
    }
