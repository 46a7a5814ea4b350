"""The site: every link of every page leads somewhere, notebooks are shown as executed, nothing else is overwritten."""

import html
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from oryx.errors import InputError, RunError
from tools.site.pages import MARK, ROOT, Site

pytest.importorskip("nbconvert", reason="notebooks become pages with nbconvert, of the extra lab")
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "pages"
    return Site(ROOT, folder).write().parent


def test_every_link_of_every_page_leads_somewhere(site):
    pages = sorted(site.rglob("*.html"))
    for page in pages:
        text = page.read_text("utf-8")
        anchors = set(re.findall(r'\bid="([^"]+)"', text))
        for link in map(html.unescape, re.findall(r'\b(?:href|src)="([^"]+)"', text)):
            found = urlsplit(link)
            if found.scheme or found.netloc:
                continue
            if found.path:
                assert (page.parent / unquote(found.path)).is_file(), f"{page.relative_to(site)}: {link}"
            elif page.name != "report.html" and page.parent.name == "docs":
                assert unquote(found.fragment) in anchors, f"{page.relative_to(site)}: {link}"
    assert {site / "index.html", site / "report.html", site / "docs" / "findings.html"} <= set(pages)


def test_notebooks_of_published_runs_are_shown_with_their_outputs(site):
    shown = (site / "notebooks" / "01_native_vs_fixed_resolution.html").read_text("utf-8")
    assert "data:image/png;base64," in shown and "supported" in shown
    start = (site / "index.html").read_text("utf-8")
    assert "as executed by the published run" in start and re.search(r"<td>\d+ supported, \d+ inconclusive", start)


def test_a_folder_of_something_else_and_a_link_to_nothing_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(RunError, match="holds something other than a site"):
        Site(ROOT, tmp_path / "mine").write()
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years" and MARK
    with pytest.raises(InputError, match=r"README\.md: the link gone\.md leads to no file"):
        Site(tmp_path, tmp_path / "site")._linked('<a href="gone.md">', Path("README.md"), Path("README.html"))
