"""Reading a prompt once gives the answers and likelihoods that reading it again for each gives."""

import pytest
import torch

from oryx.eval.generate import read_prompts
from oryx.processing.sizes import Resolution
from oryx.train.inputs import END, PictureInputs
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe

SIZES = PictureSizes()
NARROW = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64}
TINY = recipe("smoke", vision=NARROW, text={**NARROW, "num_hidden_layers": 2})
MOST = 8


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    reader = build_reader(TINY).eval()
    with torch.no_grad():
        for parameter in reader.language_model.parameters():
            parameter.mul_(3)  # far from uniform, so that a wrong position or mask shows
    return reader


def of_transformers(reader, inputs, visual):
    """Answers by ``generate``, likelihoods by a forward pass with labels, one item at a time."""
    spoken, likelihoods = [], []
    for i, item in enumerate(inputs.items):
        prompt = inputs.batch([i], answers=False, visual=visual)
        new = reader.generate(**prompt, max_new_tokens=MOST, do_sample=False, eos_token_id=END, pad_token_id=END)
        spoken.append(new[0, prompt["input_ids"].shape[1] :].tolist())
        with torch.no_grad():
            loss = reader(**inputs.batch([i], answers=True, visual=visual)).loss
        likelihoods.append(-float(loss) * (len(item.answer.encode()) + 1))
    return spoken, likelihoods


@pytest.mark.parametrize("visual", [True, False])
@torch.inference_mode()
def test_prompts_of_any_lengths_are_read_once(reader, visual):
    items = [*evaluation_items("word", "dev", 4, SIZES), *evaluation_items("list", "dev", 3, SIZES)]
    inputs = PictureInputs(items, Resolution("native"), 8)
    assert len({inputs.length(i) for i in range(len(items))}) > 3
    prompted = read_prompts(reader, inputs.batch(range(len(items)), answers=False, visual=visual))
    answers = [[*item.answer.encode(), END] for item in items]
    spoken, expected = of_transformers(reader, inputs, visual)
    for _ in range(2):  # asking leaves the prompts as they were read
        new = prompted.greedy([END], MOST)
        assert all(own[: len(theirs)] == theirs for own, theirs in zip(new, spoken, strict=True))
        assert prompted.likelihoods(answers) == pytest.approx(expected, rel=1e-4)


@torch.inference_mode()
def test_answers_of_one_token_need_no_further_reading(reader):
    items = evaluation_items("word", "dev", 3, SIZES)
    inputs = PictureInputs(items, Resolution("area", 32), 8)
    prompted = read_prompts(reader, inputs.batch(range(3), answers=False))
    ends = prompted.likelihoods([[END]] * 3)
    assert ends == pytest.approx(prompted.first.log_softmax(-1)[:, END].tolist())
