"""Adapters on the shipped small model under bfloat16: stopped and resumed; in pieces, with activations made again."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from benchmarks.acceptance.bench import Bench, forget_devices
from workbook.studies import finetune
from workbook.studies.finetune import EXAMPLE, Settings, write_example

RECIPE = {"data": EXAMPLE, "held_out": 0.25, "precision": "bf16", "learning_rate": 2e-3, "max_new_tokens": 4}


class Stop(Exception):
    """The training is ended from outside."""


def carry_out(folder: Path, pictures: int, stop_at: int | None = None, **options) -> list[float]:
    """The losses of a fine-tuning in ``folder``; raises Stop after step ``stop_at``."""
    forget_devices()
    write_example(folder / EXAMPLE, pictures)

    def show(line: str) -> None:
        if stop_at and line.startswith(f"step {stop_at} of"):
            raise Stop

    finetune.run(Settings(folder=str(folder), batch=pictures // 4, checkpoint_seconds=0, **RECIPE, **options), show)
    return pd.read_csv(folder / "curve.csv")["loss"].tolist()


def run_in(bench: Bench, folder: Path) -> None:
    """Three trainings of the same steps: whole; stopped and resumed; in pieces, with activations computed again."""
    size = {"pictures": 8, "epochs": 1.0} if bench.tiny else {"pictures": 120, "epochs": 4.0}
    with bench.peak_memory() as peak:
        whole = carry_out(folder / "whole", **size)
        held = peak()
    bench.check("fine-tuning in bf16", whole[-1] < whole[0], f"loss {whole[0]:.2f} to {whole[-1]:.2f}", losses=whole)
    try:
        carry_out(folder / "stopped", stop_at=len(whole) // 2, **size)
    except Stop:
        resumed = carry_out(folder / "stopped", **size)
        apart = max(abs(a - b) / b for a, b in zip(resumed, whole, strict=True))
        bench.check("fine-tuning: resumed against undisturbed", apart < 0.02, f"losses {apart:.1e} apart (< 2 %)")
    else:
        bench.check("fine-tuning: stopped", False, "it was not stopped")
    with bench.peak_memory() as peak:
        pieces = carry_out(folder / "pieces", accumulate=2, gradient_checkpointing=True, **size)
        less = peak()
    apart = max(abs(a - b) / b for a, b in zip(pieces, whole, strict=True))
    bench.check("fine-tuning: in pieces, checkpointed", apart < 0.05, f"losses {apart:.1e} apart (< 5 %)")
    bench.speed("fine-tuning: memory in pieces", less <= held, f"{less:.2f} GB of {held:.2f} GB")


def run(bench: Bench) -> None:
    """The part, where PEFT is installed."""
    if find_spec("peft") is None:
        return bench.check("fine-tuning", None, "skipped: PEFT is not installed")
    with tempfile.TemporaryDirectory() as name:
        run_in(bench, Path(name))
