"""``python -m oryx.train finetune``: records of one's own, adapters, and held-out records scored before and after."""

import hashlib
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from oryx.errors import InputError, SettingsError
from oryx.evidence.rows import read_rows
from oryx.evidence.stats import paired_difference, summary
from oryx.files import atomic_write_json, atomic_write_text, sha256_file
from oryx.model.loading import checkpoint_hash
from oryx.processing.decoders import check_decoder
from oryx.train.datasets import read_records
from oryx.train.device import compute, load_whole, process
from oryx.train.loop import StepBatches, TrainPlan, answer_loss, train
from oryx.train.record_batches import RecordBatches
from oryx.train.records import Record
from workbook.data.answers import score
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.report import plots
from workbook.runs.options import TrainingSettings, claim, command_line
from workbook.runs.settings import setting
from workbook.studies.adapters import add_adapters, save_adapters
from workbook.studies.asking import Asker, Way, worded

POINTS = 100
"""Of the curve, in a long training."""
EXAMPLE, PICTURES = "example", 600
PARITY = ("even", "odd")


class Settings(TrainingSettings):
    """What a fine-tuning depends on; each field is an option of the command line."""

    model: str = setting("nano", "nano, a folder or a repository, as oryx.load takes it")
    data: str = setting("", "records in the format of LLaVA's data.json; 'example': some are drawn")
    held_out: float = setting(0.1, "share of the files whose records are scored and not trained on", least=0)
    seed: int = setting(0, "of the split, the adapters and the order of records", least=0)
    batch: int = setting(8, "records in a step", least=1)
    accumulate: int = setting(1, "pieces in which a step's batch is computed: less memory, the same step", least=1)
    learning_rate: float = setting(2e-4, "peak, after a warm-up of a tenth of the steps", least=0)
    rank: int = setting(16, "of the adapters", least=1)
    projector: bool = setting(False, "train the projector whole beside the adapters")
    score: Literal["exact", "contains"] = setting("exact", "right if the answer is the expected one, or contains it")
    max_new_tokens: int = setting(32, "longest answer", least=1)
    checkpoint_seconds: float = setting(60, "between two checkpoints", counts=False, least=0)
    merge: bool = setting(False, "also write the whole model with the adapters worked in", counts=False)


