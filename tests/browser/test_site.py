"""The site in headless Chromium: its start page, a notebook as executed and a page of the documentation."""

from pathlib import Path

import pytest

from tests.browser.test_report import SHADE
from tools.site.pages import ROOT, Site

pytestmark = pytest.mark.browser
PAGES = ("index.html", "notebooks/04_needle_in_a_haystack.html", "docs/results.html", "README.html")


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """A page of Chromium, which knows where the site lies."""
    start = Site(ROOT, tmp_path_factory.mktemp("site") / "pages").write()
    page = chromium.new_page()
    page.folder = start.parent
    yield page
    page.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_every_width_and_stand_out_in_light_and_dark(page, request, scheme, width, name):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((page.folder / name).as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    ink, ground = (sum(map(int, page.evaluate(SHADE, name)[:3])) / 3 for name in ("color", "backgroundColor"))
    assert (ink < 90 and ground > 200) if scheme == "light" else (ink > 170 and ground < 60)
    if folder := request.config.getoption("--screenshots"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"site-{Path(name).stem}-{scheme}-{width}.png"))


def test_the_start_page_leads_to_notebooks_and_documentation(page):
    page.goto((page.folder / "index.html").as_uri())
    page.get_by_role("link", name="OryxViT against SigLIP").first.click()
    assert page.url.endswith("notebooks/02_oryxvit_vs_siglip.html") and page.locator("img").count() > 4
    page.get_by_role("link", name="Start").first.click()
    assert page.url.endswith("index.html")
