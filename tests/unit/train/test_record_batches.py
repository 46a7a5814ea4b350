"""Which records a step takes, and what is supervised in them: the goldens of the reference's own training."""

import json
from pathlib import Path

import numpy as np
import pytest

from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.train.record_batches import WINDOW, RecordBatches
from oryx.train.records import Record
from tests.records import write_records

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "data" / "prompt.json").read_text())["training"]
MARK = "<image>"


@pytest.fixture(scope="module")
def processor():
    return OryxProcessor(byte_tokenizer(), PreprocessOptions(low=None))


def numbered(count: int) -> list[Record]:
    return [Record(f"record {i}", str(i), None, (), (), "t") for i in range(count)]


def drawn(batches: RecordBatches, steps: int) -> list[list[int]]:
    return [[int(record.id) for record in batches.draw(step)] for step in range(steps)]


@pytest.mark.parametrize("count", [400, 403])
def test_records_of_like_length_share_a_step_and_an_epoch_still_holds_every_record(processor, count):
    lengths, records = np.random.default_rng(0).integers(10, 1000, count), numbered(count)
    made = RecordBatches(records, processor, 4, seed=0, lengths=lengths)
    found = drawn(made, 200)
    flat = [number for step in found for number in step]
    plain = drawn(RecordBatches(records, processor, 4, seed=0), 100)

    def spread(steps):
        return np.mean([np.ptp(lengths[step]) for step in steps])

    assert spread(found) < 0.25 * spread(plain)
    assert all(list(lengths[step]) == sorted(lengths[step]) for step in found)
    middle = count // 4 * 4  # up to there steps are of the first epoch alone
    assert len(set(flat[:middle])) == middle and len(set(flat[:middle] + flat[middle : count + 4])) == count
    means = [lengths[step].mean() for step in found[:WINDOW]]
    assert means != sorted(means), "short and long steps alternate"


def test_a_step_is_a_function_of_its_number_whatever_was_drawn_before(processor):
    lengths = list(range(50))
    whole = drawn(RecordBatches(numbered(50), processor, 4, 7, lengths=lengths), 60)
    for step in (59, 0, 13, 12, 40):
        fresh = RecordBatches(numbered(50), processor, 4, 7, lengths=lengths)
        assert [int(record.id) for record in fresh.draw(step)] == whole[step]


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_ids_and_labels_are_those_of_the_references_training(processor, tmp_path, number):
    """Of the goldens those whose turns have at most one mark, in a question: of others the reference loses visuals."""
    case = GOLDEN[number]
    turns = case["conversation"]
    asked, answered = turns[::2], turns[1::2]
    if any(turn["value"].count(MARK) > 1 for turn in asked) or any(MARK in (t["value"] or "") for t in answered):
        pytest.skip("a defect of the reference")
    marks = sum(turn["value"].count(MARK) for turn in turns) * case["has_image"]
    write_records(tmp_path, max(1, marks))
    files = tuple(tmp_path / f"{i}.png" for i in range(marks))
    record = Record("golden", "0", "images" if marks else None, files, tuple(turns), "t")
    made, _ = RecordBatches([record], processor, 1, 0).inputs(record)
    assert made["input_ids"][0].tolist() == case["input_ids"]
    assert made["labels"][0].tolist() == case["labels"]
    supervised = sum(label != -100 for label in case["labels"][1:])
    assert RecordBatches([record], processor, 1, 0).targets(record) == supervised
