"""Sources of records: places in JSON files, several at once, needles of long videos, and each record opened once."""

import json
import sys

import pytest
from PIL import Image

from oryx.errors import InputError, MissingResource, SettingsError
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.visuals import Video
from oryx.train.datasets import RecordFile, checked, read_data
from oryx.train.record_batches import RecordBatches
from tests.records import save, turns, write_records

HUE = turns("<image>\nhue", "red")


@pytest.fixture
def pictures(tmp_path):
    """Six records of pictures and their file."""
    return write_records(tmp_path / "pictures", 6)


@pytest.fixture
def film(tmp_path):
    """A folder of eight frames; the grey of each is its number times 20."""
    folder = tmp_path / "film"
    folder.mkdir()
    for number in range(8):
        Image.new("L", (32, 32), 20 * number).save(folder / f"{number}.png")
    return folder


def lines(folder, records):
    path = folder / "records.jsonl"
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    return path


def batches_of(records, **options):
    processor = OryxProcessor(byte_tokenizer(), PreprocessOptions(low=None), patch=8)
    return RecordBatches(records, processor, size=2, seed=0, **options)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_is_cut_into_its_records_whatever_their_texts_hold(tmp_path, indent):
    odd = ['"}]', "{[\\", "\\\\", 'é "x": {', "\u2028 \U0001f600", "a\nb"]
    records = [{"id": text, "conversations": turns(text, f"{text}.")} for text in odd]
    path = tmp_path / "records.json"
    path.write_text(f"\n{json.dumps(records, indent=indent, ensure_ascii=False)}\n", encoding="utf-8")
    assert [(one.id, one.answer) for one in RecordFile(path)] == [(text, f"{text}.") for text in odd]


def test_a_line_that_cannot_be_used_is_named_and_the_others_are_read(tmp_path):
    said = {"conversations": turns("a", "b")}
    records = RecordFile(lines(tmp_path, [said, "", "{not json", [1], {"id": "x", **said, "imagee": 1}]))
    assert len(records) == 4 and records[0].id == "0"
    for number, expected in (
        (1, r"records\.jsonl, line 3, record 1: .*Expecting property name"),
        (2, r"records\.jsonl, line 4, record 2: expected an object, got \[1\]"),
        (3, r"records\.jsonl, line 5, record 3 \(id 'x'\): unknown field 'imagee'"),
    ):
        with pytest.raises(InputError, match=expected):
            records[number]


def test_several_sources_are_one_after_the_other_and_a_limit_draws_from_all(tmp_path, pictures):
    more = save(tmp_path, [{"id": 0, "conversations": turns("a", "b")}] * 4)  # ids need not differ here
    records = read_data([pictures, more])
    assert [one.kind for one in records] == ["image"] * 6 + [None] * 4
    assert records.where(7) == {"file": str(more), "record": 1}
    drawn, again, other = (read_data([pictures, more], limit=5, seed=seed) for seed in (1, 1, 2))
    assert drawn.indices == again.indices != other.indices and len(set(drawn.indices)) == len(drawn) == 5
    assert len(read_data([pictures, more], limit=99)) == 10


def test_a_table_without_its_library_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingResource, match=r'owner/name: .*pip install -e "\.\[finetune\]"'):
        read_data(["owner/name"])


def needle(film, idx=(2,), kind="caption", question="what is in <idx>?", **more):
    return {"video_long": film.name, "idx": list(idx), "type": kind, "question": question, "answer": "grey", **more}


OPENING = (
    "This is a extremely long video with a total of {} frames sampled from the video. Please carefully read every "
    "given frame in this video, identifying the detailed contents in every frame. "
)


def test_a_short_video_keeps_its_frames_and_its_needle_where_it_is(film):
    (record,) = RecordFile(save(film.parent, [needle(film)]))
    placed = record.placed()
    assert placed.indices == tuple(range(8)) and placed.kind == "video_long"
    assert placed.conversation[0]["value"] == f"<image>\n{OPENING.format(8)}what is in 2?"
    assert placed.answer == record.answer == "grey" and placed.placed() is placed
    processor = OryxProcessor(byte_tokenizer(), patch=8)
    ((prepared,), (four,)) = (placed.prepare(processor, side=side) for side in (None, 2))
    assert (prepared.side, prepared.frames, four.side) == (4, 8, 2)  # 16x is its own ratio


