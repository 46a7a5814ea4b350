"""What the training loop costs beside the computing itself, and whether its loader keeps up.

    python -m benchmarks.training_loop [--pairs 7] [--threads 1] [--json FILE] [--docs FILE]

*Loop*: ``oryx.train.loop.train`` on batches that lie ready in memory, against a bare forward pass, backward pass and
step of the same AdamW on the same batches, without clipping, schedule or curve. The two take turns in one process; the
ratio of tokens per second is the median over the pairs. *Loader*: the share of a training's time that the loop waits
for its next batch, while two workers open picture files and cut them. ``--docs docs/benchmarks.md`` renews the table.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import oryx
from benchmarks.results import deliver
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train import loop
from oryx.train.datasets import read_records
from oryx.train.device import Compute, compute
from oryx.train.loop import StepBatches, TrainPlan, answer_loss, train
from oryx.train.record_batches import RecordBatches
from oryx.train.records import Record
from workbook.studies.finetune import write_example

LEAST, MOST_WAITING, WORKERS = 0.9, 0.05, 2
RATE = 1e-4


@dataclass(frozen=True)
class Work:
    """A model's shape and the batches of its steps. ``text`` and ``vision``: what differs from the shipped model."""

    name: str
    batch: int
    steps: int
    text: Mapping[str, Any] = field(default_factory=dict)
    vision: Mapping[str, Any] = field(default_factory=dict)

    def model(self) -> OryxForConditionalGeneration:
        """The model with every part to be trained; at the shipped shape with the shipped weights."""
        shipped = oryx.load("nano")
        if not self.text:
            shipped.freeze_vision(False)
            return shipped
        config = shipped.config
        for part, changes in ((config.text_config, self.text), (config.vision_config, self.vision)):
            for name, value in changes.items():
                setattr(part, name, value)
        model = OryxForConditionalGeneration(config)
        model.processor = shipped.processor
        return model

    def batches(self, model: OryxForConditionalGeneration, records: list[Record], workers: int = 0) -> StepBatches:
        """The batches of its steps, drawn from ``records``."""
        made = RecordBatches(records, model.processor, self.batch, 0)
        return StepBatches(made.draw, made.collate, self.steps, made.targets, workers)


MIDDLE = {
    "text": {"hidden_size": 384, "intermediate_size": 1152, "num_hidden_layers": 8, "num_attention_heads": 6,
             "num_key_value_heads": 6, "layer_types": ["full_attention"] * 8},
    "vision": {"hidden_size": 384, "intermediate_size": 1434, "num_hidden_layers": 12, "num_attention_heads": 6},
}  # fmt: skip
WORKS = (Work("smoke", 4, 40), Work("nano", 32, 8), Work("middle", 8, 2, **MIDDLE))
"""Batches of smoke and of nano with the shipped shape; ``middle``: as large as two cores can still train."""


class Ready(StepBatches):
    """Batches that were made before."""

    def __init__(self, batches: StepBatches):
        self.made = [batches[step] for step in range(batches.steps)]
        self.steps, self.workers = batches.steps, 0

    def __getitem__(self, step: int) -> dict:
        return dict(self.made[step])


def bare(model: OryxForConditionalGeneration, batches: Ready) -> None:
    """Forward, backward and step, and nothing else."""
    plan = TrainPlan(batches.steps, RATE)
    how = {"lr": RATE, "betas": plan.betas, "weight_decay": plan.weight_decay, "fused": True}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], **how)
    model.train()
    for step in range(batches.steps):
        batch = batches[step]
        batch.pop("tokens")
        answer_loss(model, batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def loop_cost(work: Work, records: list[Record], pairs: int, machine: Compute) -> dict:
    """CPU and wall seconds of both in turns, after one turn that is not counted, and the ratios of every pair."""
    torch.manual_seed(0)
    model = work.model()
    batches = Ready(work.batches(model, records))
    tokens = sum(batch["tokens"] for batch in batches.made)
    ways = {
        "bare": lambda: bare(model, batches),
        "loop": lambda: train(model, batches, answer_loss, TrainPlan(work.steps, RATE), compute=machine),
    }
    seconds: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in ways}
    for number in range(pairs + 1):
        for name, way in list(ways.items())[:: 1 if number % 2 else -1]:  # neither always comes first
            began = time.process_time(), time.perf_counter()
            way()
            if number:
                seconds[name]["cpu"].append(time.process_time() - began[0])
                seconds[name]["wall"].append(time.perf_counter() - began[1])
    ratios = {
        clock: [one / other for one, other in zip(seconds["bare"][clock], seconds["loop"][clock], strict=True)]
        for clock in ("cpu", "wall")
    }
    count = sum(p.numel() for p in model.parameters())
    return {"work": work.name, "parameters": count, "batch": work.batch, "steps": work.steps, "tokens": tokens,
            "seconds": seconds, "ratios": ratios}  # fmt: skip


