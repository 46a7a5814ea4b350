"""The shipped assets: untouched, readable, licensed, small enough."""

import hashlib
import io
import multiprocessing
from collections import Counter

import pytest
from PIL import Image, ImageFont

from oryx.errors import SettingsError
from workbook.data import corpora

MEBIBYTE = 2**20
SIZES = {"icons": 1062 * 3, "clipart": 1156, "flags": 232, "photos": 249, "backgrounds": 14}


def files():
    folder = corpora.assets_folder()
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


def test_files_are_those_of_the_checksum_list():
    stated = corpora.checksums()
    assert {name if name in stated else name.removesuffix(".xz") for name in files()} == {"SHA256SUMS", *stated}
    for name, digest in stated.items():
        assert hashlib.sha256(corpora.read(name)).hexdigest() == digest, name


def test_the_set_is_at_most_20_mebibytes():
    assert sum(path.stat().st_size for path in files().values()) <= 20 * MEBIBYTE


@pytest.mark.parametrize("name", corpora.PICTURES)
def test_items_are_complete_and_agree_with_the_pictures(name):
    corpus = corpora.load(name)
    assert len(corpus.items) == SIZES[name]
    assert len({item.id for item in corpus.items}) == len(corpus.items)
    assert all(item.title.strip() and item.category and item.licence for item in corpus.items)
    assert sorted(item.file for item in corpus.items) == sorted(corpus._archive.namelist())


@pytest.mark.parametrize("name", corpora.PICTURES)
def test_pictures_decode_and_show_something(name):
    corpus = corpora.load(name)
    for item in corpus.items[:: max(1, len(corpus.items) // 40)]:
        picture = corpus.image(item)
        assert picture.mode in ("RGB", "RGBA")
        assert min(picture.size) >= 16
        page = Image.new("RGBA", picture.size, "white")
        page.alpha_composite(picture.convert("RGBA"))
        low, high = page.convert("L").getextrema()
        assert high - low > 20, f"{item.id} is blank"


@pytest.mark.parametrize(("name", "longest"), [("clipart", 160), ("photos", 512), ("backgrounds", 768)])
def test_natural_aspect_within_the_stated_side(name, longest):
    sizes = [corpora.load(name).image(item).size for item in corpora.load(name).items[::3]]
    assert all(max(size) <= longest for size in sizes)
    assert len({round(width / height, 2) for width, height in sizes}) > 1


def test_icons_come_in_three_styles_of_the_same_concepts():
    by_style = {}
    for item in corpora.load("icons").items:
        by_style.setdefault(item.style, set()).add(item.title)
    assert len(by_style) == 3
    assert len(set(map(frozenset, by_style.values()))) == 1
    assert all(corpora.load("icons").image(item).size == (96, 96) for item in corpora.load("icons").items[::300])


def test_flags_know_their_country():
    item = corpora.load("flags").item("flags/jp")
    assert (item.title, item.facts["capital"], item.facts["continent"]) == ("Japan", "Tokyo", "Asia")


def test_clip_art_has_at_most_three_drawings_of_a_title():
    assert max(Counter(item.title for item in corpora.load("clipart").items).values()) <= 3


def test_fonts_can_draw_letters_and_digits():
    fonts = corpora.fonts()
    assert len({font.family for font in fonts}) >= 10
    for font in fonts:
        face = ImageFont.truetype(io.BytesIO(corpora.read(font.id)), 20)
        shapes = {face.getmask(letter).getbbox() and bytes(face.getmask(letter)) for letter in "AQgs0389é"}
        assert len(shapes) == 9, f"{font.id} draws two of the letters alike"


def test_words_are_short_lower_case_and_defined():
    words = corpora.words()
    assert len(words) > 5000
    assert all(w.word.isalpha() and w.word.islower() and 3 <= len(w.word) <= 8 and w.gloss for w in words)
    assert len({w.word for w in words}) == len(words)
    assert {"horse", "table", "water"} <= {w.word for w in words}


def test_glosses_are_sorted_and_within_length():
    glosses = corpora.glosses()
    assert len(glosses) > 20000
    assert [g.word for g in glosses] == sorted(g.word for g in glosses)
    assert all(15 <= len(g.gloss) <= 120 for g in glosses)


def test_tables_are_rectangular():
    for table in corpora.tables():
        assert len(table.rows) >= 40
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert all(cell for row in table.rows for cell in row)


def test_clips_have_the_stated_frames():
    import av

    for clip in corpora.clips():
        with av.open(clip.path) as video:
            stream = video.streams.video[0]
            assert (stream.frames, float(stream.average_rate)) == (clip.frames, clip.rate)
            frame = next(video.decode(video=0))
            assert (frame.height, frame.width) == clip.size


def test_data_hash_depends_on_the_chosen_corpora_only():
    assert corpora.data_hash(["icons", "fonts"]) == corpora.data_hash(("fonts", "icons"))
    single = {corpora.data_hash([name]) for name in corpora.NAMES}
    assert len(single) == len(corpora.NAMES)
    assert corpora.data_hash([]) not in single


def _mean(identifier: str) -> int:
    picture = corpora.load("icons").image(identifier)
    return sum(picture.convert("L").tobytes())


def test_workers_read_the_same_pictures():
    identifiers = [item.id for item in corpora.load("icons").items[::100]]
    here = [_mean(identifier) for identifier in identifiers]
    # as runs do: a process with threads that forks may hang
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        assert pool.map(_mean, identifiers) == here


def test_unknown_names_are_refused():
    with pytest.raises(SettingsError, match=r"'icon'.*icons"):
        corpora.load("icon")
    with pytest.raises(SettingsError, match="'emoji'"):
        corpora.data_hash(["emoji"])
    with pytest.raises(KeyError, match="icons/oil/cat"):
        corpora.load("icons").item("icons/oil/cat")
