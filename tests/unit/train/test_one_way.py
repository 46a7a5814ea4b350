"""What the workbook draws and what records bring reach a model as the same tensors: one way, whatever the source.

The trainings of shared parts put bytes and patches together themselves, which is quick; records go through the
processor, which reads files. Here drawn samples are written as records and read again.
"""

import json
from functools import partial

import pytest
import torch
from PIL import Image

from oryx.grids import SizeRule
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.sizes import Resolution
from oryx.processing.tokenizers import byte_tokenizer
from oryx.train.datasets import read_records
from oryx.train.device import compute
from oryx.train.inputs import PictureInputs
from oryx.train.loop import StepBatches, answer_loss
from oryx.train.record_batches import RecordBatches
from workbook.data.items import training_item
from workbook.data.needles import make_dataset
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe, video_recipe
from workbook.stages.shared import draw_reader_batch, fit_training_picture, reader_inputs, sample_targets
from workbook.stages.video_reader import draw_samples, sample_inputs
from workbook.stages.videos import clip_targets

R, FRAMES = recipe("smoke"), video_recipe("smoke")
OPTIONS = PreprocessOptions(low=None, high=SizeRule(R.patch))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("frames"), 0, FRAMES.size, haystacks=1, shots=8, pages=2, pictures=2)


def as_records(folder, kind, visuals, turns):
    """Records of pictures, or of videos (lists of frames), each with its question and answer, read from files."""
    found = []
    for number, (visual, (question, answer)) in enumerate(zip(visuals, turns, strict=True)):
        place = f"{number}.png" if kind == "image" else str(number)
        if kind == "video":
            (folder / place).mkdir()
        for index, picture in enumerate([visual] if kind == "image" else visual):
            picture.save(folder / place if kind == "image" else folder / place / f"{index}.png")
        said = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
        found.append({"id": number, kind: place, "conversations": said})
    (folder / "data.json").write_text(json.dumps(found))
    return read_records(folder / "data.json")


def batch_of(samples, collate, targets):
    """The only batch of a training of one step."""
    return StepBatches(lambda step: samples, collate, 1, targets)[0]


def batch_of_records(records, **how):
    """The batch of a step of all records in their order, pictures at their own size.

    (The released rule for native size would first enlarge pictures under 32 pixels.)
    """
    processor = OryxProcessor(byte_tokenizer(), OPTIONS, "plain", R.patch)
    made = RecordBatches(records, processor, len(records), 0, resolution=Resolution("native"), **how)
    return batch_of(records, made.collate, made.targets)


def losses_of_equal(model, drawn, read):
    """The losses of two batches that are the same tensors under the same names."""
    assert read.pop("tokens") > 0 and drawn.keys() == read.keys()
    for name, expected in drawn.items():
        assert read[name].dtype == expected.dtype and torch.equal(read[name], expected), name
    with torch.no_grad():
        return [answer_loss(model, batch) for batch in (drawn, read)]


@pytest.mark.parametrize("step", [0, 3])  # digits, then every task
def test_drawn_pictures_and_records(step, tmp_path):
    shown = []

    def fit(*given):
        shown.append(fit_training_picture(*given))
        return shown[-1]

    samples = draw_reader_batch(R, 0, step, fit)
    drawn = batch_of(samples, reader_inputs, sample_targets)
    records = as_records(tmp_path, "image", shown, [(one.question, one.answer) for one in samples])
    one, other = losses_of_equal(build_reader(R), drawn, batch_of_records(records))
    assert one == other > 0


@pytest.mark.parametrize("seed", [0, 1, 4])  # of sides 2, 4 and 1
def test_drawn_clips_and_records(seed, dataset, tmp_path):
    samples = draw_samples(FRAMES, seed, dataset, 3)
    clips, side = [one.clip for one in samples], samples[0].side
    drawn = batch_of(samples, partial(sample_inputs, R.patch), lambda sample: clip_targets(sample.clip))
    videos = [[Image.fromarray(dataset.frames[i]) for i in clip.frames] for clip in clips]
    records = as_records(tmp_path, "video", videos, [clip.turns[0] for clip in clips])
    read = batch_of_records(records, sides={"video": side})
    one, other = losses_of_equal(build_reader(FRAMES.shapes), drawn, read)
    assert one == other > 0


def test_kept_features_and_records(tmp_path):
    """A frozen tower's features are kept in half precision; text and layout are the same, the loss within that."""
    model, phase = build_reader(R).eval(), R.phases[-1]
    items = [training_item(0, i, phase.mixture, phase.sizes) for i in range(4)]
    inputs = PictureInputs(items, Resolution("native"), R.patch, model, compute=compute("fp32"))
    drawn = batch_of(range(4), inputs.batch, inputs.targets)
    records = as_records(tmp_path, "image", [i.picture for i in items], [(i.question, i.answer) for i in items])
    read = batch_of_records(records)
    assert all(torch.equal(read[name], drawn[name]) for name in drawn if name != "vision_features")
    read.pop("tokens")
    with torch.no_grad():
        torch.testing.assert_close(answer_loss(model, drawn), answer_loss(model, read), atol=1e-3, rtol=0)