def waiting(work: Work, records: list[Record], steps: int, machine: Compute) -> dict:
    """Seconds until every worker has given its first batch, and of the time after that the share spent waiting."""
    model, asked, given, own = work.model(), [], [], loop.loader
    batches = work.batches(model, records, WORKERS)
    batches.steps = steps

    def timed(*arguments: object) -> Iterator[dict]:
        source = own(*arguments)
        while True:
            asked.append(time.perf_counter())
            if (batch := next(source, None)) is None:
                return
            given.append(time.perf_counter())
            yield batch

    with patch.object(loop, "loader", timed):
        train(model, batches, answer_loss, TrainPlan(steps, RATE), compute=machine)
    waits = [after - before for before, after in zip(asked, given, strict=False)]
    total = asked[-1] - given[WORKERS - 1]  # the last time it asks, all steps are done
    share = sum(waits[WORKERS:]) / total
    return {"work": work.name, "steps": steps, "first": sum(waits[:WORKERS]), "seconds": total, "share": share}


def table(found: dict) -> str:
    """The results as Markdown, with what they were measured with."""
    low, high = found["load"]
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, float32, "
        f"{found['threads']} thread(s); mean load over a minute {low:.1f} at the start, {high:.1f} at the end.",
        "",
        "| batches | parameters | tokens per step | bare, tokens/CPU s | loop, tokens/CPU s | loop / bare, CPU time "
        "[lowest, highest pair] | wall time | target | met |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found["loop"]:
        speeds = [one["tokens"] / statistics.median(one["seconds"][way]["cpu"]) for way in ("bare", "loop")]
        cpu, wall = (statistics.median(one["ratios"][clock]) for clock in ("cpu", "wall"))
        cells = [f"{one['work']}, {one['batch']} pictures", f"{one['parameters'] / 1e6:.1f}M"]
        cells += [f"{one['tokens'] / one['steps']:,.0f}", *(f"{speed:,.0f}" for speed in speeds)]
        cells += [f"{cpu:.3f} [{min(one['ratios']['cpu']):.3f}, {max(one['ratios']['cpu']):.3f}]", f"{wall:.3f}"]
        lines.append(f"| {' | '.join([*cells, f'>= {LEAST}', 'yes' if cpu >= LEAST else 'no'])} |")
    head = f"| {WORKERS} workers open the files of | steps | a batch of each, s | further steps, s | share waiting"
    lines += ["", f"{head} | target | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for one in found["loader"]:
        met = "yes" if one["share"] < MOST_WAITING else "no"
        cells = [one["work"], str(one["steps"]), f"{one['first']:.1f}", f"{one['seconds']:.1f}", f"{one['share']:.2%}"]
        lines.append(f"| {' | '.join([*cells, f'< {MOST_WAITING:.0%}', met])} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None, works: tuple[Work, ...] = WORKS) -> dict:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="The training loop against bare steps, and what waits for its loader.")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--loader-steps", type=int, default=150)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the training-loop marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    machine, load = compute("fp32"), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        records = read_records(write_example(Path(folder), parsed.pictures))
        found = {"threads": parsed.threads, "loop": [loop_cost(work, records, parsed.pairs, machine) for work in works]}
        found["loader"] = [waiting(work, records, parsed.loader_steps, machine) for work in works if not work.text]
    found["load"] = [load, os.getloadavg()[0]]
    deliver(found, table(found), parsed.json, parsed.docs, "training-loop")
    return found


if __name__ == "__main__":
    main()
