"""Adapters on a tiny checkpoint in the authors' format: what is trained, going on after a stop, what is saved."""

import sys

import pytest
import torch

import oryx
from oryx.errors import InputError, MissingResource
from oryx.layout import IGNORED_LABEL
from oryx.model import OryxForConditionalGeneration, modeling
from oryx.model.attention import can_pack
from oryx.processing.tokenizers import byte_tokenizer
from oryx.train.datasets import read_records
from oryx.train.loop import StepBatches, TrainPlan, answer_loss, train
from oryx.train.record_batches import RecordBatches
from tests.records import save, turns, write_records
from tests.unit.model.builders import tiny_model, write_released
from workbook.studies.adapters import add_adapters, save_adapters

pytestmark = pytest.mark.finetune
STEPS = 5
PLAN = TrainPlan(STEPS, 3e-2, warmup=1, weight_decay=0.0, checkpoint_seconds=0.0, log_every=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    text = {"vocab_size": 259}
    model = tiny_model(vision={"patch_size": 16}, text=text)
    write_released(folder, model, tokenizer_model_max_length=4000, vocab_size=259)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return read_records(write_records(tmp_path_factory.mktemp("records"), 6))


def batches_of(model, records, size=3, **options):
    return RecordBatches(records, model.processor, size, seed=0, **options)


def trained(base, records, pieces=1, rank=4, projector=False, prepare=lambda model: None, **run):
    """The model around which PEFT's is, PEFT's model, the curve."""
    model = oryx.load(base)
    tuned = add_adapters(model, str(base), rank, projector)
    prepare(model)
    made = batches_of(model, records)
    source = StepBatches(made.draw, made.collate, STEPS, made.targets, pieces=pieces)
    return model, tuned, train(model, source, answer_loss, PLAN, **run)


@pytest.fixture(scope="module")
def undisturbed(checkpoint, records):
    return trained(checkpoint, records)


def losses(curve):
    return [point["loss"] for point in curve]


def test_the_adapters_alone_are_trained_and_the_loss_falls(checkpoint, undisturbed):
    model, _, curve = undisturbed
    assert losses(curve)[-1] < 0.9 * losses(curve)[0]
    before, now = oryx.load(checkpoint).state_dict(), model.state_dict()
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learned and all(".lora_" in name and name.startswith("language_model.") for name in learned)
    for name, value in now.items():
        if ".lora_" not in name:
            assert torch.equal(value, before[name.replace(".base_layer", "")]), name


def test_a_training_that_was_stopped_goes_on_with_the_losses_of_an_undisturbed_one(
    checkpoint, records, undisturbed, tmp_path
):
    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 3:
            raise Stop

    file = tmp_path / "training.pt"
    with pytest.raises(Stop):
        trained(checkpoint, records, checkpoint=file, progress=stop)
    whole = sum(value.nbytes for value in oryx.load(checkpoint).state_dict().values())
    assert file.stat().st_size < whole, "frozen weights are not in the checkpoint"
    model, _, curve = trained(checkpoint, records, checkpoint=file)
    assert losses(curve) == losses(undisturbed[2])
    for name, value in undisturbed[0].state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_pieces_of_a_batch_make_the_same_step(checkpoint, records, undisturbed):
    for a, b in zip(losses(trained(checkpoint, records, pieces=3)[2]), losses(undisturbed[2]), strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def test_gradient_checkpointing_makes_the_same_step(checkpoint, records, undisturbed):
    found = trained(checkpoint, records, prepare=lambda model: model.gradient_checkpointing_enable())
    assert losses(found[2]) == pytest.approx(losses(undisturbed[2]), rel=1e-4)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("through", ["the model", "PEFT's model"])
def test_adapters_are_trained_without_padding_to_the_loss_and_gradients_of_a_padded_batch(
    checkpoint, tmp_path, monkeypatch, checkpointing, through
):
    packed, original = [], OryxForConditionalGeneration._packed_loss
    spy = lambda *given: packed.append(1) or original(*given)  # noqa: E731
    monkeypatch.setattr(OryxForConditionalGeneration, "_packed_loss", spy)
    texts = [{"id": n, "conversations": turns("say", "word " * (1 + 4 * n))} for n in range(3)]
    made, found = [*read_records(save(tmp_path, texts)), *read_records(write_records(tmp_path / "more", 2))], []
    for padded in (False, True):
        model = oryx.load(checkpoint)
        tuned = add_adapters(model, str(checkpoint), 4, projector=True)
        for name, parameter in model.named_parameters():  # else half of the adapters have no gradient
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
        if checkpointing:
            model.gradient_checkpointing_enable()
        monkeypatch.setattr(modeling, "can_pack", lambda model, padded=padded: not padded and can_pack(model))
        batch = batches_of(model, made).collate(made)
        del batch["tokens"]
        loss = (model if through == "the model" else tuned).train()(**batch, loss_only=True).loss
        loss.backward()
        learned = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        found.append((loss.detach(), learned))
        assert len(packed) == 1, "the first without padding, the second with"
    torch.testing.assert_close(found[0][0], found[1][0])
    for name, gradient in found[0][1].items():
        assert gradient.any(), name
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(gradient, found[1][1][name], atol=2e-5 * scale, rtol=1e-3, msg=name)


def test_the_projector_is_trained_on_demand(checkpoint, records):
    model, _, curve = trained(checkpoint, records, projector=True)
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert any(name.startswith("projector.") for name in learned) and losses(curve)[-1] < losses(curve)[0]
    assert not any(name.startswith("compressor.") for name in learned), "its parts have names that end alike"


@pytest.mark.parametrize("projector", [False, True])
def test_the_adapter_and_the_merged_model_answer_as_the_trained_one(checkpoint, records, tmp_path, projector):
    from peft import PeftModel

    model, tuned, _ = trained(checkpoint, records, projector=projector)
    picture = records[0].visual()
    expected = [model.ask(picture, "hue", max_new_tokens=4), model.ask(None, "hue", max_new_tokens=4)]
    assert expected[0].probability != oryx.load(checkpoint).ask(picture, "hue", max_new_tokens=4).probability
    save_adapters(tuned, tmp_path / "adapter", tmp_path / "merged")
    around = PeftModel.from_pretrained(oryx.load(checkpoint), tmp_path / "adapter")
    assert around.peft_config["default"].base_model_name_or_path == str(checkpoint)
    for again in (around.base_model.model, oryx.load(tmp_path / "merged")):
        for visual, one in zip((picture, None), expected, strict=True):
            found = again.ask(visual, "hue", max_new_tokens=4)
            assert found.text == one.text and found.probability == pytest.approx(one.probability, rel=1e-3)


def test_a_batch_is_a_function_of_the_step_and_an_epoch_takes_every_record(checkpoint, records):
    made = batches_of(oryx.load(checkpoint), records, size=4)
    steps = [made.draw(step) for step in range(3)]
    assert steps == [batches_of(oryx.load(checkpoint), records, size=4).draw(step) for step in range(3)]
    taken = [record.id for step in steps for record in step]
    assert sorted(taken[:6]) == sorted(taken[6:]) == sorted(record.id for record in records) and taken[:6] != taken[6:]


def test_targets_are_the_supervised_tokens_and_tokens_what_the_model_reads(checkpoint, records):
    model = oryx.load(checkpoint)
    made = batches_of(model, records)
    batch = made.collate(records[:2])
    supervised = (batch["labels"][:, 1:] != IGNORED_LABEL).sum().item()
    assert supervised == sum(map(made.targets, records[:2]))
    tokens = batch.pop("tokens")
    with torch.no_grad():
        assert tokens == int(model.expand(**batch).attention_mask.sum())


def test_a_record_that_the_model_does_not_take_is_named(checkpoint, records, tmp_path):
    model = oryx.load(checkpoint)
    with pytest.raises(
        InputError, match=r"record 0 \(id 0\): expected at most 100 tokens, got \d+, \d+ of them visual"
    ):
        batches_of(model, records, limit=100).inputs(records[0])
    (long,) = read_records(save(tmp_path, [{"id": "c", "conversations": turns("a", "b", "c", "d")}]))
    assert batches_of(model, [long]).inputs(long)[1] > 0
    nano = oryx.load("nano")
    with pytest.raises(InputError, match=r"\(id 'c'\): conversations: the plain form has one question"):
        batches_of(nano, [long]).inputs(long)


def test_without_peft_the_command_is_said(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingResource, match=r'pip install -e "\.\[finetune\]"'):
        add_adapters(oryx.load(checkpoint), "x", 4)
