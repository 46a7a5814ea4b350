"""Hugging Face datasets as records: parquet files in the schemas of two public datasets, written by their library."""

import io

import pytest
from PIL import Image

from oryx.errors import InputError, MissingResource
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.train.datasets import checked, read_data
from oryx.train.record_batches import RecordBatches
from tests.records import COLOURS, turns, write_records

pytestmark = [pytest.mark.integration, pytest.mark.finetune]


@pytest.fixture
def hf(monkeypatch, tmp_path):
    """The library, with a cache of its own."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets


def png(colour, side=32):
    file = io.BytesIO()
    Image.new("RGB", (side, side), COLOURS[colour]).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def cauldron(hf, path, rows):
    """HuggingFaceM4/the_cauldron: images, and texts of user, assistant and source."""
    text = {name: hf.Value("string") for name in ("user", "assistant", "source")}
    features = hf.Features({"images": hf.List(hf.Image()), "texts": [text]})
    hf.Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def onevision(hf, path, rows):
    """lmms-lab/LLaVA-OneVision-Data: id, image, conversations, data_source."""
    turn = {name: hf.Value("string") for name in ("from", "value")}
    known = {"id": hf.Value("string"), "image": hf.Image(), "conversations": [turn], "data_source": hf.Value("string")}
    hf.Dataset.from_list(rows, features=hf.Features(known)).to_parquet(path)
    return path


def said(*pairs):
    return [{"user": user, "assistant": assistant, "source": "test"} for user, assistant in pairs]


def batches_of(records, **options):
    processor = OryxProcessor(byte_tokenizer(), PreprocessOptions(low=None), patch=8)
    return RecordBatches(records, processor, size=2, seed=0, **options)


def visuals(batch):
    return [tuple(one) for one in batch["visual_spec"].tolist()]


def test_rows_of_the_cauldron(hf, tmp_path):
    torn = {"bytes": png("red")["bytes"][:60], "path": None}
    rows = [
        {"images": [png("red"), png("blue")], "texts": said(("same?", "no"), ("first?", "red"))},
        {"images": [torn], "texts": said(("hue", "red"))},
        {"images": [], "texts": said(("2 + 2", "4"))},
        {"images": [png("red")], "texts": said(("hue", ""))},
        {"images": [png("red")], "texts": said(("<image> or <image>?", "red"))},
    ]
    path = cauldron(hf, tmp_path / "rows.parquet", rows)
    records = read_data([path])
    first = records[0]
    assert first.kind == "images" and first.files == (png("red")["bytes"], png("blue")["bytes"])
    assert [turn["value"] for turn in first.conversation] == ["same?", "no", "first?", "red"]
    assert records[2].kind is None and records[1].kind == "images"  # read, though its picture is torn
    made = batches_of(records)
    batch = made.collate([first, records[2]])
    assert len(visuals(batch)) == 2 and batch["input_ids"][0].tolist().count(-200) == 2
    good, faults = checked(records, made, skip=True, folder=tmp_path)
    assert [one.id for one in good] == ["0", "2"] and [fault["record"] for fault in faults] == [1, 3, 4]
    assert {fault["file"] for fault in faults} == {str(path)}
    for fault, reason in zip(faults, ("truncated", "an empty text", "2 <image> mark"), strict=True):
        assert f"rows.parquet, record {fault['record']}: " in fault["reason"] and reason in fault["reason"]


def test_rows_of_llava_onevision(hf, tmp_path):
    marked, bare = turns("<image>\nhue", "red", "sure?", "yes"), turns("hue", "blue")
    rows = [
        {"id": "a", "image": png("red"), "conversations": marked, "data_source": "x"},
        {"id": "a", "image": png("blue"), "conversations": bare, "data_source": "x"},
        {"id": "c", "image": None, "conversations": turns("2 + 2", "4"), "data_source": "x"},
    ]
    records = read_data([onevision(hf, tmp_path / "rows.parquet", rows)])
    assert [(one.id, one.kind) for one in records] == [("a", "image"), ("a", "image"), ("c", None)]
    batch = batches_of(records).collate(list(records))
    assert (batch["input_ids"] == -200).sum(1).tolist() == [1, 1, 0]
    assert batch["input_ids"][0].tolist() != batch["input_ids"][1].tolist()


def test_a_folder_of_parquet_and_a_json_file_together(hf, tmp_path):
    folder = tmp_path / "table" / "data"
    folder.mkdir(parents=True)
    for part, count in enumerate((2, 3)):
        rows = [{"images": [png("red")], "texts": said(("hue", f"red {part} {n}"))} for n in range(count)]
        cauldron(hf, folder / f"train-0000{part}-of-00002.parquet", rows)
    cauldron(hf, folder / "test-00000-of-00001.parquet", rows[:1])
    records = read_data([tmp_path / "table", write_records(tmp_path / "pictures", 2)])
    assert [one.answer for one in records][4:] == ["red 1 2", "red", "blue"] and len(records) == 7
    assert records.where(4) == {"file": str(tmp_path / "table"), "record": 4}
    assert len(read_data([f"{tmp_path / 'table'}@test"])) == 1


def test_paths_in_a_table_are_looked_for_in_its_folder(hf, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    rows = {"id": ["x", "y"], "image": ["a.png", "absent.png"], "conversations": [turns("<image>\nhue", "black")] * 2}
    hf.Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    records = read_data([tmp_path / "rows.parquet"])
    assert records[0].files == (tmp_path / "a.png",)
    with pytest.raises(InputError, match=r"rows\.parquet, record 1 \(id 'y'\): image: .*absent\.png: .*there is none"):
        records[1]


def test_needles_and_films_in_a_table_and_columns_of_others(hf, tmp_path):
    (tmp_path / "film").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "film" / "0.png")
    needle = {"video_long": "film", "idx": [0], "type": "caption", "question": "<idx>?", "answer": "black"}
    hf.Dataset.from_list([needle]).to_parquet(tmp_path / "needles.parquet")
    other = {"conversations": turns("a", "b"), "question": "x", "type": "y", "idx": [3]}
    hf.Dataset.from_list([other | {"video": film} for film in (None, b"bytes")]).to_parquet(tmp_path / "others.parquet")
    records = read_data([tmp_path / "needles.parquet", tmp_path / "others.parquet"])
    assert records[0].placed().question.endswith("every frame. 0?") and records[1].kind is None
    with pytest.raises(InputError, match=r"record 1: video: expected the name of a file .*got b'bytes'"):
        records[2]


def test_a_repository_has_a_configuration_and_a_split(hf, tmp_path, monkeypatch):
    table, asked = hf.Dataset.from_dict({"id": ["1"], "conversations": [turns("a", "b")]}), []
    monkeypatch.setattr(hf, "load_dataset", lambda **how: asked.append(how) or table)
    names = ("owner/name", "owner/name:ai2d(cauldron,llava_format)", "owner/name:ai2d@validation", "owner/name@test")
    assert [read_data([name])[0].answer for name in names] == ["b"] * 4
    assert [(one["path"], one["name"], one["split"]) for one in asked] == [
        ("owner/name", None, "train"),
        ("owner/name", "ai2d(cauldron,llava_format)", "train"),
        ("owner/name", "ai2d", "validation"),
        ("owner/name", None, "test"),
    ]


def test_a_table_that_is_not_there_or_none_is_named(hf, tmp_path, monkeypatch):
    monkeypatch.setattr(hf.config, "HF_HUB_OFFLINE", True)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    for source in (tmp_path / "torn.parquet", tmp_path / "absent", "owner/absent:name@split"):
        with pytest.raises(MissingResource, match=f"data: {source}: expected .json, .jsonl or .parquet"):
            read_data([source])


def test_workers_find_what_one_process_finds(hf, tmp_path):
    path = cauldron(hf, tmp_path / "rows.parquet", [{"images": [png("red")], "texts": said(("hue", "red"))}] * 3)
    records = read_data([path, write_records(tmp_path / "pictures", 3)])
    (alone, _), (shared, _) = (checked(records, batches_of(records), workers) for workers in (0, 2))
    assert alone.lengths == shared.lengths and len(alone) == 6
