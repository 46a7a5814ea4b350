"""The splits: fixed, disjoint, in proportion, and without near-duplicates across parts."""

from collections import Counter, defaultdict

import pytest

from oryx.errors import SettingsError
from workbook.data import corpora, splits

GOLDEN = {
    ("concept", "apple"): "train",
    ("concept", "windmill"): "train",
    ("concept", "giraffe"): "train",
    ("concept", "eiffel tower"): "report",
    ("photo", "photos/erase-giraffe"): "report",
    ("document", "page 1"): "dev",
    ("word", "giraffe"): "train",
}


@pytest.mark.parametrize(("kind", "key"), GOLDEN)
def test_parts_never_change(kind, key):
    assert splits.split_of(kind, key) == GOLDEN[kind, key]


def test_shares_are_those_stated():
    parts = Counter(splits.split_of("document", f"document {i}") for i in range(4000))
    assert parts["dev"] / 4000 == pytest.approx(splits.DEV_SHARE, abs=0.02)
    assert parts["report"] / 4000 == pytest.approx(splits.REPORT_SHARE, abs=0.02)


@pytest.mark.parametrize("name", ["icons", "clipart", "photos"])
def test_each_corpus_has_enough_in_every_part(name):
    items = corpora.load(name).items
    parts = Counter(splits.split_of("concept", item.title) for item in items)
    assert set(parts) == set(splits.PARTS)
    assert 0.05 < parts["dev"] / len(items) < 0.15
    assert 0.12 < parts["report"] / len(items) < 0.30


def test_every_class_of_photographs_is_in_every_part():
    classes = defaultdict(set)
    for item in corpora.load("photos").items:
        classes[item.category].add(splits.split_of("concept", item.title))
    assert all(parts == set(splits.PARTS) for parts in classes.values())


@pytest.mark.parametrize(
    "titles",
    [
        ("apple", "Apples", "red apple", "Green Apple 2"),
        ("cat", "cat face", "black cat", "cats"),
        ("leaf", "leaves"),
        ("cherry", "cherries"),
        ("hammer", "hammers", "little hammer"),
    ],
)
def test_titles_of_one_concept_fall_together(titles):
    assert len({splits.concept_key(title) for title in titles}) == 1


@pytest.mark.parametrize(("one", "other"), [("glasses", "glass"), ("police car", "car"), ("bus", "bu")])
def test_different_concepts_keep_their_own_key(one, other):
    assert splits.concept_key(one) != splits.concept_key(other)


def test_a_title_of_qualifiers_only_keeps_them():
    assert splits.concept_key("smiling face") == "smiling face"
    assert splits.concept_key("2008") == "2008"


def test_no_title_is_in_two_parts_over_all_corpora():
    parts = defaultdict(set)
    for name in ("icons", "clipart", "photos"):
        for item in corpora.load(name).items:
            parts[item.title.casefold().rstrip("s")].add(splits.split_of("concept", item.title))
    assert [title for title, found in parts.items() if len(found) > 1] == []


def test_fonts_are_divided_by_family_and_each_part_has_variety():
    fonts = corpora.fonts()
    assert {font.family for font in fonts} == set(splits.BY_NAME["font"])
    for part in splits.PARTS:
        styles = {font.style for font in splits.choose("font", part, fonts, key=lambda font: font.family)}
        assert {"serif", "sans"} < styles, f"{part} has only {styles}"


def test_styles_and_tables_are_the_shipped_ones():
    assert {item.style for item in corpora.load("icons").items} == set(splits.BY_NAME["style"])
    assert {table.id for table in corpora.tables()} == set(splits.BY_NAME["table"])
    assert set(splits.BY_NAME["table"].values()) == set(splits.PARTS)


def test_choose_divides_without_overlap_or_loss():
    things = [f"word{i}" for i in range(300)]
    chosen = [splits.choose("word", part, things) for part in splits.PARTS]
    assert sorted(thing for part in chosen for thing in part) == sorted(things)


@pytest.mark.parametrize(("kind", "key"), [("colour", "red"), ("font", "Comic Sans"), ("style", "oil")])
def test_unknown_kinds_and_names_are_refused(kind, key):
    with pytest.raises(SettingsError, match="expected one of"):
        splits.split_of(kind, key)


def test_an_unknown_part_is_refused():
    with pytest.raises(SettingsError, match="'test'"):
        splits.choose("word", "test", [])
