import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx.errors import InputError
from oryx.layout import plan_batch

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


@given(IDS, st.data(), st.booleans(), st.sampled_from([None, 1, 5]))
def test_equals_splicing_by_hand(rows, data, left_padded, limit):
    count = sum(row.count(MARK) for row in rows)
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    expected = by_hand(rows, lengths, limit)
    ids, mask = padded(rows, left_padded)
    if not any(expected):
        with pytest.raises(InputError, match="not padding"):
            plan_batch(ids, mask, ids, lengths, visual_token_id=MARK, max_length=limit)
        return
    plan = plan_batch(ids, mask, ids, lengths, visual_token_id=MARK, max_length=limit)
    texts = len(plan.text_ids)
    assert plan.zero_row == texts + sum(lengths)
    for sources, found, labels in zip(expected, plan.rows, plan.labels, strict=True):
        assert sources == [("t", int(plan.text_ids[row])) if row < texts else ("v", int(row) - texts) for row in found]
        assert labels.tolist() == [value if kind == "t" else -100 for kind, value in sources]


def test_without_labels_there_are_none():
    plan = plan_batch(np.array([[5, MARK]]), None, None, [3], visual_token_id=MARK)
    assert plan.labels[0].tolist() == [-100] * 4 and plan.rows[0].tolist() == [0, 1, 2, 3]
    assert plan.truncated == 0


def test_truncation_is_counted():
    ids = np.array([[5, MARK], [5, 6]])
    assert plan_batch(ids, None, None, [9], visual_token_id=MARK, max_length=4).truncated == 1


@pytest.mark.parametrize(("lengths", "marks"), [([], 1), ([2, 2], 1), ([3], 2)])
def test_every_placeholder_has_one_visual(lengths, marks):
    ids = np.array([[5] + [MARK] * marks])
    with pytest.raises(InputError, match=rf"hold {marks} visual placeholder.*but {len(lengths)} visual"):
        plan_batch(ids, None, None, lengths, visual_token_id=MARK)


def test_a_placeholder_for_every_visual_token_is_the_same_with_labels_side_by_side():
    once, each = np.array([[5, MARK, 6, 7], [MARK, 8, 9, 9]]), np.array([[5, *[MARK] * 3, 6, 7], [*[MARK] * 4, 8, 9]])
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    one = plan_batch(once, mask, once, [3, 4], visual_token_id=MARK)
    other = plan_batch(each, None, each, [3, 4], visual_token_id=MARK)
    for a, b in zip(one.rows + one.labels, other.rows + other.labels, strict=True):
        assert a.tolist() == b.tolist()
    assert (one.zero_row, other.zero_row) == (12, 12) and [len(row) for row in other.labels] == [6, 6]


def test_a_masked_placeholder_does_not_count():
    ids, mask = np.array([[5, 6, MARK]]), np.array([[1, 1, 0]])
    assert len(plan_batch(ids, mask, None, [], visual_token_id=MARK).rows[0]) == 2


def test_shapes_must_agree():
    with pytest.raises(InputError, match=r"labels: expected the shape of input_ids \(1, 2\), got \(1, 3\)"):
        plan_batch(np.ones((1, 2)), None, np.ones((1, 3)), [], visual_token_id=MARK)