def grey(placed, processor):
    (prepared,) = placed.prepare(processor)
    return [round(float(one.mean()) / 20) for one in prepared.maps]


@pytest.mark.parametrize(("idx", "kind", "question"), [((7,), "caption", "<idx>?"), ((1, 6), "diff", "<idx1> <idx2>")])
def test_needles_of_a_longer_video_replace_frames_that_the_question_names(film, monkeypatch, idx, kind, question):
    processor, seen = OryxProcessor(byte_tokenizer(), patch=8), set()
    records = [needle(film, idx, kind, question, id=number) for number in range(12)]
    for record in RecordFile(save(film.parent, records), seed=3):
        placed = record.placed(frames=4)
        places = [int(word.strip("?")) for word in placed.question.rpartition("every frame. ")[2].split()]
        others = [place for place in range(4) if place not in places]
        shown, uniform = grey(placed, processor), [0, 2, 4, 7]
        assert [shown[place] for place in places] == list(idx) and len(shown) == 4
        assert [shown[place] for place in others] == [uniform[place] for place in others]
        assert places == sorted(set(places)) and (kind == "caption" or places[0] < 2)
        seen.add(tuple(places))
    assert len(seen) > 2
    again, other = (
        [one.placed(frames=4).indices for one in RecordFile(save(film.parent, records), seed=seed)] for seed in (3, 4)
    )
    assert again == [one.placed(frames=4).indices for one in RecordFile(film.parent / "records.json", seed=3)] != other


def test_the_bound_of_a_long_video_is_drawn_from_192_to_256(film, monkeypatch):
    monkeypatch.setattr("oryx.train.records._frames", lambda path: 1000)
    records = RecordFile(save(film.parent, [needle(film, [900], id=number) for number in range(400)]))
    bounds = [len(one.placed().indices) for one in records]
    assert min(bounds) == 192 and max(bounds) == 256 and all(900 in one.placed().indices for one in records)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"idx": [1, 2]}, "expected video_long, .* its idx and marks"),
        ({"type": "diff", "idx": [1, 2]}, r"marks in question, got type 'diff', idx \[1, 2\]"),
        ({"type": None}, "expected video_long, a type of"),
        ({"answer": " "}, "expected an answer, got an empty text"),
        ({"video_long": "absent"}, "video_long: .*absent: expected a video file, there is none"),
        ({"video_long": None}, "expected video_long"),
        ({"idx": [8]}, r"idx: expected frames from 0 to 7, got \[8\]"),
    ],
)
def test_a_needle_that_is_not_there_is_named(film, fields, said):
    records = RecordFile(save(film.parent, [needle(film, id="n") | fields]))
    with pytest.raises(InputError, match=rf"records\.json, record 0 \(id 'n'\): .*{said}"):
        records[0].placed()


def test_a_video_shows_the_frames_that_are_asked_for(film):
    processor = OryxProcessor(byte_tokenizer(), patch=8).video_processor
    shown = processor.prepare(Video(film, frames=2, indices=(5, 0, 5)))
    assert [round(float(one.mean()) / 20) for one in shown.maps] == [5, 0, 5]
    with pytest.raises(InputError, match="indices: expected frames from 0 to 7, got 8"):
        processor.prepare(Video(film, indices=[8]))


def test_a_batch_of_needles_reads_the_question_with_its_numbers(film):
    made = batches_of(RecordFile(save(film.parent, [needle(film), needle(film, id="b")])))
    batch = made.collate(made.draw(0))
    text = byte_tokenizer().decode([one for one in batch["input_ids"][0].tolist() if one >= 0])
    assert "what is in 2?" in text and "<idx>" not in text
    labels = (batch["labels"][:, 1:] >= 0).sum().item()
    assert labels == sum(map(made.targets, made.draw(0)))


