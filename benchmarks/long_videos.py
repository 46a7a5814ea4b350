"""Long videos: decoding against the bare decoder, one question, memory by length, and what encoding once saves.

    python -m benchmarks.long_videos [--frames 1600] [--rounds 5] [--trials 20] [--decoding] [--docs FILE]

Ratios are medians of wall times within one run, in which the sides take turns. ``--docs docs/benchmarks.md`` renews the
tables there, with ``--decoding`` that of the decoders alone.
"""

import argparse
import gc
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.measure import (
    MEBIBYTE,
    give_tensors_own_pages,
    in_fresh_process,
    in_turns,
    paired_ratio,
    reset_peak,
    resident,
    timed,
)
from benchmarks.results import deliver
from oryx.errors import MissingResource
from oryx.eval.features import FrameEncoder
from oryx.eval.generate import ask, read_videos
from oryx.grids import uniform_indices, video_token_count
from oryx.model.positions import set_positions
from oryx.processing.decoders import DECODERS, check_decoder
from oryx.processing.video import iter_frames
from oryx.train.device import compute
from workbook.data.haystacks import make_haystack
from workbook.data.needles import make_trial
from workbook.stages.models import build_reader
from workbook.stages.recipes import video_recipe
from workbook.studies.frames import at_size, frame_cache
from workbook.studies.needle.videos import HaystackFiles, TrialVideos

SIZE = (32, 32)
LARGE = (256, 256)
CHUNK = 64
SPARSE = 16
QUESTIONS = 10
"""A haystack's, where encoding it once is compared with encoding anew."""
MOST_OF_DECORD = 1.3
"""How many times decord's own seconds our default decoder may take, which also examines the file first."""
LEAST_SAVED = 2.0
"""How many times as fast encoding once is asked to be. It encodes a tenth of the frames but opens a file for every
needle; with less than twice the speed tokens would not be worth keeping."""
MOST_GROWTH = 2.0
"""How many times as much as its tokens the peak of a longer video may grow: tokens lie in pieces, then in one."""


def bare_decode(path: Path, indices: Sequence[int]) -> None:
    """Frames with decord alone, in chunks of the same size."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)  # as ours; the default starts four more threads
    for start in range(0, len(indices), CHUNK):
        reader.get_batch(indices[start : start + CHUNK]).asnumpy()


def our_decode(path: Path, indices: Sequence[int], decoder: str) -> None:
    """The same through the workbook's door, by one of its decoders."""
    for _ in iter_frames(path, indices, CHUNK, decoder=decoder):
        pass


def works(decoder: str) -> bool:
    """Whether a decoder is installed here."""
    with suppress(MissingResource):
        check_decoder(decoder)
        return True
    return False


def decoding(folder: Path, frames: int, size: tuple[int, int], rounds: int, taken: int | None = None) -> dict:
    """Seconds of all ways, in turns, and the medians of their ratios to bare decord's.

    ``taken``: so many frames, spread uniformly; None: all of them.
    """
    path = make_haystack(folder, "dev", 0, frames, size).path
    indices = uniform_indices(frames, taken or frames)
    ways = {"bare": partial(bare_decode, path, indices)}
    ways |= {name: partial(our_decode, path, indices, name) for name in DECODERS if works(name)}
    spent = in_turns({name: partial(timed, decode) for name, decode in ways.items()}, rounds)
    seconds = {name: clocks["wall"] for name, clocks in spent.items()}
    ratios = {name: paired_ratio(seconds[name], seconds["bare"]) for name in ways if name != "bare"}
    return {"size": size, "frames": frames, "taken": taken, "seconds": seconds, "ratios": ratios}


