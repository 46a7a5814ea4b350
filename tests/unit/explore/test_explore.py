"""Looking and asking in a notebook: numbers that agree with the model, maps that are attention, panels that react."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

import oryx
from oryx.errors import SettingsError
from oryx.grids import compressed_grid, token_count
from oryx.layout import Layout, visual_token_count
from oryx.processing import context, fit
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.visuals import Video
from workbook.explore import asking, examples, models, panel, pictures, released
from workbook.explore.models import Settings
from workbook.studies.one_model import comparison


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
    truth = page.truths[page.question]
    found = asking.ways(opened.model, page.visual, page.question, truth)
    tokens = {name: one.answer.visual_tokens for name, one in found.items()}
    assert min(tokens["tiled"], tokens["native"]) > tokens["fixed area"]
    assert token_count(found["tiled"].grids) == len(found["tiled"].views) * 36
    table = asking.table(found)
    assert ["✓" in answer for answer in table["answer"]] == [one.answer.text == truth for one in found.values()]
    assert list(table.index) == list(found) and ("✗" in "".join(table["answer"])) == (f"true: “{truth}”" in str(table))


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
def test_patches_are_drawn_at_every_compression(opened, ratio):
    """Blue lines between patches, orange ones around regions: at 1x the former were missing once."""
    number = examples.pictures()["number"]
    found = asking.ask(opened.model, number.visual, "read", "native", ratio)
    shown = np.asarray(Image.open(io.BytesIO(pictures.ways({"": found}).png)).convert("RGB"))
    blue = (shown[..., 2].astype(int) - shown[..., 0] > 60).sum()
    orange = ((shown[..., 0].astype(int) - shown[..., 2] > 120) & (shown[..., 1] > 120)).sum()
    assert blue > 500
    assert (orange > 1000) == (ratio > 1), orange


def test_a_picture_carries_its_text_alternative_below_its_numbers(opened, page):
    found = asking.ask(opened.model, page.visual, page.question, "native", 4)
    shown = pictures.ways({"4x": found}, asking.table({"4x": found}))
    html = shown._repr_html_()
    assert f'alt="{shown.alt[:20]}' in html and "max-width:100%" in html
    assert str(found.answer.visual_tokens) in shown.alt and html.index("<th>4x</th>") < html.index("<img")
    assert Image.open(io.BytesIO(shown.png)).width <= 1250, "readable where a window of 1280 pixels shrinks it"


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


def _html(made):
    return made.handle.shown[-1]._repr_html_()


def test_the_first_look_compares_three_ratios_with_truth_mark_and_score(opened):
    shown = _panel(opened, examples.pictures()).picture()
    assert list(shown.numbers.index) == ["1x", "4x", "16x"]
    said = shown.numbers["answer"].tolist()
    assert "✓" in said[0] and all("✗" in one for one in said[1:]), "the slider flips the first example's answer"
    assert shown.numbers["held-out score"].str.contains(r"^0\.\d\d \[.* of \d+, chance 0\.").all()


def test_examples_are_those_that_the_shipped_model_knows_at_their_own_size(opened):
    shown = examples.pictures().values()
    right = [opened.model.ask(one.visual, one.question, compression=1).text for one in shown]
    assert right == [one.truths[one.question] for one in shown], "python -m tools.examples chooses them anew"


def test_a_moved_slider_shows_another_picture_and_other_numbers(opened):
    made = _panel(opened, examples.pictures())
    first = made.picture()
    made.compression.value = (16,)
    made.resolution.value = 48
    small, smaller = made.handle.shown
    assert len({shown._repr_html_() for shown in (first, small, smaller)}) == 3
    assert (
        "16x: " in small.alt
        and "1x" not in small.numbers.index
        and int(smaller.numbers.loc["16x", "visual tokens"]) < 30
    )
    assert smaller.numbers.loc["16x", "held-out score"] == "not published", "pictures were asked at their own size"
    made.source.value = "icon"
    assert len(made.handle.shown) == 3 and made.question.value == "name", "the question follows, drawn once"


def test_panels_that_are_used_at_once_show_what_one_alone_shows(opened):
    ratios = [1, 4, 16, 1, 4, 16]

    def shown(ratio):
        made = _panel(opened, examples.pictures())
        made.compression.value = (ratio,)
        numbers = made.picture().numbers
        return numbers[["answer", "visual tokens"]].to_numpy().tolist()

    expected = [shown(ratio) for ratio in ratios]
    assert expected[:3] == expected[3:] and len({str(one) for one in expected}) == 3
    with ThreadPoolExecutor(len(ratios)) as threads:
        assert list(threads.map(shown, ratios)) == expected


def test_held_out_scores_are_those_of_published_rows_of_this_kind_and_length(opened):
    video = examples.videos()["short video 4"]
    found = asking.ask(opened.model, video.visual, "colour", compression=4)
    rows = comparison.rows().query("condition == 'visual' and task == 'short_64px_colour_4x'")
    said = examples.held_out(video, "colour", found)
    assert said.startswith(f"{rows['score'].mean():.2f} [") and f"of {len(rows)}, chance 0.25" in said
    fewer = asking.ask(opened.model, Video(video.visual.source, frames=2), "colour", compression=4)
    assert examples.held_out(video, "colour", fewer) == "not published"


def test_what_is_typed_is_drawn_and_read(opened):
    made = _panel(opened, examples.pictures())
    made.typed.value = "42"
    shown = made.handle.shown[-1]
    assert made.source.value == "“42”" and made.question.value == "read" and len(shown.numbers) == 3
    assert "“42”" in shown.numbers.loc["1x", "answer"] and "of" in shown.numbers.loc["1x", "held-out score"]
    made.typed.value = "zyx"
    assert made.handle.shown[-1].numbers.loc["1x", "held-out score"] == "not published", "no word that was taught"
    made.typed.value = "far too long a text"
    assert "expected 1 to 12 characters, got 19" in made.handle.shown[-1].data and made.source.value == "“zyx”"


def test_frames_are_those_that_are_seen(opened):
    made = _panel(opened, examples.videos(), of="videos")
    made.compression.value = (16,)
    made.frames.value = 5
    assert "5 frames or views seen" in made.handle.shown[-1].alt
    made.source.value = "clip: city"
    assert "5 frames or views of 640 x 360 px" in _html(made)


def test_ones_own_picture_is_shown_by_the_released_rules_and_the_small_model_with_a_caution(opened, tmp_path):
    picture = tmp_path / "mine.png"
    Image.new("RGB", (640, 400), "white").save(picture)
    made = _panel(opened, examples.pictures())
    made.path.value = str(picture)
    html = _html(made)
    offered = dict(made.question.options)
    assert made.source.value == "mine.png" and list(offered.values()) == opened.model.config.questions
    assert "Y: which number stands beside the letter Y?" in offered
    tokens = fit.picture((400, 640)).tokens
    assert f"<td>{tokens:,}</td>" in html and html.index("released models") < html.index("With caution")
    assert re.search(r"of 640 x 400 px it saw 1\d\d x 72 px", html)
    upload = {"content": picture.read_bytes(), "type": "image/png", "size": 1, "last_modified": datetime(2026, 1, 1)}
    made.upload.value = ({"name": "a.png", **upload}, {"name": "b.png", **upload})
    assert made.source.value == "a.png" and "b.png" in made.examples


def test_a_path_that_fails_says_why_and_is_no_choice(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    made = _panel(opened, examples.pictures(), own="~/none.png")
    assert f"{tmp_path}/none.png: expected a file, there is none" in made.picture().data
    (tmp_path / "text.png").write_text("no picture")
    made.path.value = "~/text.png"
    assert "expected a picture" in made.handle.shown[-1].data and list(made.source.options) == list(examples.CHOSEN)
    assert "<img" in made.picture()._repr_html_(), "what was shown before can be shown again"


def test_several_pictures_are_views_of_one_scene_and_a_folder_of_frames_a_video(opened, tmp_path):
    for number in range(3):
        Image.new("RGB", (64, 48), "white").save(tmp_path / f"{number}.png")
    made = _panel(opened, examples.scenes(), of="views")
    made.compression.value = (4,)
    made.path.value = f"{tmp_path}/0.png; {tmp_path}/2.png"
    assert made.source.value == "0.png, 2.png" and "2 frames or views seen" in _html(made)
    made.path.value = str(tmp_path)
    assert "3 frames or views seen" in _html(made)
    assert isinstance(examples.own_files([str(tmp_path)])[tmp_path.name].visual, Video)


def test_the_released_rules_are_those_of_the_released_preprocessing():
    processor, picture = OryxProcessor(byte_tokenizer()), Image.new("RGB", (500, 300))
    shown = released.by_the_rules(picture).numbers
    for ratio in (1, 4, 16):
        (prepared,) = processor.prepare(picture, side=round(ratio**0.5))
        assert shown.loc["visual tokens", f"{ratio}x"] == f"{prepared.visual_tokens(16):,}"
        assert shown.loc["resized to", f"{ratio}x"] == "{1} x {0} px".format(*prepared.sizes[-1])
    numbers = released.by_the_rules(picture, frames=300).numbers
    (prepared,) = processor.prepare(Video([picture] * 3), side=4)
    assert numbers.loc["resized to", "16x"] == "{1} x {0} px".format(*prepared.sizes[0])
    assert "does not fit" in numbers.loc["Oryx-34B: of its context", "1x"]
    most = context.frames_that_fit(context.CONTEXTS["Oryx-7B"], context.compressed((300, 500), 16))
    assert numbers.loc["Oryx-7B: frames that fit", "16x"] == f"{most:,}"


def test_videos_are_described_by_marked_answers_of_which_the_right_ones_are_counted(opened):
    found = examples.described(opened.model, 2)
    videos, right = found.iloc[:-1], found.loc["right"]
    assert list(videos.index) == ["dev/short/0", "dev/short/1"] and {"order", "when", "sign"} <= set(found.columns)
    for kind in found.columns:
        given = videos[kind][videos[kind] != ""]
        assert right[kind] == f"{given.str.contains('✓').sum()} of {len(given)}"


def test_without_released_weights_the_reason_is_printed(capsys):
    found, reason = models.open_released(Settings.from_mapping({"released": "THUdyh/not-there"}))
    assert found is None and "neither a folder nor" in reason
    assert examples.asked_in_words(found, reason, "video.mp4") is None
    assert "Not asked: THUdyh/not-there" in capsys.readouterr().out
    assert models.open_released(Settings.from_mapping({"scale": "smoke"}))[0] is None


def test_parameters_are_strict():
    assert Settings.from_mapping({"scale": "smoke"}).videos == 2
    with pytest.raises(SettingsError, match="unknown parameter 'modle'; did you mean 'model'"):
        Settings.from_mapping({"modle": "nano"})
