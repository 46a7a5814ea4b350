"""One's own data as a study: arms, rows, blind control, failures, going on, verdicts, on a tiny random model."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2Config,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from oryx.errors import CheckpointError, InputError, MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from oryx.evidence.verdicts import judge
from oryx.processing.tokenizers import byte_tokenizer
from oryx.train.device import compute
from tests.parts import SIGLIP, TEXT
from tests.rows import same_rows
from tests.tiny import save_tiny_model
from tests.unit.processing.test_video import write_video
from workbook import cli
from workbook.data.own_data import write_example
from workbook.report.tables import answer_table, score_table
from workbook.runs.publish import publish
from workbook.studies.asking import Question
from workbook.studies.own_data.public import PublicAsker
from workbook.studies.own_data.study import OwnData, arms_of


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Two pictures, a video and a damaged picture, from the example."""
    folder = tmp_path_factory.mktemp("own")
    lines = write_example(folder).read_text().splitlines()
    (folder / "broken.png").write_bytes((folder / "icon_0.png").read_bytes()[:60])
    broken = "broken.png,name,cat,icon,broken,0.1"
    (folder / "few.csv").write_text("\n".join([lines[0], lines[1], lines[2], lines[-1], broken]) + "\n")
    return folder / "few.csv"


@pytest.fixture(scope="module")
def made(model, example, tmp_path_factory):
    given = {"data": str(example), "models": [str(model)], "max_new_tokens": 2, "frames": 3}
    given["compressions"] = ["auto"]
    given["results"] = str(tmp_path_factory.mktemp("results"))
    return lambda **values: OwnData().settings({**given, **values})