FAULTS = [
    ({"image": "absent.png"}, "absent.png"),
    ({"conversations": turns("hue", "red")}, "0 <image> mark"),
    ({"conversations": turns("<image>\nhue", "")}, "an empty text"),
    ({"image": "torn.png"}, "torn.png"),
    ({"conversations": turns("<image>\nhue", "red " * 200)}, "expected at most 300 tokens"),
    ({"image": None, "video": "torn.mp4"}, "torn.mp4"),
]


@pytest.fixture
def faulty(pictures):
    """Lines of records: a good one, one of each of FAULTS, a good one."""
    folder = pictures.parent
    (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:50])
    (folder / "torn.mp4").write_bytes(b"\0" * 200)
    good = {"image": "0.png", "conversations": HUE}
    return read_data([lines(folder, [good, *({**good, **fields} for fields, _ in FAULTS), good])])


def test_faulty_records_stop_a_training_all_counted_and_the_first_named(faulty, tmp_path):
    with pytest.raises(SettingsError) as raised:
        checked(faulty, batches_of(faulty, limit=300), folder=tmp_path / "run")
    said = str(raised.value).splitlines()
    assert said[0] == "data: 6 of 8 records cannot be used:" and len(said) == 7 and said[-1].strip() == "..."
    for number, (line, (_, reason)) in enumerate(zip(said[1:6], FAULTS, strict=False), start=1):
        assert f"records.jsonl, line {number + 1}, record {number}: " in line and reason in line


def test_faulty_records_are_left_out_if_asked_for_and_listed(faulty, tmp_path):
    good, faults = checked(faulty, batches_of(faulty, limit=300), skip=True, folder=tmp_path)
    assert [one.id for one in good] == ["0", "7"] and len(set(good.lengths)) == 1
    listed = [json.loads(line) for line in (tmp_path / "faulty.jsonl").read_text().splitlines()]
    assert listed == faults and [fault["record"] for fault in faults] == [1, 2, 3, 4, 5, 6]
    assert all(reason in fault["reason"] for fault, (_, reason) in zip(faults, FAULTS, strict=True))
    assert {fault["file"] for fault in faults} == {str(tmp_path / "pictures" / "records.jsonl")}


def test_lengths_are_those_of_the_batches(pictures, tmp_path):
    records = read_data([pictures])
    made = batches_of(records)
    good, faults = checked(records, made)
    assert not faults and good.lengths == [made.inputs(record)[1] for record in records]


class Broken(RecordBatches):
    """Opening anything is a failure."""

    def inputs(self, record):
        raise AssertionError("opened again")


def test_what_was_opened_once_is_not_opened_again_unless_something_changed(pictures, tmp_path):
    records = read_data([pictures])
    made = batches_of(records)
    good, _ = checked(records, made, folder=tmp_path)
    broken = Broken(records, made.processor, 3, 7)  # another size and seed of batches
    again, _ = checked(read_data([pictures]), broken, folder=tmp_path)
    assert again.lengths == good.lengths and [one.id for one in again] == [one.id for one in good]
    for changed in (
        (read_data([pictures], limit=5), broken),
        (records, Broken(records, made.processor, 2, 0, limit=9)),
        (records, Broken(records, OryxProcessor(byte_tokenizer(), patch=8), 2, 0)),
    ):
        with pytest.raises(AssertionError, match="opened again"):
            checked(*changed, folder=tmp_path)


def test_no_record_left_is_refused_even_if_faults_are_to_be_left_out(tmp_path):
    records = read_data([save(tmp_path, [{"id": 1, "conversations": turns("a", " ")}])])
    with pytest.raises(SettingsError, match="1 of 1 records cannot be used"):
        checked(records, batches_of(records), skip=True)


def test_records_take_the_memory_of_their_places(tmp_path):
    """What workers are given does not grow with the texts."""
    import pickle

    small, large = (
        save(tmp_path, [{"id": number, "conversations": turns("a" * length, "b")} for number in range(50)])
        and len(pickle.dumps(read_data([tmp_path / "records.json"])))
        for length in (1, 5000)
    )
    assert large - small < 100 and large < 5000
