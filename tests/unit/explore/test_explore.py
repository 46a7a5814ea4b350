"""Looking and asking in a notebook: numbers that agree with the model, maps that are attention, panels that react."""

import io
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

import oryx
from oryx.errors import InputError, SettingsError
from oryx.grids import token_count
from oryx.layout import Layout, visual_token_count
from oryx.processing.visuals import Video
from workbook.explore import asking, cases, examples, maps, models, panel, pictures, published
from workbook.explore.settings import Settings


@pytest.fixture(scope="module")
def opened():
    return models.Opened("nano", oryx.load("nano"))


@pytest.fixture(scope="module")
def page():
    return examples.pictures()["page"]


@pytest.mark.parametrize("ratio", [1, 4, 9, 16])
def test_what_was_asked_counts_what_the_model_counts(opened, page, ratio):
    found = asking.ask(opened.model, page.visual, page.question, 64, ratio)
    assert found.tokens == visual_token_count(Layout.ONE_VIEW, found.kept)
    assert found.side**2 == ratio and f"{found.tokens}" == found.numbers["visual tokens"]
    height, width = found.views[0].shape[:2]
    assert (height // 8, width // 8) == found.grids[0]
    answer = opened.model.ask(page.visual, page.question, resolution=64, compression=ratio, max_new_tokens=24)
    assert (found.answer, found.probability) == (answer.text, pytest.approx(answer.probability))


def test_less_is_held_at_a_higher_compression(opened, page):
    held = [asking.ask(opened.model, page.visual, page.question, "native", ratio).megabytes for ratio in (1, 4, 16)]
    assert held == sorted(held, reverse=True) and held[0] > held[-1] > 0


def test_ways_are_compared_at_their_own_tokens(opened, page):
    found = asking.ways(opened.model, page.visual, page.question)
    assert min(found["tiled"].tokens, found["native"].tokens) > found["fixed area"].tokens
    assert token_count(found["tiled"].grids) == len(found["tiled"].views) * 36
    table = asking.ways_table(found, page.truths[page.question])
    assert set(table["right"]) <= {"yes", "no"} and list(table.index) == list(found)
    with pytest.raises(InputError, match="multiple of 8"):
        asking.ask_tiled(opened.model, page.visual, page.question, 20)


def test_maps_are_attention(opened, page):
    view = asking.ask(opened.model, page.visual, page.question).views[0]
    rows, columns = view.shape[0] // 8, view.shape[1] // 8
    found = maps.encoder(opened.model, view, (0, 1), 0)
    assert found.shape == (rows, columns) and found.sum() == pytest.approx(1, abs=1e-4)
    weights = maps.regional(opened.model, view, 2)
    whole = weights[: rows // 2 * 2, : columns // 2 * 2]
    blocks = whole.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))
    assert weights.shape == (rows, columns) and blocks == pytest.approx(np.ones_like(blocks), abs=1e-4)
    with pytest.raises(InputError, match="at 1x"):
        maps.regional(opened.model, view, 1)
    with pytest.raises(InputError, match="inside"):
        maps.encoder(opened.model, view, (rows, 0))
    shown = pictures.overlays(*maps.overview(opened.model, view))
    assert shown.alt.count("highest at row") == 4


@pytest.mark.parametrize("ratio", [1, 4])
def test_patches_are_drawn_at_every_compression(opened, page, ratio):
    """Blue lines between patches, orange ones around regions: at 1x the former were missing once."""
    found = asking.ask(opened.model, page.visual, page.question, "native", ratio)
    shown = np.asarray(Image.open(io.BytesIO(pictures.patches(np.asarray(page.visual), found, 8).png)).convert("RGB"))
    blue = (shown[..., 2].astype(int) - shown[..., 0] > 60).sum()
    orange = ((shown[..., 0].astype(int) - shown[..., 2] > 120) & (shown[..., 1] > 120)).sum()
    assert blue > 500
    assert (orange > 5000) == (ratio > 1), orange


