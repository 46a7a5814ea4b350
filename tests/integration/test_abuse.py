"""A small share of the abuse whose counts stand in docs/robustness.md; the whole is ``python -m tools.abuse``."""

import os
import random
import time

import numpy as np
import pytest

from oryx.errors import InputError
from tools.abuse import crashes, decoders, fuzz, inputs, marks
from tools.abuse.deadlines import DIED, HUNG, carried_out
from tools.abuse.videos import KINDS

pytestmark = pytest.mark.integration


def answer(item: str) -> str:
    """For a worker: wait or compute without end, die or answer."""
    while item == "hang":
        pass
    if item == "wait":
        time.sleep(60)
    if item == "die":
        os._exit(1)
    return item.upper()


def test_what_hangs_or_dies_costs_its_own_item_alone():
    items = ["a", "hang", "b", "wait", "c", "die", "d"]
    found = dict(carried_out(answer, items, seconds=1, workers=1, first=30))
    assert found == {"a": "A", "hang": HUNG, "b": "B", "wait": HUNG, "c": "C", "die": DIED, "d": "D"}


@pytest.mark.parametrize("turns", range(4))
def test_a_picture_says_its_number_in_its_orientation_alone(turns):
    for number in range(marks.NUMBERS):
        picture = np.rot90(marks.draw(number, (48, 80)), turns)
        assert [marks.read(picture, other) for other in range(4)] == [number if i == turns else None for i in range(4)]
    torn = marks.draw(5, (96, 128)).copy()
    torn[20:40] = 255 - torn[20:40]
    assert marks.read(torn) != 5


def test_no_decoder_is_wrong_through_the_door():
    whole = [kind for kind in KINDS if kind not in ("turned, shaped", "cut tails", "damaged middles")]
    found = decoders.table(workers=2, each=11, decoders=("pyav",), kinds=whole)
    kinds = {kind: sum(counts.values()) for kind, counts in found["counts"]["pyav"].items()}
    assert min(kinds.values()) >= 2 and sum(kinds.values()) == found["files"]
    assert found["faults"] == []
    assert sum(counts.get("right", 0) for counts in found["counts"]["pyav"].values()) > found["files"] // 2


def test_odd_inputs_are_accepted_or_refused():
    """Those kinds that take little time; docs/robustness.md counts all."""
    kinds = (
        "pictures: values",
        "published rows",
        "tables of own data",
        "parameters of notebooks",
        "words of the shell",
    )
    found = fuzz.table(workers=2, inputs=300, kinds=kinds)
    assert found["faults"] == []
    outcomes = {outcome for counts in found["counts"].values() for outcome in counts}
    assert outcomes == {"accepted", "refused"} and found["inputs"] > 90


ONCE_WRONG = {"pictures: files": (2154,), "videos: files": (117, 333, 350, 407, 429, 471, 511, 523, 543, 622, 771, 813)}
"""Numbers of inputs that were shown as if they were whole: by decord, in raw H.264, a JPEG cut between two scans."""


@pytest.mark.parametrize("kind", ONCE_WRONG)
def test_damage_that_was_shown_once_is_refused(tmp_path, kind):
    (seeds := tmp_path / "seeds").mkdir()
    inputs.KINDS[kind].seeds(seeds)
    for number in ONCE_WRONG[kind]:
        (own := tmp_path / str(number)).mkdir()
        with pytest.raises(InputError, match="damaged"):
            inputs.KINDS[kind].attempt(seeds, own, random.Random(fuzz.FIRST_SEED + number), None)


def test_ffmpeg_at_its_strictest_tells_whole_files_from_spoilt_ones(tmp_path):
    """Zeros in the middle of files where a stream has something to tell of them: H.264, FLV and MPEG-2."""
    inputs.KINDS["videos: files"].seeds(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert decoders.strictly_decoded(path), path.name
    for name in ("last.mp4", "turned.mov", "v.flv", "v.h264", "v.mpg"):
        data = bytearray((tmp_path / name).read_bytes())
        middle = len(data) // 2
        data[middle : middle + 200] = bytes(200)
        (tmp_path / name).write_bytes(data)
        assert not decoders.strictly_decoded(tmp_path / name), name


def test_a_struck_run_is_held_against_an_undisturbed_one(tmp_path):
    """One point without a notebook; a second one against rows that are not what they were is a fault."""
    toy = "tests.toy:ToyStudy"
    subject = crashes.Subject(toy, tmp_path / crashes.code_state() / "ToyStudy", ("--no-notebook", "-p", "seconds=0.1"))
    found = crashes.table(1, 1, tmp_path, [toy], subject.words)
    assert found["faults"] == [] and found["counts"][toy]["kill -9 of the run"] == {"resumed": 1}
    (rows,) = (path for path in subject.files(subject.undisturbed["results"]) if path.parent.name == "native")
    rows.write_text(rows.read_text().replace('"truth": "7"', '"truth": "8"', 1))
    found = crashes.table(1, 2, tmp_path, [toy], subject.words)
    assert [(fault["number"], fault["outcome"]) for fault in found["faults"]] == [(1, "other rows")]
    assert found["points"] == 2
