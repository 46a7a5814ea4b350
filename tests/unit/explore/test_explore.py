"""Looking and asking in a notebook: numbers that agree with the model, maps that are attention, panels that react."""

import io
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

import oryx
from oryx.errors import SettingsError
from oryx.grids import compressed_grid, token_count
from oryx.layout import Layout, visual_token_count
from oryx.processing.visuals import Video
from workbook.explore import asking, examples, models, panel, pictures
from workbook.explore.models import Settings


@pytest.fixture(scope="module")
def opened():
    return models.Opened("nano", oryx.load("nano"))


@pytest.fixture(scope="module")
def page():
    return examples.pictures()["page"]


@pytest.mark.parametrize("ratio", [1, 4, 9, 16])
def test_what_was_asked_counts_what_the_model_counts(opened, page, ratio):
    found = asking.ask(opened.model, page.visual, page.question, 64, ratio)
    kept = [compressed_grid(grid, found.side) for grid in found.grids]
    assert found.answer.visual_tokens == visual_token_count(Layout.ONE_VIEW, kept)
    assert found.side**2 == ratio and f"{found.answer.visual_tokens}" == found.numbers["visual tokens"]
    height, width = found.views[0].shape[:2]
    assert (height // 8, width // 8) == found.grids[0]
    answer = opened.model.ask(page.visual, page.question, resolution=64, compression=ratio, max_new_tokens=24)
    assert (found.answer.text, found.answer.probability) == (answer.text, pytest.approx(answer.probability))


def test_less_is_held_at_a_higher_compression(opened, page):
    held = [asking.ask(opened.model, page.visual, page.question, "native", ratio).megabytes for ratio in (1, 4, 16)]
    assert held == sorted(held, reverse=True) and held[0] > held[-1] > 0


def test_ways_are_compared_at_their_own_tokens(opened, page):
    found = asking.ways(opened.model, page.visual, page.question)
    tokens = {name: one.answer.visual_tokens for name, one in found.items()}
    assert min(tokens["tiled"], tokens["native"]) > tokens["fixed area"]
    assert token_count(found["tiled"].grids) == len(found["tiled"].views) * 36
    table = asking.table(found, page.truths[page.question])
    assert table["right"].tolist() == [one.answer.text == "160" for one in found.values()]
    assert list(table.index) == list(found)


def test_maps_are_attention(opened, page):
    view = asking.ask(opened.model, page.visual, page.question).views[0]
    rows, columns = view.shape[0] // 8, view.shape[1] // 8
    found = asking.attention(opened.model, view)
    assert {weights.shape for weights in found.values()} == {(rows, columns)}
    for name in ("encoder, first layer", "encoder, last layer"):
        assert found[name].sum() == pytest.approx(1, abs=1e-4)
    whole = found["compressor, 4x"][: rows // 2 * 2, : columns // 2 * 2]
    blocks = whole.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))
    assert blocks == pytest.approx(np.ones_like(blocks), abs=1e-4)
    assert pictures.overlays(view, found).alt.count("highest at row") == 4


@pytest.mark.parametrize("ratio", [1, 4])
def test_patches_are_drawn_at_every_compression(opened, page, ratio):
    """Blue lines between patches, orange ones around regions: at 1x the former were missing once."""
    found = asking.ask(opened.model, page.visual, page.question, "native", ratio)
    shown = np.asarray(Image.open(io.BytesIO(pictures.patches(np.asarray(page.visual), found).png)).convert("RGB"))
    blue = (shown[..., 2].astype(int) - shown[..., 0] > 60).sum()
    orange = ((shown[..., 0].astype(int) - shown[..., 2] > 120) & (shown[..., 1] > 120)).sum()
    assert blue > 500
    assert (orange > 5000) == (ratio > 1), orange


def test_a_picture_carries_its_text_alternative(opened, page):
    found = asking.ask(opened.model, page.visual, page.question, "native", 4)
    shown = pictures.patches(np.asarray(page.visual), found)
    html = shown._repr_html_()
    assert f'alt="{shown.alt[:20]}' in html and "max-width:100%" in html
    assert str(found.answer.visual_tokens) in shown.alt and "<td>4x</td>" in html
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
    assert len({shown._repr_html_() for shown in (first, small, smaller)}) == 3
    assert (
        "16x" in small._repr_html_() and "4x4 to one token" in small.alt and int(smaller.numbers["visual tokens"]) < 30
    )
    made.source.value = "icon"
    assert len(made.handle.shown) == 3 and made.question.placeholder == "name"


def test_frames_are_those_that_are_seen(opened):
    made = _panel(opened, examples.films(), frames=True)
    made.frames.value = 5
    assert "5 frames seen" in made.handle.shown[-1].alt
    made.source.value = "clip: city"
    assert "5 frames seen" in made.handle.shown[-1].alt


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
    text = examples.summary(truth)
    assert "2 cards, first red, then blue" in text and "reads 48" in text and "“owl” moves up" in text
    frame = examples.described(opened.model, 2)
    assert frame["right"].equals(frame["answer"] == frame["truth"]) and len(examples.summaries(frame)) == 2
    summed = examples.reasoned(frame)
    assert summed["of"].tolist()[-1] == 1 and (summed["right"] <= summed["of"]).all()
    told = examples.reasoned(frame.assign(answer=frame["truth"], right=True))
    assert told["right"].tolist() == told["of"].tolist()


def test_without_released_weights_the_reason_is_printed(capsys):
    found, reason = models.open_released(Settings.from_mapping({"released": "THUdyh/not-there"}))
    assert found is None and "neither a folder nor" in reason
    assert (
        examples.asked_in_words(found, reason, "film.mp4").empty
        and "Not asked: THUdyh/not-there" in capsys.readouterr().out
    )
    assert models.open_released(Settings.from_mapping({"scale": "smoke"}))[0] is None


def test_parameters_are_strict():
    assert Settings.from_mapping({"scale": "smoke"}).films == 2
    with pytest.raises(SettingsError, match="unknown parameter 'modle'; did you mean 'model'"):
        Settings.from_mapping({"modle": "nano"})
