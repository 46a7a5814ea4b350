"""Scale small from parts to rows on a CPU: what learns, what every arm shares, what a killed job goes on with."""

import json

import pytest
import torch

import oryx
from oryx.errors import OryxError
from oryx.evidence.rows import read_rows
from oryx.model.parts import vision_tower
from tests.public_parts import RECORDS, write_public
from workbook.cli import find_study
from workbook.studies.public import training
from workbook.studies.public.settings import SMALL


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return write_public(tmp_path_factory.mktemp("public"))


def of(name, given, **values):
    study = find_study(name)
    return study, study.settings({"scale": SMALL, **given, **values})


def do(study, settings, seed, *jobs):
    """The folder of the jobs' folders, all done."""
    arms = study.run_folder(settings) / f"seed-{seed}" / "arms"
    for job in jobs:
        (arms / job).mkdir(parents=True, exist_ok=True)
        study.run_job(settings, job, seed, arms / job, lambda *_: None)
    return arms


def weights(folder, part):
    return getattr(oryx.load(folder / "model", dtype=torch.float32), part).state_dict()


def alike(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_encoders_are_made_and_stay_as_they_are_in_the_arms(given, tmp_path):
    study, settings = of("oryxvit_vs_siglip", given, side=64, results=str(tmp_path))
    study.check(settings)
    arms = do(study, settings, 0, "encoder_control", "encoder_oryxvit", "siglip_partition", "oryxvit_native")
    siglip = vision_tower(settings.siglip).state_dict()
    control, native = (weights(arms / f"encoder_{name}", "vision_tower") for name in ("control", "oryxvit"))
    assert not alike(control, siglip) and not alike(native, siglip) and not alike(control, native)
    assert alike(weights(arms / "oryxvit_native", "vision_tower"), native), "frozen"
    assert alike(weights(arms / "siglip_partition", "vision_tower"), siglip), "frozen"
    rows = read_rows([arms / arm / "rows.jsonl" for arm in ("siglip_partition", "oryxvit_native")])
    assert rows["error"].isna().all() and set(rows["condition"]) == {"visual", "no_visual"}
    seen = rows[rows["condition"] == "visual"].groupby("arm")["visual_tokens"].mean()
    assert seen["siglip_partition"] > seen["oryxvit_native"] > 0
    assert {"aspect", "size_bin", "protocol", "kind", "trained_hash"} <= set(rows.columns)


def test_a_killed_arm_goes_on_to_the_very_model_of_an_undisturbed_one(given, tmp_path, monkeypatch):
    study, settings = of("native_vs_fixed_resolution", given, side=64, pretrain=[], results=str(tmp_path / "whole"))
    whole = do(study, settings, 0, "area_1")
    killed = settings.model_copy(update={"results": str(tmp_path / "killed")})
    train, stages = training.train_on_records, []

    def dies(stage, *rest):
        stages.append(stage.name)
        if stages == ["align", "sft"]:
            raise KeyboardInterrupt
        return train(stage, *rest)

    monkeypatch.setattr(training, "train_on_records", dies)
    with pytest.raises(KeyboardInterrupt):
        do(study, killed, 0, "area_1")
    again = do(study, killed, 0, "area_1")
    assert stages == ["align", "sft"] * 2
    rows = [read_rows([arms / "area_1" / "rows.jsonl"]) for arms in (whole, again)]
    assert rows[0]["trained_hash"].tolist() == rows[1]["trained_hash"].tolist()
    assert rows[0]["logprob"].tolist() == rows[1]["logprob"].tolist()
    assert (whole / "area_1" / "curve.json").read_text() == (again / "area_1" / "curve.json").read_text()
    assert not list(again.rglob("*.pt")), "checkpoints of a model that is whole are removed"
    do(study, killed, 0, "area_1")
    assert len(stages) == 4, "what is done is not trained again"


def test_every_arm_of_a_seed_has_the_same_records_and_the_blind_one_never_sees(given, tmp_path, monkeypatch):
    longer = {"longest": 20_000}  # than the language model's context, which is the limit then
    study, settings = of("native_vs_fixed_resolution", given | longer, side=64, pretrain=[], results=str(tmp_path))
    train, met = training.train_on_records, {}

    def watched(stage, model, records, plan, folder, machine, show, view):
        met.setdefault(folder.name, {})[stage.name] = [(one.id, one.kind) for one in records]
        return train(stage, model, records, plan, folder, machine, show, view)

    monkeypatch.setattr(training, "train_on_records", watched)
    arms = do(study, settings, 0, "native", "area_4", "blind")
    assert met["native"] == met["area_4"] and len(met["native"]["sft"]) == RECORDS - 1, "one is too long, for all"
    assert [(name, None) for name, _ in met["native"]["sft"]] == met["blind"]["sft"] and "align" not in met["blind"]
    assert read_rows([arms / "blind" / "rows.jsonl"])["condition"].unique().tolist() == ["no_visual"]


def test_connectors_start_as_one_model_and_answer_at_their_ratios(given, tmp_path, monkeypatch):
    few = {"frames": 4, "arms": ["average", "dynamic_only_16x"], "results": str(tmp_path)}
    study, settings = of("pooling_vs_dynamic_compression", given, **few)
    study.check(settings)
    begun = {}

    def begin(settings, course, seed, folder):
        begun[folder.name] = model = start(settings, course, seed, folder)
        begun[folder.name + " says"] = said(model)
        return model

    def said(model):
        inputs = model.processor("colour?", torch.full((64, 64, 3), 90, dtype=torch.uint8).numpy())
        with torch.no_grad():
            return model(**inputs).logits

    start = training.begin
    monkeypatch.setattr(training, "begin", begin)
    arms = do(study, settings, 0, "oryxvit", "start", "average", "dynamic_only_16x")
    before = said(oryx.load(arms / "start" / "model", dtype=torch.float32))
    for arm in settings.arms:
        torch.testing.assert_close(begun[f"{arm} says"], before, atol=1e-5, rtol=1e-4)
    rows = read_rows([arms / arm / "rows.jsonl" for arm in settings.arms])
    assert rows.groupby("arm")["ratio"].unique().map(sorted).to_dict() == {"average": [4, 16], "dynamic_only_16x": [16]}
    assert rows["error"].isna().all() and set(rows["kind"]) == {"videomme", "mlvu"}
    assert json.loads((arms / "average" / "model" / "config.json").read_text())["compressor"] == "average"


def test_records_or_parts_that_are_not_there_are_said_before_any_work(given, tmp_path):
    study, settings = of("native_vs_fixed_resolution", given, results=str(tmp_path))
    for field, value in {"sft": (str(tmp_path / "none.json"),), "language_model": str(tmp_path / "none")}.items():
        with pytest.raises(OryxError, match="none"):
            study.check(settings.model_copy(update={field: value}))
    assert not list(tmp_path.iterdir())
