"""Questions of one visual share its reading; answers, tokens and probabilities are those of ``model.ask``."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

import oryx
from oryx import Images, Video, Views
from oryx.errors import InputError, MissingResource
from oryx.evidence.rows import read_rows
from oryx.model.vit import OryxViT
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.train.device import compute
from tests.benchmark_copies import make_video, picture
from tests.tiny import save_tiny_model
from workbook.data.answers import option_letter, score
from workbook.studies.asking import Asker, Question, Way

BASE = {"schema": 1, "study": "asking", "arm": "a", "seed": 0, "split": "dev"}
BASE |= {"settings_hash": "s", "weights_hash": "w", "data_hash": "d"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(save_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def visuals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("visuals")
    for i in range(3):
        picture(i).save(folder / f"{i}.png")
    make_video(folder / "film.mp4", 1)
    pictures = tuple(folder / f"{i}.png" for i in range(3))
    video = Video(folder / "film.mp4", 5)
    return {"path": pictures[0], "bytes": pictures[1].read_bytes(), "several": Images(pictures[:2]),
            "views": Views(pictures), "video": video}  # fmt: skip


def questions_of(visuals, texts=("What is it?", "And now, which colour is the longest bar?"), **more):
    common = {"task": "t", "chance": 0.25, "score": partial(score, truth="B", rule="exact"), "most": 5, **more}
    return [
        Question(f"{name}-{i}", visual, text, "B", cluster=name, **common)
        for name, visual in visuals.items()
        for i, text in enumerate(texts)
    ]


def asked(checkpoint, questions, folder, way=None, **more):
    asker = Asker(checkpoint, compute("fp32"))
    asker.ask(folder, asker.batches(questions, way or Way(), BASE, **more), lambda *_: None)
    return read_rows([folder / "rows.jsonl"])


@pytest.mark.parametrize("way", [Way(), Way(resolution=64, compression=16)], ids=["native", "64px-16x"])
def test_answers_are_those_of_ask(checkpoint, visuals, tmp_path, way):
    questions = questions_of(visuals)
    rows = asked(checkpoint, questions, tmp_path, way).set_index(["item", "condition"])
    model = oryx.load(checkpoint)
    assert len(rows) == 2 * len(questions) and rows["error"].isna().all()
    for question in questions:
        for condition, visual in (("visual", question.visual), ("no_visual", None)):
            how = {"resolution": way.resolution, "compression": way.compression} if visual else {}
            given = model.ask(visual, question.text, max_new_tokens=5, **how)
            row = rows.loc[question.id, condition]
            assert (row["answer"], row["visual_tokens"], row["frames"]) == (
                given.text, given.visual_tokens, given.frames,
            )  # fmt: skip
            assert row["answer_probability"] == pytest.approx(given.probability, rel=1e-3)
            assert row["decoder"] == given.decoder and row["sizes"] == [list(size) for size in given.sizes]
            assert row["warning"] == given.warning is None
            film = condition == "visual" and question.id.startswith("video")
            assert row["sampling"] == ("number" if film else None)
            assert row["score"] == (given.text == "B") and row["logprob"] < 0


def test_a_visual_is_prepared_and_read_once_whatever_its_questions(checkpoint, visuals, tmp_path, monkeypatch):
    prepared, encoded = [], []
    prepare, forward = OryxProcessor.prepare, OryxViT.forward
    monkeypatch.setattr(OryxProcessor, "prepare", lambda *a, **k: prepared.append(1) or prepare(*a, **k))
    monkeypatch.setattr(OryxViT, "forward", lambda *a, **k: encoded.append(1) or forward(*a, **k))
    questions = questions_of({"video": visuals["video"], "path": visuals["path"]}, [f"Question {i}?" for i in range(4)])
    rows = asked(checkpoint, questions[::2] + questions[1::2], tmp_path)
    assert len(rows) == 16 and len(prepared) == 2 and len(encoded) <= 2


def test_the_chosen_option_and_the_likeliest_are_noted(checkpoint, visuals, tmp_path):
    questions = questions_of({"path": visuals["path"]}, options=("red", "blue", "green"))
    rows = asked(checkpoint, questions, tmp_path, conditions=["visual"])
    assert (rows["condition"] == "visual").all() and rows["likeliest"].isin(list("ABC")).all()
    assert rows["chosen"].tolist() == [option_letter(answer, ("red", "blue", "green")) for answer in rows["answer"]]


def test_options_of_the_way_replace_the_models_own(checkpoint, visuals, tmp_path):
    only = questions_of({"video": replace(visuals["video"], frames=None), "path": visuals["path"]}, ["What?"])
    way = Way(options=PreprocessOptions(frames=3, low=None, newlines=1), compression=4)
    rows = asked(checkpoint, only, tmp_path, way, conditions=["visual"]).set_index("item")
    assert rows["frames"].to_dict() == {"video-0": 3, "path-0": 1} and len(rows.loc["path-0", "sizes"]) == 1


def test_sampling_and_penalty_are_taken_from_the_way_or_the_checkpoint(checkpoint, visuals, tmp_path):
    question = questions_of({"path": visuals["path"]}, ["What?"], most=12)
    greedy = asked(checkpoint, question, tmp_path / "a", conditions=["visual"])["answer"][0]
    same = Way(generation={"do_sample": False})
    assert asked(checkpoint, question, tmp_path / "b", same, conditions=["visual"])["answer"][0] == greedy
    drawn = Way(generation={"do_sample": True, "temperature": 5.0, "repetition_penalty": 1.0})
    first, again = (
        asked(checkpoint, question, tmp_path / name, drawn, conditions=["visual"])["answer"][0] for name in "cd"
    )
    assert first == again != greedy, "drawn, and drawn the same again"
    model, punished = oryx.load(checkpoint), Way(generation={"do_sample": False, "repetition_penalty": 8.0})
    inputs = model.processor("What?", visuals["path"])
    length = inputs["input_ids"].shape[1]
    out = model.generate(**inputs, max_new_tokens=12, do_sample=False, repetition_penalty=8.0, eos_token_id=[256])[0]
    new = [int(token) for token in out[length:]] if len(out) > 12 else [int(token) for token in out]
    text = model.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    assert asked(checkpoint, question, tmp_path / "e", punished, conditions=["visual"])["answer"][0] == text


def test_a_visual_that_fails_fails_its_own_questions_only(checkpoint, visuals, tmp_path):
    (tmp_path / "broken.png").write_bytes(visuals["path"].read_bytes()[:60])
    rows = asked(checkpoint, questions_of({"broken": tmp_path / "broken.png", "path": visuals["path"]}), tmp_path)
    failed = rows[rows["error"].notna()]
    assert set(failed["cluster"]) == {"broken"} and len(failed) == 2 and (failed["condition"] == "visual").all()


def test_what_does_not_fit_is_compressed_further_or_refused(checkpoint, visuals, tmp_path, monkeypatch):
    asker, video = Asker(checkpoint, compute("fp32")), replace(visuals["video"], frames=8)
    processor = asker.model.processor
    tokens = {side: processor.prepare(video, side=side)[0].visual_tokens(processor.patch) for side in (None, 4)}
    assert tokens[None] > tokens[4]
    asker.model.config.tokenizer_model_max_length = tokens[4] + 200
    found = asker._answers(questions_of({"video": video}), Way(), "visual")
    assert {row["visual_tokens"] for row in found} == {tokens[4]}
    asker.model.config.tokenizer_model_max_length = 100
    with pytest.raises(InputError, match=r"take \d+ tokens, \d+ of them visual .* takes at most 100"):
        asker._answers(questions_of({"video": video}), Way(), "visual")


def test_a_model_without_tokenizer_is_refused_before_any_row(checkpoint, visuals, tmp_path, monkeypatch):
    bare = oryx.load(checkpoint)
    bare.processor = None
    monkeypatch.setattr("oryx.train.device.load", lambda *_, **__: bare)
    with pytest.raises(MissingResource, match="expected a whole model with its tokenizer"):
        asked(checkpoint, questions_of({"path": visuals["path"]}), tmp_path)
    assert not (tmp_path / "rows.jsonl").read_bytes()


def test_a_study_may_change_the_model_before_it_is_asked(checkpoint, visuals, tmp_path):
    def silence(model):
        torch.nn.init.zeros_(model.vision_tower.patch_embed.proj.weight)

    question = questions_of({"path": visuals["path"]}, ["What?"])
    before = asked(checkpoint, question, tmp_path / "a", conditions=["visual"])["logprob"][0]
    asker = Asker(checkpoint, compute("fp32"), silence)
    asker.ask(tmp_path / "b", asker.batches(question, Way(), BASE, conditions=["visual"]), lambda *_: None)
    assert not math.isclose(read_rows([tmp_path / "b" / "rows.jsonl"])["logprob"][0], before)
