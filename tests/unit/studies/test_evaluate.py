"""The evaluator when a batch fails: rows with the error, memory given back, the rest goes on."""

import weakref

import pytest
import torch

from oryx.evidence.rows import read_rows
from oryx.evidence.store import RowWriter, lay_failed_aside
from tests.unit.evidence.builders import row
from workbook.studies.evaluate import Batch, evaluate

ANSWER = {"answer": "7", "score": 1.0, "logprob": -0.5}


def batches(count: int) -> list[Batch]:
    return [Batch([row(item=f"{number}/{i}") for i in range(2)], number) for number in range(count)]


class Device:
    """Runs out of memory in one batch, while it holds a tensor; notes whether that still lives in the next."""

    def __init__(self, lacking: int | None):
        self.lacking, self.held, self.asked = lacking, lambda: None, []

    def predict(self, number: int) -> list[dict]:
        assert self.held() is None, "the failed batch still holds memory"
        self.asked.append(number)
        tensor = torch.zeros(3)
        self.held = weakref.ref(tensor)
        if number == self.lacking:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return [ANSWER] * 2


def test_a_batch_that_runs_out_of_memory_becomes_errors_and_the_next_attempt_answers_it(tmp_path):
    device, path = Device(lacking=1), tmp_path / "rows.jsonl"
    with RowWriter(path) as writer:
        evaluate(batches(3), device.predict, writer)
    rows = read_rows(path)
    assert device.asked == [0, 1, 2] and len(rows) == 6
    assert rows["error"].notna().tolist() == [False, False, True, True, False, False]
    assert rows["error"][2] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB"
    lay_failed_aside(tmp_path)
    again = Device(lacking=None)
    with RowWriter(path) as writer:
        evaluate(batches(3), again.predict, writer)
    rows = read_rows(path)
    assert again.asked == [1] and rows["error"].isna().all() and len(rows) == 6


def test_a_lost_device_ends_the_job(tmp_path):
    def lost(_):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    with RowWriter(tmp_path / "rows.jsonl") as writer, pytest.raises(torch.AcceleratorError):
        evaluate(batches(2), lost, writer)
    assert (tmp_path / "rows.jsonl").read_bytes() == b""
