"""The report in headless Chromium: on a telephone, on a wide screen, and printed."""

from pathlib import Path

import pytest

from tests.unit.report.pages import answers, publish
from workbook.report.page import build

pytestmark = pytest.mark.browser
PAPER = 257 / 25.4 * 96
"""Pixels of CSS between the margins of a printed page."""
BROKEN = """() => {
    const pen = document.createElement('canvas').getContext('2d');
    return [...document.querySelectorAll('th')].filter(cell => {
        pen.font = getComputedStyle(cell).font;
        return cell.innerText.split(' ').some(word => pen.measureText(word).width > cell.clientWidth);
    }).map(cell => cell.innerText);
}"""

SHADE = "name => getComputedStyle(document.body)[name].match(/[\\d.]+/g)"
"""The colour of the page's text or ground as numbers."""


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """The report over one published run, with a picture that is taller than a page."""
    from PIL import Image

    results = tmp_path_factory.mktemp("results")
    folder = publish(results, answers({seed: {"native": 18, "area_matched": 9} for seed in range(3)}))
    Image.new("RGB", (1200, 4000), "white").save(folder / "figures" / "verdicts.png")
    page = chromium.new_page()
    page.goto(build(results, results / "report.html").absolute().as_uri())
    page.evaluate("() => document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    yield page
    page.close()


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_nothing_scrolls_sideways_and_headings_stand_below_the_menu(page, width):
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    page.evaluate("() => document.querySelectorAll('h2')[1].scrollIntoView()")
    menu, heading = (page.locator(which).bounding_box() for which in ("nav", "h2 >> nth=1"))
    assert heading["y"] >= menu["y"] + menu["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_light_and_dark(page, request, scheme):
    page.emulate_media(media="screen", color_scheme=scheme)
    page.set_viewport_size({"width": 1280, "height": 900})
    ink, ground = (sum(map(int, page.evaluate(SHADE, name)[:3])) / 3 for name in ("color", "backgroundColor"))
    assert (ink < 90 and ground > 200) if scheme == "light" else (ink > 170 and ground < 60)
    if folder := request.config.getoption("--screenshots"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"report-{scheme}.png"))
    page.emulate_media(color_scheme="light")


def test_a_printed_page_holds_every_picture_and_breaks_no_word_of_a_table(page):
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 1000})
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    heights = page.evaluate("() => [...document.images].map(image => image.getBoundingClientRect().height)")
    assert heights and max(heights) <= PAPER
    assert page.evaluate(BROKEN) == [], "a heading's column is narrower than its longest word"
    page.emulate_media(media="screen")