def run(settings: Settings, show: Callable[[str], None] = print) -> pd.DataFrame:
    """Score the held-out records, train, score them again; what was done before is not done again.

    ``folder`` gets ``before`` and ``after`` with every answer (``rows.jsonl``), ``table.csv`` (scores with intervals,
    chance, and the blind control), ``curve`` as csv, png and svg, ``adapter``, with ``merge`` also ``merged``. Returns
    the table.

    Raises SettingsError or MissingResource before any training for records that cannot be read, opened or are too long,
    for a folder that holds another fine-tuning, without PEFT, and in one of several processes.
    """
    if process().num_processes > 1:
        raise SettingsError(f"fine-tuning is done by one process, got {process().num_processes}")
    check_decoder(settings.decoder)
    folder, machine, records = Path(settings.folder), compute(settings.precision), records_of(settings)
    learned, held = split(records, settings.held_out, settings.seed)
    if min(settings.batch, len(learned)) < settings.accumulate:
        raise SettingsError(
            f"accumulate: {len(learned)} records to train on and a batch of {settings.batch} do not "
            f"give {settings.accumulate} pieces"
        )
    base = {"schema": 1, "study": "finetune", "seed": settings.seed, "split": "held_out"} | begin(folder, settings)
    model = load_whole(settings.model, machine, all_gpus=False)
    limit = model.config.tokenizer_model_max_length
    video = {"frames": settings.frames, "sampling": settings.sampling, "decoder": settings.decoder}
    batches = RecordBatches(learned, model.processor, settings.batch, settings.seed, limit, video)
    show(f"{len(learned)} records to train on, {len(held)} held out; each is opened once before anything starts")
    try:
        show(f"{sum(batches.inputs(record)[1] for record in records):,} tokens in all")
    except InputError as error:
        raise SettingsError(f"data: {error}") from None
    chance, asker = majority(learned, held, settings.score), Asker(settings.model, machine, loaded=model)
    asked = [worded(one.placed(**video), chance[one.task], settings, video) for one in held if one.kind]

    def ask(arm: str) -> None:
        show(f"{len(asked)} held-out questions, with the visual and without, {arm} the training")
        asker.ask(folder / arm, asker.batches(asked, Way(), base | {"arm": arm}), lambda *_: None)

    ask("before")
    tuned = add_adapters(model, settings.model, settings.rank, settings.projector, settings.seed)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    steps = max(1, math.ceil(settings.epochs * len(learned) / settings.batch))
    often = {"log_every": max(1, steps // POINTS), "checkpoint_seconds": settings.checkpoint_seconds}
    plan = TrainPlan(steps, settings.learning_rate, warmup=max(1, steps // 10), weight_decay=0.0, **often)
    source = StepBatches(batches.draw, batches.collate, steps, batches.targets, machine.workers, settings.accumulate)

    def watch(point: dict) -> None:
        show(f"step {point['step']} of {steps}, {point['tokens_per_second']:,.0f} tokens/s")

    state = folder / "training.pt"
    curve = pd.DataFrame(train(model, source, answer_loss, plan, state, compute=machine, watch=watch))
    figure, _ = plots.training_curves(curve.assign(arm="loss on answers", seed=settings.seed))
    plots.save_figure(figure, curve, folder, "curve")
    ask("after")
    save_adapters(tuned, folder / "adapter", folder / "merged" if settings.merge else None)
    return compared(folder, show) if asked else pd.DataFrame()


def records_of(settings: Settings) -> list[Record]:
    """The records of a fine-tuning; those of the example are drawn when they are asked for first."""
    if not settings.data or not settings.folder:
        raise SettingsError("expected data (records) and folder (where to write)")
    if settings.data != EXAMPLE:
        return read_records(settings.data, settings.media or None)
    return read_records(write_example(Path(settings.folder) / EXAMPLE))


def write_example(folder: Path, pictures: int = PICTURES) -> Path:
    """A question that the shipped small model does not know: is the number in a picture (split ``dev``) even or odd?"""
    path, found = folder / "records.json", []
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(evaluation_items("number", "dev", pictures, PictureSizes())):
        item.picture.convert("RGB").save(folder / f"{number}.png")
        said = {"human": "<image>\nparity", "gpt": PARITY[int(item.answer) % 2]}
        turns = [{"from": speaker, "value": value} for speaker, value in said.items()]
        found.append({"id": number, "image": f"{number}.png", "task": "parity", "conversations": turns})
    return atomic_write_json(path, found, indent=None)


def split(records: Sequence[Record], share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """(to train on, held out), by lot; all records of one file are on the same side."""
    clusters = sorted({record.cluster for record in records})
    held = set(random.Random(seed).sample(clusters, min(len(clusters), round(share * len(clusters)))))
    return [one for one in records if one.cluster not in held], [one for one in records if one.cluster in held]


def begin(folder: Path, settings: Settings) -> dict[str, str]:
    """The hashes of a fine-tuning, which its folder keeps; SettingsError if it holds another one."""
    data = folder / EXAMPLE / "records.json" if settings.data == EXAMPLE else settings.data
    hashes = {"weights_hash": checkpoint_hash(settings.model), "data_hash": sha256_file(data)[:16]}
    digest = hashlib.sha256(json.dumps(settings.counting, sort_keys=True).encode()).hexdigest()[:12]
    claim(folder, settings.counting | hashes, "fine-tuning")
    return hashes | {"settings_hash": digest}


def majority(learned: Sequence[Record], held: Sequence[Record], rule: str) -> dict[str, float]:
    """Task -> what a guess without looking scores: the answer that the question, or any, has most often in training."""
    answers: defaultdict[str | None, Counter] = defaultdict(Counter)
    for record in learned:
        for about in (record.question, None):
            answers[about][record.answer] += 1
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for record in held:
        guess = answers[record.question if record.question in answers else None].most_common(1)[0][0]
        scores[record.task].append(score(guess, record.answer, rule))
    return {task: sum(found) / len(found) for task, found in scores.items()}


def compared(folder: Path, show: Callable[[str], None]) -> pd.DataFrame:
    """Scores before and after the training as a table, which is also written and shown."""
    rows = read_rows([folder / arm / "rows.jsonl" for arm in ("before", "after")])
    found = summary(rows).sort_values(["task", "condition", "arm"], ascending=False, ignore_index=True)
    atomic_write_text(folder / "table.csv", found.to_csv(index=False))
    columns = ["arm", "condition", "task", "score", "low", "high", "n_items", "chance", "failed"]
    show(found[columns].to_string(index=False, float_format="%.3f"))
    with suppress(InputError):  # too few for an interval
        change = paired_difference(rows[rows["condition"] == "visual"], "after", "before")
        show(f"change: {change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}] on {change.n_items} records")
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command line: every field of the settings is an option. Returns the exit code."""
    return command_line(Settings, partial(run, show=partial(print, flush=True)), "finetune", __doc__, arguments)