def asked(settings, folder, arm=""):
    study = OwnData()
    arm = arm or study.arms(settings)[0]
    study.run_job(settings, arm, settings.seeds[0], folder / arm, lambda *_: None)
    return read_rows([folder / arm / "rows.jsonl"])


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory):
    """Folder of an arm that was asked in one go, and its rows."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder / "native", asked(made(), folder)


def test_every_item_is_asked_with_and_without_its_visual(undisturbed):
    _, rows = undisturbed
    assert sorted(rows["condition"]) == ["no_visual"] * 4 + ["visual"] * 4
    blind, seen = rows[rows["condition"] == "no_visual"], rows[rows["condition"] == "visual"]
    assert (blind["visual_tokens"] == 0).all() and blind["error"].isna().all()
    good = seen[seen["error"].isna()]
    assert len(good) == 3 and (good["visual_tokens"] > 0).all() and good["score"].isin([0, 1]).all()
    video = good[good["task"] == "video"].iloc[0]
    assert video["frames"] == 3 and len(video["sizes"]) == 3 and video["decoder"] in ("decord", "pyav")
    assert good[good["task"] != "video"]["decoder"].isna().all(), "nothing decodes a picture"
    (failed,) = seen[seen["error"].notna()].to_dict("records")
    assert "broken.png: the picture is damaged" in failed["error"] and failed["score"] != failed["score"]
    assert blind.groupby("question")["answer"].nunique().max() == 1


def test_arms_are_asked_at_their_resolution_and_ratio(made, tmp_path):
    settings = made(resolutions=["area_64", "squash_32"], compressions=["4x", "16x"], frames=2, items=3)
    names = ["area_64_4x", "area_64_16x", "squash_32_4x", "squash_32_16x"]
    assert OwnData().arms(settings) == names
    OwnData().check(settings)
    tokens = {}
    for name in (names[0], names[1], names[3]):
        rows = asked(settings, tmp_path, name)
        seen = rows[rows["condition"] == "visual"]
        tokens[name] = seen["visual_tokens"].tolist()
        assert set(seen["resolution"]) == {name.rpartition("_")[0]} and seen["frames"].max() == 2
    assert sum(tokens["area_64_4x"]) > sum(tokens["area_64_16x"]) > sum(tokens["squash_32_16x"])


def test_names_of_arms_say_what_differs():
    def names(**values):
        return list(arms_of(OwnData().settings({"compressions": ["auto"], **values})))

    assert names() == ["native"]
    assert names(compressions=["4x", "16x"]) == ["4x", "16x"]
    assert names(models=["runs/a-{seed}", "org/b"], resolutions=["native", "area_8"]) == [
        "a_native", "a_area_8", "b_native", "b_area_8",
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="two arms would both be called 'a'"):
        names(models=["x/a", "y/a"])
    with pytest.raises(SettingsError, match="at least one each"):
        names(models=[])


def test_the_decoder_asked_for_decodes_and_an_absent_one_is_said_before_any_work(made, tmp_path, monkeypatch):
    settings = made(decoder="pyav", decoder_threads=2, sampling="time")
    assert settings.settings_hash == made(decoder="pyav", sampling="time").settings_hash
    assert len({made(**one).settings_hash for one in ({}, {"decoder": "pyav"}, {"sampling": "time"})}) == 3
    rows = asked(settings, tmp_path)
    assert rows[rows["condition"] == "visual"].set_index("task")["decoder"]["video"] == "pyav"
    assert set(rows["sampling"].dropna()) == {"time"} and rows["warning"].isna().all()
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(MissingResource, match="decoder 'torchcodec' does not work here"):
        OwnData().check(made(decoder="torchcodec"))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"from_scratch": True}, SettingsError, "nothing is trained"),
        ({"resolutions": ["448"]}, SettingsError, "expected native, area_S, squash_S or pad_S .* got '448'"),
        ({"resolutions": ["area_0"]}, SettingsError, "positive number of pixels"),
        ({"compressions": ["5x"]}, SettingsError, "square of a whole side .* got '5x'"),
        ({"compressions": ["16"]}, SettingsError, "got '16'"),
        ({"seeds": [0, 1]}, SettingsError, "gives the same answers again for every seed"),
        ({"models": ["no/such/folder"]}, CheckpointError, "there is no such folder"),
        ({"data": "no.csv"}, SettingsError, "cannot be read"),
        ({"hypotheses": "no.toml"}, SettingsError, "cannot be read as TOML"),
    ],
)
def test_what_cannot_run_is_said_before_any_work(made, values, error, message):
    with pytest.raises(error, match=message):
        OwnData().check(made(**values))


def test_only_items_of_the_split_are_asked(made, example):
    lines = example.read_text().splitlines()[:4]
    text = "\n".join([f"{lines[0]},split", f"{lines[1]},dev", f"{lines[2]},report", f"{lines[3]},report"])
    table = example.with_name("split.csv")
    table.write_text(text + "\n")
    assert len(OwnData().items(made(data=str(table)))) == 2
    assert len(OwnData().items(made(data=str(table), split="dev"))) == 1
    table.write_text(text.replace("report", "dev") + "\n")
    with pytest.raises(SettingsError, match="no item of split 'report'"):
        OwnData().items(made(data=str(table)))


def test_a_stopped_job_goes_on_with_what_is_missing(made, undisturbed, tmp_path, monkeypatch):
    folder, whole = undisturbed
    path = tmp_path / "part" / "native" / "rows.jsonl"
    path.parent.mkdir(parents=True)
    kept = (folder / "rows.jsonl").read_bytes().splitlines(keepends=True)[:3]
    path.write_bytes(b"".join(kept) + b'{"schema": 1, "torn')
    assert same_rows(whole, asked(made(), tmp_path / "part")) == []
    assert path.read_bytes().startswith(b"".join(kept))
    monkeypatch.setattr("oryx.train.device.load", lambda *_, **__: pytest.fail("a model was loaded for nothing"))
    asked(made(), tmp_path / "part")


def test_a_video_that_may_have_lost_its_end_says_so_in_its_rows(made, tmp_path):
    write_video(tmp_path / "live.ts", 12)  # a transport stream does not say where it ends
    (tmp_path / "table.csv").write_text("file,question,answer\nlive.ts,What?,That\n")
    rows = asked(made(data=str(tmp_path / "table.csv")), tmp_path).set_index("condition")
    assert "does not say where a file ends" in rows["warning"]["visual"] and rows["error"].isna().all()
    assert rows["warning"].isna()["no_visual"]


def test_the_baseline_is_held_against_chance_and_every_other_arm(made):
    settings = made(compressions=["4x", "16x"], items=3)
    level, difference = OwnData().hypotheses(settings)
    assert level.kind == "level" and level.arms == ("4x",)
    chances = {item.task: item.chance for item in OwnData().items(settings)}
    assert level.level == pytest.approx(sum(chances.values()) / len(chances))
    assert difference.arms == ("4x", "16x") and set(difference.tasks) == {"number", "video"}


def rows_with(scores: dict[str, list[float]], settings, seeds=(0,)) -> pd.DataFrame:
    """Rows of arms with these scores, item by item, as if a model had given them."""
    base = {
        "schema": 1, "study": "own_data", "settings_hash": "s", "weights_hash": "w", "data_hash": "d",
        "split": "report", "question": "?", "truth": "x", "answer": "x", "chance": 0.1, "visual_tokens": 4,
        "error": None, "seconds": 0.1,
    }  # fmt: skip
    tasks = list(dict.fromkeys(item.task for item in OwnData().items(settings)))
    return pd.DataFrame(
        {**base, "arm": arm, "condition": condition, "task": task, "item": f"{task}{i}", "cluster": f"{task}{i}",
         "seed": seed, "score": one if condition == "visual" else 0.0}
        for arm, values in scores.items() for i, one in enumerate(values) for task in tasks for seed in seeds
        for condition in ("visual", "no_visual")
    )  # fmt: skip


def test_verdicts_follow_the_rows(made):
    settings = made(compressions=["4x", "16x"])
    hypotheses = OwnData().hypotheses(settings)
    good, bad = [1.0] * 9 + [0.0], [0.0] * 9 + [1.0]
    told = judge(rows_with({"4x": good, "16x": bad}, settings), "own_data", "nano", hypotheses)
    assert [v["verdict"] for v in told] == ["direction only: as claimed"] * 2, "one training decides nothing"
    told = judge(rows_with({"4x": bad, "16x": good}, settings, (0, 1, 2)), "own_data", "nano", hypotheses)
    assert told[1]["verdict"] == "contradicted" and told[0]["verdict"] == "inconclusive"


def test_tables_show_the_blind_control_and_every_answer(undisturbed):
    _, rows = undisturbed
    table = score_table(rows, ["native"], "native")
    assert set(table["task"]) == {"number", "video", "icon"} and table["failed"].sum() == 1
    assert (table.loc[table["task"] != "icon", "no picture"] != "").all()
    answers = answer_table(rows, ["native"])
    assert len(answers) == 4 and answers["native"].str.contains("failed: InputError").sum() == 1
    assert len(answer_table(rows.assign(score=1.0), ["native"], only_wrong=True)) == 0
    assert len(answer_table(rows.assign(score=0.0), ["native"], only_wrong=True)) == 4


def test_own_hypotheses_are_read(made, tmp_path):
    text = {"id": "mine", "study": "own_data", "paper": "own", "statement": "less is as good", "kind": "equivalence"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in text.items()]
    path = tmp_path / "mine.toml"
    path.write_text("[[hypothesis]]\n" + "\n".join([*lines, 'arms = ["4x", "16x"]', 'tasks = ["number"]']) + "\n")
    (mine,) = OwnData().hypotheses(made(hypotheses=str(path)))
    assert mine.id == "mine" and mine.kind == "equivalence"


def test_hashes_follow_model_and_data(made, model, example, tmp_path):
    study, other = OwnData(), tmp_path / "other"
    save_tiny_model(other, seed=1)
    first = study.hashes(made())
    assert first == study.hashes(made())
    assert study.hashes(made(models=[str(other)]))["weights_hash"] != first["weights_hash"]
    shutil.copytree(example.parent, tmp_path / "own")
    Image.new("RGB", (9, 9)).save(tmp_path / "own" / "number_0.png")
    moved = study.hashes(made(data=str(tmp_path / "own" / "few.csv")))
    assert moved["data_hash"] != first["data_hash"] and moved["weights_hash"] == first["weights_hash"]


def test_the_template_starts_from_the_defaults():
    book = json.loads((Path(__file__).parents[3] / "notebooks" / OwnData.notebook).read_text())
    (cell,) = [cell for cell in book["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    names = {}
    exec("".join(cell["source"]), names)
    given = {name: value for name, value in names.items() if not name.startswith("__")}
    assert OwnData().settings(given) == OwnData().settings(), "the runner passes on what differs from the defaults only"


def test_several_trainings_of_one_model_are_its_seeds(made, model, tmp_path):
    (tmp_path / "m-0").symlink_to(model)
    save_tiny_model(tmp_path / "m-1", seed=1)
    settings = made(models=[str(tmp_path / "m-{seed}")], seeds=[1, 0], items=1)
    study = OwnData()
    study.check(settings)
    rows = asked(settings, tmp_path)
    assert set(rows["seed"]) == {1} and set(rows["model"]) == {str(tmp_path / "m-1")}
    assert study.hashes(settings)["weights_hash"] != study.hashes(made())["weights_hash"]


def test_it_is_not_published_beside_the_studies_of_the_paper(made):
    settings = made(scale="nano", seeds=[0, 1, 2])
    with pytest.raises(SettingsError, match="own_data makes up its hypotheses"):
        publish(OwnData(), settings)


def test_it_is_known_by_name_but_no_study_of_the_paper():
    assert isinstance(cli.find_study("own_data"), OwnData) and "own_data" not in cli.STUDIES
    with pytest.raises(SettingsError, match="did you mean 'own_data'"):
        cli.find_study("own_dta")


def test_a_question_without_a_visual_can_be_asked(model):
    import oryx

    loaded = oryx.load(model)
    answer = loaded.ask(None, "What?", max_new_tokens=2)
    assert answer.visual_tokens == 0 and answer.frames == 0 and answer.sizes == ()
    with pytest.raises(InputError, match="question"):
        loaded.ask(None, " ")


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    """A tiny LLaVA with random weights and its processor, as transformers saves them."""
    folder, patch, side = tmp_path_factory.mktemp("public") / "llava", 8, 32
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vision = {**SIGLIP, "image_size": side, "patch_size": patch, "projection_dim": 24}
    text = {**TEXT, "vocab_size": len(tokenizer), "eos_token_id": 256, "pad_token_id": 256}
    parts = {"vision_config": CLIPVisionConfig(**vision), "text_config": Qwen2Config(**text)}
    config = LlavaConfig(**parts, image_token_index=len(tokenizer) - 1)
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    template = (
        "{% for said in messages %}{% for one in said['content'] %}"
        "{% if one['type'] == 'image' %}<image>{% else %}{{ one['text'] }}{% endif %}{% endfor %}{% endfor %}\n"
    )
    sizes = {"size": {"height": side, "width": side}, "crop_size": {"height": side, "width": side}}
    pictures = CLIPImageProcessorPil(**sizes)
    about = {"vision_feature_select_strategy": "default", "num_additional_image_tokens": 1, "chat_template": template}
    LlavaProcessor(pictures, tokenizer, patch_size=patch, **about).save_pretrained(folder)
    return folder


def test_a_model_of_transformers_is_asked_beside_an_oryx(made, model, llava, tmp_path):
    both = {"models": [str(model), str(llava)], "resolutions": ["native", "area_16"], "compressions": ["auto", "16x"]}
    settings = made(**both)
    arms = OwnData().arms(settings)
    assert [arm for arm in arms if arm.startswith("llava")] == ["llava_native_auto", "llava_area_16_auto"]
    assert len(arms) == 6, "only an Oryx has a ratio to choose"
    OwnData().check(settings)
    rows = asked(settings, tmp_path, "llava_area_16_auto")
    blind, seen = rows[rows["condition"] == "no_visual"], rows[rows["condition"] == "visual"]
    assert (blind["visual_tokens"] == 0).all() and blind["error"].isna().all()
    good = seen[seen["error"].isna()].set_index("task")
    assert len(good) == 3 and good["score"].isin([0, 1]).all() and good["answer_probability"].between(0, 1).all()
    assert set(good["visual_tokens"].items()) == {("number", 16), ("video", 3 * 16)}
    assert good.loc["video", "frames"] == 3
    assert all(height * width <= 17**2 for sizes in good["sizes"] for height, width in sizes), "the arm's resolution"
    (failed,) = seen[seen["error"].notna()].to_dict("records")
    assert "broken.png: the picture is damaged" in failed["error"]


def test_what_such_a_model_is_shown_reaches_its_answer(llava):
    asker = PublicAsker(str(llava), compute("fp32"))
    question = Question("1", None, "name", "owl", "icon", "a", 0.0, lambda answer: 0.0, most=4)
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("white", "black")]
    likely = [asker._said(question, [picture])["answer_probability"] for picture in pictures]
    assert likely[0] != likely[1] and asker._said(question, [])["visual_tokens"] == 0


def test_a_model_that_is_no_oryx_without_auto_or_template_is_refused(made, llava, tmp_path):
    with pytest.raises(SettingsError, match="auto if it is no Oryx"):
        OwnData().check(made(models=[str(llava)], compressions=["4x"]))
    bare = shutil.copytree(llava, tmp_path / "bare")
    for file in bare.glob("*template*"):
        file.unlink()
    with pytest.raises(CheckpointError, match=r"bare: expected a processor with a chat template"):
        asked(made(models=[str(bare)]), tmp_path / "rows")
