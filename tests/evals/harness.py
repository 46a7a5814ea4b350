"""Runs of lmms-eval in this process, as its command line starts them."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any


@dataclass
class Run:
    """``answers`` and ``inputs`` (tokens) by task, then by number of the question; ``used``: what the results say."""

    results: dict
    answers: dict[str, dict[int, str]]
    inputs: dict[str, dict[int, int]]
    used: dict


@lru_cache(maxsize=1)
def task_manager(folder: Path):
    """The harness's list of its tasks and those in ``folder``: seconds, so it is kept."""
    from lmms_eval.tasks import TaskManager

    return TaskManager(include_path=str(folder), model_name="oryx_workbook")


def ask(arguments: str, tasks: Sequence[str], folder: Path, output: Path, most: int = 4, **options: Any) -> Run:
    """Ask ``tasks``, which ``folder`` holds; ``arguments`` of the model, ``most`` new tokens an answer."""
    from lmms_eval.evaluator import simple_evaluate

    results = simple_evaluate(
        model="oryx_workbook",
        model_args=arguments,
        tasks=list(tasks),
        task_manager=task_manager(folder),
        device="cpu",
        bootstrap_iters=0,
        cli_args=Namespace(output_path=str(output), process_with_media=False),
        datetime_str="now",
        **{"gen_kwargs": f"max_new_tokens={most}", **options},
    )
    samples = results["samples"]
    return Run(
        results["results"],
        {task: {row["doc_id"]: row["filtered_resps"][0] for row in rows} for task, rows in samples.items()},
        {
            task: {row["doc_id"]: (row["token_counts"][0] or {}).get("input_tokens") for row in rows}
            for task, rows in samples.items()
        },
        results["config"]["resolved_cli_args"].get("oryx_workbook"),
    )
