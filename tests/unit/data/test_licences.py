"""Every asset has a source with an allowed licence, and the documentation says the same."""

from pathlib import Path

import pytest

from tools.assets import licences
from workbook.data import corpora

ROOT = Path(__file__).resolve().parents[3]
PER_FILE = "per file"
BEGIN, END = "<!-- licence table: begin -->", "<!-- licence table: end -->"
PER_FILE_CORPORA = ("photos", "backgrounds", "tables", "clips")


def index(name):
    return corpora._index(name)


def test_every_corpus_has_a_source():
    assert {name for source in licences.sources() for name in source.corpora} == set(corpora.NAMES)


@pytest.mark.parametrize("source", licences.sources(), ids=lambda source: source.package)
def test_sources_are_complete(source):
    assert source.licence in licences.ALLOWED or source.licence == PER_FILE
    assert source.registry in ("debian", "npm", "pypi", "own")
    assert source.registry == "own" or (len(source.sha256) == 64 and int(source.sha256, 16))
    assert source.version.split(":")[-1] in source.file
    assert source.attribution and source.homepage.startswith("https://") and source.changes


@pytest.mark.parametrize("name", [*corpora.PICTURES, "tables", "clips"])
def test_every_entry_has_an_allowed_licence(name):
    sources = {source.licence for source in licences.sources() if name in source.corpora}
    for entry in index(name):
        assert entry["licence"] in licences.ALLOWED, entry["id"]
        assert entry["licence"] in sources or PER_FILE in sources, entry["id"]


@pytest.mark.parametrize("name", PER_FILE_CORPORA)
def test_entries_of_mixed_corpora_name_their_author(name):
    assert all(entry["author"] for entry in index(name))


@pytest.mark.parametrize("name", ["photos", "backgrounds", "tables"])
def test_entries_of_mixed_corpora_name_their_page(name):
    assert all(entry["source"].startswith("http") for entry in index(name))


def test_every_font_has_a_source():
    packages = {source.package for source in licences.sources() if "fonts" in source.corpora}
    assert {entry["package"] for entry in index("fonts")} == packages


def test_every_licence_in_use_has_its_notice():
    used = {source.licence for source in licences.sources()} - {PER_FILE}
    used |= {entry["licence"] for name in (*corpora.PICTURES, "tables", "clips") for entry in index(name)}
    notices = (corpora.assets_folder() / "NOTICES.txt").read_text("utf-8").splitlines()
    assert used == licences.ALLOWED, "the list of allowed licences is that of the licences in use"
    assert used <= set(notices)


def test_the_documented_counts_are_true():
    text = (ROOT / "docs" / "data.md").read_text("utf-8")
    counts = [len(corpora.load(name).items) for name in ("clipart", "flags", "photos", "backgrounds")]
    counts += [len({item.title for item in corpora.load(name).items}) for name in ("icons", "clipart")]
    counts += [len(corpora.words()), len(corpora.glosses()), len(corpora.fonts()), len(corpora.tables())]
    assert [f"{count:,}" for count in counts if f" {count:,} " not in text] == []


def test_the_documented_table_is_the_generated_one():
    text = (ROOT / "docs" / "data.md").read_text("utf-8")
    assert text.split(BEGIN)[1].split(END)[0].strip() == licences.markdown_table()
