"""JupyterLab in headless Chromium: notebook 00 opens, runs, and a moved slider changes picture and numbers.

Optional: needs the ``browser`` extra (playwright) and a Chromium on the path, and skips where one is missing, unless it
is required (``--require browser``).
``--screenshots DIR`` keeps what was seen.
"""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
TOKEN = "oryx"
WINDOW = {"width": 1280, "height": 900}
MINUTE = 60_000
PATIENCE = 3 * MINUTE  # a busy machine starts a server, a kernel and a browser slowly


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab over a copy of notebook 00."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", folder)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}')  # else cells out of sight are not in the page
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "ServerApp.root_dir": folder, "ServerApp.port": port, "ServerApp.ip": "127.0.0.1",
        "LabApp.user_settings_dir": folder / "settings", "IdentityProvider.token": TOKEN, "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(PATIENCE // 500):
            try:
                urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (folder / "log.txt").read_text()[-2000:]
                time.sleep(0.5)
        # the notebook alone, without the side bar, which covers half of a narrow window
        yield f"{address}/doc/tree/00_start_here.ipynb?token={TOKEN}&reset"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def page(chromium, lab):
    """The notebook after all of its cells ran."""
    page = chromium.new_page(viewport=WINDOW)
    page.goto(lab, wait_until="domcontentloaded", timeout=PATIENCE)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE)
    page.wait_for_selector('[data-status="idle"]', timeout=PATIENCE)
    page.evaluate(HIDE_NEWS)
    page.click(".jp-Notebook .jp-Cell >> nth=0")
    page.click('.lm-MenuBar-itemLabel:text-is("Run")')  # of the menu: cells may say these words too
    page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
    page.wait_for_function(RUN_TO_THE_END, timeout=4 * MINUTE)
    return page


HIDE_NEWS = "() => document.querySelectorAll('.Toastify').forEach(box => box.remove())"
RUN_TO_THE_END = """() => {
    const model = window.jupyterapp?.shell?.currentWidget?.content?.model ?? null;
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent.trim());
    const busy = document.querySelector('[data-status="busy"]');
    const last = [...document.querySelectorAll('.jp-CodeCell')].at(-1);
    last?.scrollIntoView();
    return !busy && prompts.length > 0 && prompts.every(p => /\\[\\d+\\]/.test(p));
}"""


def _picture_cell(page, text: str):
    """The cell whose source holds ``text``."""
    cell = page.locator(".jp-CodeCell", has=page.locator(".jp-InputArea", has_text=text)).first
    cell.scroll_into_view_if_needed()
    return cell


def _seen(cell) -> tuple[str, str, str]:
    """Picture, its text alternative and the numbers below it."""
    image = cell.locator(".jp-RenderedHTML img").first
    return image.get_attribute("src"), image.get_attribute("alt"), cell.locator(".jp-RenderedHTML tbody").inner_text()


def _tokens(alt: str) -> int:
    return int(re.search(r"(\d[\d,]*) visual tokens", alt)[1].replace(",", ""))


# a key of several may be drawn before the next: the last is what is waited for
FEWER = """([most, text]) => [...document.querySelectorAll('.jp-CodeCell')].some(cell => {
    const image = cell.innerText.includes(text) && cell.querySelector('.jp-RenderedHTML img');
    return image && parseInt(image.alt.match(/([\\d,]+) visual tokens/)[1].replace(',', '')) < most;
})"""


def _keep(part, request, name: str) -> None:
    """A picture of the window, or of one cell, where such are wanted."""
    if folder := request.config.getoption("--screenshots"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        part.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_no_cell_failed_and_pictures_have_text_alternatives(page, request):
    _keep(_picture_cell(page, "picture_panel.show()"), request, "first")  # docs/images/notebook_00.png
    assert (
        page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr'] >> text=Error").count()
        == 0
    )
    images = page.locator(".jp-Notebook .jp-RenderedHTML img")
    assert images.count() >= 5
    for i in range(images.count()):
        assert len(images.nth(i).get_attribute("alt")) > 20


@pytest.mark.parametrize("slider", ["compression", "resolution"])
def test_a_moved_slider_changes_picture_and_numbers(page, request, slider):
    cell = _picture_cell(page, "picture_panel.show()")
    before = _seen(cell)
    handle = (
        cell.locator(".widget-hslider, .jupyter-widget-hslider", has_text=slider)
        .locator("[role=slider], .noUi-handle")
        .first
    )
    handle.focus()
    key, times = {"compression": ("ArrowRight", 2), "resolution": ("ArrowLeft", 5)}[slider]  # to 4x; to 32² pixels
    for _ in range(times):
        page.keyboard.press(key)
    page.wait_for_function(FEWER, arg=[_tokens(before[1]), "picture_panel.show()"], timeout=PATIENCE)
    page.wait_for_selector('[data-status="idle"]', timeout=PATIENCE)
    page.wait_for_timeout(500)
    after = _seen(cell)
    assert after[0] != before[0] and after[1] != before[1] and after[2] != before[2]
    assert _tokens(after[1]) < _tokens(before[1]), "less to see at a higher compression and at a smaller size"
    _keep(page, request, f"moved-{slider}")


@pytest.mark.parametrize("width", [1280, 1920, 390])
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_nothing_runs_over_the_edge_in_either_theme(page, request, theme, width):
    page.set_viewport_size(WINDOW)
    page.evaluate(
        "name => window.jupyterapp && window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme
    )
    page.click('.lm-MenuBar-itemLabel:text-is("Settings")')
    page.click('.lm-Menu-itemLabel:text-is("Theme")')
    page.click(f'.lm-Menu-itemLabel:text-is("{theme}")')
    page.set_viewport_size(WINDOW | {"width": width})
    page.wait_for_timeout(1500)
    wide = page.evaluate(
        "() => [...document.querySelectorAll('.jp-OutputArea-output')].filter(o =>"
        " [...o.querySelectorAll('img, .widget-box, table')].some(e => e.getBoundingClientRect().right >"
        " document.querySelector('.jp-NotebookPanel').getBoundingClientRect().right + 1 &&"
        " getComputedStyle(o).overflowX === 'visible')).map(o => o.innerText.slice(0, 80))"
    )
    assert wide == []
    _picture_cell(page, "picture_panel.show()")
    _keep(page, request, f"{theme.split()[-1].lower()}-{width}")
    _picture_cell(page, "video_panel.show()")
    _keep(page, request, f"video-{theme.split()[-1].lower()}-{width}")
