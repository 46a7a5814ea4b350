"""The parts of the asset build that need no package file: readers, notices, titles, and equal bytes for equal input."""

import io
import struct
import zipfile
import zlib

import pytest
from PIL import Image, ImageDraw

from tools.assets import packages, store
from tools.assets.clipart_titles import title_of
from tools.assets.photos import BACKGROUNDS, TITLES, readme_notices, spdx
from workbook.data import corpora

KNOWN = frozenset({"apple", "box", "juice", "red", "lemon"})


def drawing(offset=0):
    picture = Image.new("RGBA", (64, 48))
    ImageDraw.Draw(picture).ellipse((8 + offset, 8, 40 + offset, 40), fill=(200, 30, 30, 255), outline="black", width=4)
    return picture


def test_a_corpus_is_written_the_same_whatever_the_order(tmp_path):
    entries = [{"id": "b", "title": "two", "author": ""}, {"id": "a", "title": "one"}]
    files = {"b.webp": b"2", "a.webp": b"1"}
    for name, turn in (("first", 1), ("second", -1)):
        (tmp_path / name).mkdir()
        store.write_corpus(tmp_path / name, "c", entries[::turn], dict(list(files.items())[::turn]))
        store.write_sums(tmp_path / name)
    assert (tmp_path / "first/SHA256SUMS").read_text() == (tmp_path / "second/SHA256SUMS").read_text()
    assert (tmp_path / "first/c.jsonl").read_text() == '{"id": "a", "title": "one"}\n{"id": "b", "title": "two"}\n'
    with zipfile.ZipFile(tmp_path / "first/c.zip") as archive:
        assert archive.namelist() == ["a.webp", "b.webp"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_blank_and_plain_pictures_are_noticed():
    assert store.flat(Image.new("RGBA", (64, 64)))
    assert store.flat(Image.new("RGB", (64, 64), "white"))
    assert store.flat(Image.new("RGB", (64, 64), "black"))
    assert not store.flat(drawing())


def test_fingerprints_tell_looks_apart():
    same = store.fingerprint(drawing().resize((128, 96)))
    assert (store.fingerprint(drawing()) ^ same).bit_count() <= 4
    assert (store.fingerprint(drawing()) ^ store.fingerprint(drawing(20))).bit_count() > 4


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [((300, 100), 150, (150, 50)), ((100, 300), 150, (50, 150)), ((40, 30), 150, (40, 30)), ((900, 1), 90, (90, 1))],
)
def test_fit_keeps_the_aspect_and_never_enlarges(size, longest, expected):
    assert store.fit(Image.new("RGB", size), longest).size == expected


def rcc(name, content, flags, stored):
    """A Qt resource file of format 2 with one file in the root folder."""
    names = struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    data = struct.pack(">I", len(stored)) + stored
    root = struct.pack(">IHII", 0, 2, 1, 1) + bytes(8)
    file = struct.pack(">IHHHI", 0, flags, 0, 0, 0) + bytes(8)
    tree = 20
    start = tree + len(root) + len(file)
    return b"qres" + struct.pack(">4I", 2, tree, start, start + len(data)) + root + file + data + names


@pytest.mark.parametrize("packed", [False, True])
def test_qt_resources_are_read(packed):
    content = b"the content of a file" * 20
    stored = struct.pack(">I", len(content)) + zlib.compress(content) if packed else content
    assert packages.read_rcc(rcc("photo.webp", content, int(packed), stored)) == {"photo.webp": content}


def test_other_files_are_refused_as_qt_resources():
    with pytest.raises(SystemExit, match="not a Qt resource"):
        packages.read_rcc(b"RIFF")


def test_a_changed_package_file_is_refused(tmp_path):
    (tmp_path / "flag-icons-7.5.0.tgz").write_bytes(b"something else")
    with pytest.raises(SystemExit, match=r"flag-icons-7\.5\.0\.tgz: expected sha256 c0b80bf0"):
        packages.Packages(tmp_path).file("flag-icons")


def test_debian_packages_are_read_without_dpkg(tmp_path):
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        info = tarfile.TarInfo("./usr/share/a.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
        link = tarfile.TarInfo("./usr/share/b.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "a.txt"
        archive.addfile(link)
    members = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0"), ("data.tar.xz", buffer.getvalue())):
        members += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        members += b"\n" * (len(content) % 2)
    found = packages._read_tar(packages._deb_data(members), lambda path: True)
    assert found == {"usr/share/a.txt": b"hello"}


NOTICES = """Copyright: Ann Author
Source: https://example.org/one.jpg
License: Public Domain
Files:
one.webp

Copyright:
  Copyright 2005 NASA
  Copyright 2018 Bob
License: CC-BY-SA 4.0
Comment: original source at https://example.org/two.jpg
Files: two.webp
"""


def test_notices_are_read_per_file():
    assert dict(readme_notices(NOTICES)) == {
        "one.webp": {"licence": "public-domain", "author": "Ann Author", "source": "https://example.org/one.jpg"},
        "two.webp": {"licence": "CC-BY-SA-4.0", "author": "NASA; Bob", "source": "https://example.org/two.jpg"},
    }


@pytest.mark.parametrize(
    ("stated", "expected"),
    [("Public domain", "public-domain"), ("CC-BY 4.0", "CC-BY-4.0"), ("CC0-1.0", "CC0-1.0"), ("GPLv2+", "GPLv2+")],
)
def test_licences_get_their_spdx_spelling(stated, expected):
    assert spdx(stated) == expected


def test_titles_of_photographs_are_the_shipped_ones():
    assert {item.title for item in corpora.load("photos").items} <= {title for title, _ in TITLES.values()}
    assert {item.title for item in corpora.load("backgrounds").items} == set(BACKGROUNDS.values())


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("food/juice.svg", "Apple Juice Box (B and W)", "apple juice box"),
        ("food/lemon_02.svg", "Clipart by Someone - apple", "lemon"),
        ("animals/cavallo_01.svg", "Cavallo", "horse"),
        ("animals/zzz.svg", "Zanzibarino", None),
        ("tools/x.svg", "SVG Road Signs", None),
    ],
)
def test_titles_of_clip_art(name, stated, expected):
    assert title_of(name, f"<svg><dc:title>{stated}</dc:title></svg>", KNOWN) == expected


def test_packing_changes_no_sum(tmp_path):
    (tmp_path / "words.tsv").write_text("able\tadj\thaving the means\n")
    (tmp_path / "a.zip").write_bytes(b"1")
    store.write_sums(tmp_path)
    before = (tmp_path / "SHA256SUMS").read_text()
    store.pack(tmp_path)
    store.write_sums(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"words.tsv.xz", "a.zip", "SHA256SUMS"}
    assert (tmp_path / "SHA256SUMS").read_text() == before and "  words.tsv\n" in before
