import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx.errors import InputError
from oryx.model.assembly import pack, plan_batch
from oryx.model.assembly import pad as in_a_batch

MARK = -200
IDS = st.lists(st.lists(st.sampled_from([5, 6, 7, MARK]), min_size=1, max_size=7), min_size=1, max_size=4)


def padded(rows: list[list[int]], left: bool = False) -> tuple[np.ndarray, np.ndarray]:
    longest = max(map(len, rows))
    ids, mask = np.full((len(rows), longest), 9), np.zeros((len(rows), longest), dtype=np.int64)
    for sample, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(0, len(row))
        ids[sample, place], mask[sample, place] = row, 1
    return ids, mask


def by_hand(rows, lengths, limit):
    """Every sample's sources as a plain loop: ('t', id) for text, ('v', row) for visual tokens."""
    out, visual, row_number = [], 0, 0
    for row in rows:
        sample = []
        for token in row:
            if token == MARK:
                sample += [("v", row_number + i) for i in range(lengths[visual])]
                row_number += lengths[visual]
                visual += 1
            else:
                sample.append(("t", token))
        out.append(sample[:limit])
    return out


@given(IDS, st.data(), st.sampled_from(["right", "left"]), st.booleans(), st.sampled_from([None, 1, 5]))
def test_equals_splicing_by_hand(rows, data, side, left_padded, limit):
    count = sum(row.count(MARK) for row in rows)
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    expected = by_hand(rows, lengths, limit)
    ids, mask = padded(rows, left_padded)
    if not any(expected):
        with pytest.raises(InputError, match="not padding"):
            plan_batch(ids, mask, ids, lengths, visual_token_id=MARK, max_length=limit)
        return
    planned = plan_batch(ids, mask, ids, lengths, visual_token_id=MARK, max_length=limit)
    plan = in_a_batch(planned, side)
    texts, visuals = len(planned.text_ids), sum(lengths)
    longest = max(map(len, expected))
    for sample, sources in enumerate(expected):
        pad = longest - len(sources)
        place = slice(pad, None) if side == "left" else slice(0, len(sources))
        padding = slice(0, pad) if side == "left" else slice(len(sources), None)
        found = [
            ("t", int(planned.text_ids[row])) if row < texts else ("v", int(row) - texts)
            for row in plan.index[sample, place]
        ]
        assert found == sources
        assert plan.labels[sample, place].tolist() == [value if kind == "t" else -100 for kind, value in sources]
        assert plan.position_ids[sample, place].tolist() == list(range(len(sources)))
        assert plan.attention_mask[sample].sum() == len(sources) and plan.attention_mask[sample, place].all()
        assert (plan.index[sample, padding] == texts + visuals).all()
        assert (plan.labels[sample, padding] == -100).all() and not plan.position_ids[sample, padding].any()


def test_without_labels_there_are_none():
    plan = plan_batch(np.array([[5, MARK]]), None, None, [3], visual_token_id=MARK)
    assert in_a_batch(plan).labels.tolist() == [[-100] * 4] and in_a_batch(plan).index.tolist() == [[0, 1, 2, 3]]
    assert plan.truncated == 0


def test_truncation_is_counted():
    ids = np.array([[5, MARK], [5, 6]])
    assert plan_batch(ids, None, None, [9], visual_token_id=MARK, max_length=4).truncated == 1


@pytest.mark.parametrize(("lengths", "marks"), [([], 1), ([2, 2], 1), ([2], 2)])
def test_every_placeholder_has_one_visual(lengths, marks):
    ids = np.array([[5] + [MARK] * marks])
    with pytest.raises(InputError, match=rf"hold {marks} visual placeholder.*but {len(lengths)} visual"):
        plan_batch(ids, None, None, lengths, visual_token_id=MARK)


def test_a_masked_placeholder_does_not_count():
    ids, mask = np.array([[5, 6, MARK]]), np.array([[1, 1, 0]])
    assert in_a_batch(plan_batch(ids, mask, None, [], visual_token_id=MARK)).index.shape == (1, 2)


def test_shapes_must_agree():
    with pytest.raises(InputError, match=r"labels: expected the shape of input_ids \(1, 2\), got \(1, 3\)"):
        plan_batch(np.ones((1, 2)), None, np.ones((1, 3)), [], visual_token_id=MARK)


@given(IDS, st.data())
def test_a_pack_reads_what_labels_ask_for(rows, data):
    ids, mask = padded(rows)
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=(n := sum(row.count(MARK) for row in rows)), max_size=n))
    asked = data.draw(st.lists(st.booleans(), min_size=ids.size, max_size=ids.size))
    labels = np.where(np.array(asked).reshape(ids.shape) & (mask == 1) & (ids != MARK), ids, -100)
    plan = plan_batch(ids, mask, labels, lengths, visual_token_id=MARK)
    expected = []  # by hand: (sources of the sample up to the token, the next token)
    for row, own in zip(plan.rows, plan.labels, strict=True):
        expected += [(row[: at + 1].tolist(), own[at + 1]) for at in range(len(row) - 1) if own[at + 1] >= 0]
    packed = pack(plan)
    assert packed.lengths == sorted(map(len, plan.rows))
    ends, outputs = np.cumsum(packed.lengths), []
    for end, length in zip(ends, packed.lengths, strict=True):
        outputs += [packed.index[end - length : last + 1].tolist() for last in range(end - length, end)]
    assert [(outputs[at], target) for at, target in zip(packed.read, packed.targets, strict=True)] == expected
    assert ends[-1] == len(packed.index)


def test_a_sample_without_tokens_has_no_place_in_a_pack():
    plan = plan_batch(np.array([[5, 6], [7, 8]]), np.array([[0, 0], [1, 1]]), None, [], visual_token_id=MARK)
    assert pack(plan).lengths == [2] and not len(pack(plan).read)