def caching(folder: Path, frames: int, trials: int, rounds: int) -> dict:
    """Seconds to encode ``trials`` complete files anew, and to encode their haystacks once and splice the needles.

    Both find their files written: the round that is not counted writes the needles'. The cache is empty in every round.
    """
    model, count = build_reader(video_recipe("nano").shapes).eval(), max(1, trials // QUESTIONS)
    files = HaystackFiles(folder / "haystacks", "dev", count, frames, SIZE)
    drawn = [make_trial("dev", "number", frames, (i % 5) / 4, i // 5, SIZE, count) for i in range(trials)]
    for number in range(count):
        files.path(number)
    complete = [trial.file(folder / "complete").path for trial in drawn]
    encoder = FrameEncoder(model, partial(at_size, size=SIZE), 4, compute("fp32"))

    def anew() -> None:
        for path in complete:
            encoder.encode(path)

    def once() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            videos = TrialVideos(files, frame_cache(Path(empty), model, 4, SIZE, "benchmark", compute("fp32")))
            for trial in drawn:
                videos.tokens(trial)

    seconds = in_turns({"anew": partial(timed, anew), "once": partial(timed, once)}, rounds)
    ratio = paired_ratio(seconds["anew"]["wall"], seconds["once"]["wall"])
    return {"frames": frames, "trials": trials, "haystacks": count, "seconds": seconds, "ratio": ratio}


def asking(folder: Path, frames: int, rounds: int) -> dict:
    """Wall and CPU seconds of one question at 16x: a needle not seen before, its haystack's tokens on disk already.

    Counted: the needle written, decoded and encoded, the haystack's tokens loaded, the needle spliced in, the video
    read by the language model, the answer and its likelihood. A round that is not counted loads libraries and encodes
    the haystack. The model is the nano study's with random weights: the work is the same.
    """
    torch.manual_seed(0)
    model = build_reader(video_recipe("nano").shapes).eval()
    set_positions(model, "half_1e6")
    cache = frame_cache(folder, model, 4, SIZE, "asked", compute("fp32"))
    files = HaystackFiles(folder / "haystacks", "dev", 1, frames, SIZE)
    found: dict[str, list[float]] = {"wall": [], "cpu": []}
    for number in range(rounds + 1):
        trial = make_trial("dev", "number", frames, 0.5, number, SIZE, 1)
        began, cpu = time.perf_counter(), time.process_time()
        tokens = TrialVideos(files, cache).tokens(trial)
        ask(read_videos(model, [tokens]), [trial.needle.question], [trial.needle.answer])
        if number:
            found["wall"].append(time.perf_counter() - began)
            found["cpu"].append(time.process_time() - cpu)
    return {"frames": frames, "tokens": video_token_count(frames, tokens.grid), **found}


def peak_memory(path: Path, frames: int, size: tuple[int, int], chunk: int) -> float | None:
    """Peak resident MiB above the model while encoding the first ``frames`` frames at ``size``; for a fresh process."""
    torch.set_num_threads(1)
    if not give_tensors_own_pages():
        return None
    encoder = FrameEncoder(
        build_reader(video_recipe("nano").shapes).eval(), partial(at_size, size=size), 4, compute("fp32"), chunk
    )
    encoder.encode(path, range(2 * chunk))  # loads what libraries load on first use
    gc.collect()
    before = resident("VmRSS")
    if before is None or not reset_peak():
        return None
    encoder.encode(path, range(frames))
    return (resident("VmHWM") - before) / MEBIBYTE


def memory(folder: Path, lengths: tuple[int, ...], chunk: int = 16) -> dict:
    """Peak memory by length for frames of LARGE pixels, beside what all their pixels and all their tokens take."""
    path = make_haystack(folder, "dev", 0, max(lengths), LARGE).path
    lines = []
    for frames in lengths:
        peak = in_fresh_process(peak_memory, path, frames, LARGE, chunk)
        tokens = (LARGE[0] // 32) * (LARGE[1] // 32) * 128 * 2 * frames / MEBIBYTE
        pixels = LARGE[0] * LARGE[1] * 3 * frames / MEBIBYTE
        lines.append({"frames": frames, "peak_mib": peak, "tokens_mib": tokens, "pixels_mib": pixels})
    return {"size": LARGE, "chunk": chunk, "lines": lines}


def machine() -> str:
    """What it is measured with."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, one thread"


def decoding_table(found: list[dict]) -> str:
    """Decoders as Markdown, with what they were measured with."""
    packages = {"decord": "decord", "pyav": "av", "torchcodec": "torchcodec"}
    used = [f"{package} {version(package)}" for name, package in packages.items() if name in found[0]["ratios"]]
    lines = [
        f"{machine()}; {', '.join(used)}.",
        "",
        f"| decoding | frame | bare decord, s | {' | '.join(DECODERS)} | target of auto |",
        "| --- | --- | --- |" + " --- |" * len(DECODERS) + " --- |",
    ]
    for one in found:
        size, taken = f"{one['size'][1]}x{one['size'][0]}", one["taken"]
        what = f"{taken} of {one['frames']:,} frames" if taken else f"all {one['frames']:,} frames"
        ratios = [f"{one['ratios'][name]:.2f}" if name in one["ratios"] else "absent" for name in DECODERS]
        cells = [what, size, f"{statistics.median(one['seconds']['bare']):.2f}", *ratios, f"<= {MOST_OF_DECORD:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def tables(found: dict) -> str:
    """The other results as Markdown, with what they were measured with."""
    asked, saved = found["asking"], found["caching"]
    wall, cpu = (statistics.median(asked[name]) for name in ("wall", "cpu"))
    anew, once = (saved["seconds"][name]["wall"] for name in ("anew", "once"))
    lines = [
        f"{machine()}.",
        "",
        "| one question, haystack cached | frames | video tokens | seconds | CPU seconds | target |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| 16x, {SIZE[1]}x{SIZE[0]} | {asked['frames']:,} | {asked['tokens']:,} | {wall:.2f} | {cpu:.2f} | < 1 |",
        "",
        "| encoding | videos | frames each | rounds | anew, s | haystacks once, needles spliced, s | ratio | target |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        f"| 16x, {SIZE[1]}x{SIZE[0]} | {saved['trials']} | {saved['frames']:,} | {len(anew)} "
        f"| {statistics.median(anew):.1f} | {statistics.median(once):.1f} | {saved['ratio']:.1f} "
        f"| >= {LEAST_SAVED:g} |",
        "",
        f"| encoding {LARGE[1]}x{LARGE[0]} at 16x, {found['memory']['chunk']} frames at a time "
        "| peak above the model, MiB | its tokens, MiB | all its pixels, MiB |",
        "| --- | --- | --- | --- |",
    ]
    for line in found["memory"]["lines"]:
        peak = "unknown" if line["peak_mib"] is None else f"{line['peak_mib']:.0f}"
        lines.append(f"| {line['frames']:,} frames | {peak} | {line['tokens_mib']:.1f} | {line['pixels_mib']:.0f} |")
    shortest, longest = (found["memory"]["lines"][place] for place in (0, -1))
    if shortest["peak_mib"] is not None and longest["frames"] > shortest["frames"]:
        times = (longest["peak_mib"] - shortest["peak_mib"]) / (longest["tokens_mib"] - shortest["tokens_mib"])
        met = "met" if times <= MOST_GROWTH else "not met"
        told = f"From the shortest to the longest the peak grows {times:.2f} times as much as the tokens"
        lines += ["", f"{told}; at most {MOST_GROWTH:g} times is asked: {met}."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="Decoding, memory and caching of long videos.")
    parser.add_argument("--frames", type=int, default=1600)
    parser.add_argument("--sparse-of", type=int, default=3000, help=f"frames of the video of which {SPARSE} are read")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20, help="videos in the comparison of encoding once and anew")
    parser.add_argument("--cached-frames", type=int, default=400, help="frames of those videos")
    parser.add_argument("--decoding", action="store_true", help="the decoders alone")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--docs", type=Path, help="a file whose blocks between the decoding and long-videos marks are renewed"
    )
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lengths = tuple(sorted({max(32, parsed.frames // 16), max(32, parsed.frames // 4), parsed.frames}))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        decoded = [decoding(folder, parsed.frames, size, parsed.rounds) for size in (SIZE, LARGE)]
        found = {"decoding": [*decoded, decoding(folder, parsed.sparse_of, LARGE, parsed.rounds, SPARSE)]}
        if not parsed.decoding:
            found["asking"] = asking(folder / "asked", parsed.frames, parsed.rounds)
            found["caching"] = caching(folder, parsed.cached_frames, parsed.trials, parsed.rounds)
            found["memory"] = memory(folder, lengths)
    deliver(found, decoding_table(found["decoding"]), parsed.json, parsed.docs, "decoding")
    if not parsed.decoding:
        deliver(found, tables(found), None, parsed.docs, "long-videos")
    return found


if __name__ == "__main__":
    main()