def test_a_picture_carries_its_text_alternative(opened, page):
    found = asking.ask(opened.model, page.visual, page.question, "native", 4)
    shown = pictures.patches(np.asarray(page.visual), found, 8)
    bundle = shown._repr_mimebundle_()
    assert f'alt="{shown.alt[:20]}' in bundle["text/html"] and "max-width:100%" in bundle["text/html"]
    assert str(found.tokens) in shown.alt and "<td>4x</td>" in bundle["text/html"]
    assert Image.open(io.BytesIO(shown.png)).width <= 960, "fits beside a notebook's margins at 1280 pixels"


class Handle:
    """Keeps what is shown."""

    def __init__(self):
        self.shown = []

    def update(self, what):
        self.shown.append(what)


def _panel(opened, kind, **options):
    made = panel.Panel(opened, kind, **options)
    made.handle = Handle()
    return made


def test_a_moved_slider_shows_another_picture_and_other_numbers(opened):
    made = _panel(opened, examples.pictures())
    first = made.picture()
    made.compression.value = 16
    made.resolution.value = 48
    small, smaller = made.handle.shown
    assert len({shown.html for shown in (first, small, smaller)}) == 3
    assert "16x" in small.html and made.last.side == 4 and made.last.tokens < 30
    made.source.value = "icon"
    assert len(made.handle.shown) == 3 and made.question.value == "name"


def test_frames_are_those_that_are_seen(opened):
    made = _panel(opened, examples.films(), frames=True)
    made.frames.value = 5
    assert "5 frames seen" in made.handle.shown[-1].alt and len(made.last.views) == 5
    made.source.value = "clip: city"
    assert len(made.last.views) == 5


def test_ones_own_file_by_path_or_upload_and_a_wrong_one(opened, tmp_path):
    picture = tmp_path / "mine.png"
    Image.new("RGB", (64, 40), "white").save(picture)
    made = _panel(opened, examples.pictures())
    made.path.value = str(picture)
    assert made.source.value == str(picture) and "64 x 40" in made.handle.shown[-1].alt
    file = {"name": "up.png", "content": picture.read_bytes(), "type": "image/png", "size": 1}
    made.upload.value = ({**file, "last_modified": datetime(2026, 1, 1)},)
    assert made.source.value.endswith("up.png") and "64 x 40" in made.handle.shown[-1].alt
    made.path.value = str(tmp_path / "none.png")
    assert "expected a picture file, there is none" in made.handle.shown[-1].data
    assert isinstance(_panel(opened, examples.films(), own="a.mp4").examples["a.mp4"].visual, Video)


def test_a_summary_is_put_together_from_answers(opened):
    truth = {
        "order": "red blue",
        "count": "2",
        "colour": "red",
        "when": "early",
        "sign": "48",
        "what": "owl",
        "move": "up",
    }
    text = cases.summary(truth)
    assert "2 cards, first red, then blue" in text and "reads 48" in text and "“owl” moves up" in text
    frame = cases.described(opened.model, cases.held_out(2))
    assert set(frame["right"]) <= {"yes", "no"} and len(cases.summaries(frame)) == 2
    summed = cases.reasoned(frame)
    assert summed["of"].tolist()[-1] == 1 and (summed["right"] <= summed["of"]).all()


def test_without_released_weights_the_reason_is_printed(capsys):
    found, reason = models.open_released(Settings.from_mapping({"released": "THUdyh/not-there"}))
    assert found is None and "neither a folder nor" in reason
    assert (
        cases.asked_in_words(found, reason, "film.mp4").empty
        and "Not asked: THUdyh/not-there" in capsys.readouterr().out
    )
    assert models.open_released(Settings.from_mapping({"scale": "smoke"}))[0] is None


def test_parameters_are_strict():
    assert Settings.from_mapping({"scale": "smoke"}).films == 2
    with pytest.raises(SettingsError, match="unknown parameter 'modle'; did you mean 'model'"):
        Settings.from_mapping({"modle": "nano"})


def test_published_verdicts_are_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    frame = published.verdicts(published.folder())
    assert len(frame) > 20 and set(frame["verdict"]) & {"supported", "contradicted"}
    assert published.tally(frame).to_numpy().sum() == len(frame)
    assert published.verdicts(tmp_path).empty
