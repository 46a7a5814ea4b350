"""Pictures of every kind: the right picture, or an error that names the file."""

import io
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from oryx.errors import InputError, SettingsError
from oryx.grids import SizeRule
from oryx.processing.images import cut, frame_view, image_views, normalised, open_image, resize, to_patches
from oryx.processing.options import PreprocessOptions
from tests.golden.reference_forms import from_reference_variables


def gradient(height: int = 40, width: int = 60) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    levels = np.stack([rows * 5 % 256, columns * 4 % 256, (rows + columns) % 256], -1)
    return Image.fromarray(levels.astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1"])
def test_modes_become_rgb_with_the_same_look(tmp_path, mode):
    path = tmp_path / ("p.jpg" if mode == "CMYK" else "p.png")
    picture = gradient().convert(mode)
    picture.save(path)
    opened = open_image(path)
    assert opened.mode == "RGB" and opened.size == (60, 40)
    expected = np.asarray(picture.convert("RGB"), dtype=int)
    assert np.abs(np.asarray(opened, dtype=int) - expected).mean() < 4


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    Image.fromarray((np.arange(40 * 60).reshape(40, 60) * 27).astype(np.uint16)).save(tmp_path / "deep.png")
    levels = np.asarray(open_image(tmp_path / "deep.png"))[..., 0]
    assert levels.min() == 0 and 240 < levels.max() <= 255 and len(np.unique(levels)) > 200


def test_dark_sixteen_bit_grey_stays_dark(tmp_path):
    Image.fromarray(np.full((8, 8), 200, np.uint16)).save(tmp_path / "dark.png")
    assert (np.asarray(open_image(tmp_path / "dark.png")) == 0).all(), "200 of 65535 is black"
    assert (np.asarray(open_image(Image.fromarray(np.full((8, 8), 200, np.int32)))) == 200).all()
    with pytest.raises(InputError, match="levels of 8 or 16 bits"):
        open_image(Image.fromarray(np.full((8, 8), 70000, np.int32)))


def test_transparency_is_shown_on_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (np.asarray(open_image(tmp_path / "clear.png")) == 255).all()


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to display
    gradient().save(tmp_path / "turned.jpg", exif=exif, quality=95)
    opened = open_image(tmp_path / "turned.jpg")
    assert opened.size == (40, 60)
    expected = np.asarray(gradient().rotate(-90, expand=True), dtype=int)
    assert np.abs(np.asarray(opened, dtype=int) - expected).mean() < 8


def test_unreadable_exif_data_do_not_hide_the_picture(tmp_path):
    gradient().save(tmp_path / "odd.jpg", exif=b"Exif\0\0no such thing")
    assert open_image(tmp_path / "odd.jpg").size == (60, 40)


def test_of_an_animation_the_first_picture_is_taken(tmp_path):
    gradient().save(tmp_path / "two.gif", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    assert np.asarray(open_image(tmp_path / "two.gif")).max() > 0


def test_the_callers_picture_is_left_alone():
    given = gradient()
    opened = open_image(given)
    opened.paste((1, 2, 3), (0, 0, 60, 40))
    assert np.array_equal(np.asarray(given), np.asarray(gradient()))


def test_bytes_and_arrays_are_pictures_too():
    buffer = io.BytesIO()
    gradient().save(buffer, "PNG")
    assert np.array_equal(np.asarray(open_image(buffer.getvalue())), np.asarray(gradient()))
    assert np.array_equal(np.asarray(open_image(np.asarray(gradient()))), np.asarray(gradient()))


def spoiled(tmp_path):
    good = io.BytesIO()
    gradient(200, 300).save(good, "PNG")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"hello, I am no picture")
    (tmp_path / "cut.png").write_bytes(good.getvalue()[: len(good.getvalue()) // 2])
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "name, message",
    [
        ("empty.png", "got an empty file"),
        ("text.png", "expected a picture"),
        ("cut.png", "damaged, truncated or closed"),
        ("folder.png", "got a folder"),
        ("absent.png", "there is none"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path, name, message):
    with pytest.raises(InputError, match=message) as caught:
        open_image(spoiled(tmp_path) / name)
    assert name in str(caught.value)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.new("1", (4000, 3000)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image.Image, "convert", lambda *a, **k: pytest.fail("the picture was decoded"))
    with pytest.raises(InputError, match=r"bomb\.png: 4000 x 3000 pixels; expected at most 1000000"):
        open_image(tmp_path / "bomb.png", max_pixels=1_000_000)


def test_a_lazily_opened_picture_is_checked_like_a_file(tmp_path):
    with Image.open(spoiled(tmp_path) / "cut.png") as lazy, pytest.raises(InputError, match=r"cut\.png.*truncated"):
        open_image(lazy)
    with pytest.raises(InputError, match="60 x 40 pixels; expected at most 100"):
        open_image(gradient(), max_pixels=100)


@pytest.mark.parametrize("data, message", [(b"", "0 bytes: got an empty file"), (b"hello", "5 bytes: expected a pict")])
def test_bytes_that_are_no_picture_are_refused(data, message):
    with pytest.raises(InputError, match=message):
        open_image(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about the damage
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_damaged_data_give_a_picture_or_an_input_error(form):
    buffer = io.BytesIO()
    gradient().save(buffer, form)
    whole, rng, refused = buffer.getvalue(), np.random.default_rng(0), 0
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(256)
        try:
            assert open_image(bytes(data[: rng.integers(1, 2 * len(data))]), 10**6).mode == "RGB"
        except InputError:
            refused += 1
    assert refused > 5, "some of the damage must have been noticed"


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (31, 500), (2000, 32)])
def test_extreme_shapes_give_whole_strides(size):
    picture = open_image(np.zeros((*size, 3), np.uint8))
    for view in image_views(picture, PreprocessOptions()):
        assert all(side >= 32 and side % 32 == 0 for side in view.size)
    assert all(side % 64 == 0 for side in frame_view(picture, PreprocessOptions()).size)


def test_a_line_too_thin_to_enlarge_is_refused_before_it_is():
    with pytest.raises(InputError, match=r"200000 x 1 pixels would have 12800000 x 64 .*less long and thin"):
        image_views(open_image(np.zeros((1, 200_000, 3), np.uint8)), PreprocessOptions())
    with pytest.raises(InputError, match="2000 x 1 pixels would have"):
        frame_view(open_image(np.zeros((1, 2000, 3), np.uint8)), PreprocessOptions(max_pixels=10_000))


def test_pixels_are_bit_exact_for_every_level():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    scaled = (levels.astype(np.float64) * (1 / 255)).astype(np.float32)
    expected = (scaled - np.float32(0.5)) / np.float32(0.5)
    assert np.array_equal(normalised(levels).numpy(), expected)
    assert np.array_equal(to_patches(levels, 1)[0].numpy(), expected[0])


def test_pixels_are_bit_exact_at_the_ends():
    ends, grid = to_patches(Image.fromarray(np.array([[[0, 255, 128]]], np.uint8)), 1)
    assert grid == (1, 1) and ends[0].tolist() == [-1.0, 1.0, pytest.approx(128 / 127.5 - 1, abs=1e-7)]
    assert ends.dtype == torch.float32


def test_the_second_view_can_be_switched_off():
    low, high = image_views(open_image(gradient(64, 64)), PreprocessOptions(low=None))
    assert low is None and high.size == (64, 64)


def test_patches_of_several_frames_are_those_of_each():
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
    together, grid = to_patches(frames, 8)
    alone = [to_patches(frame, 8) for frame in frames]
    assert grid == (3, 3) and all(own == grid for _, own in alone)
    assert torch.equal(together, torch.cat([patches for patches, _ in alone]))
    assert not together.view(3, 3, 3, 3, 8, 8)[:, 2, :, :, 4:].any(), "the rows below the picture are mid grey"


def test_levels_may_travel_and_are_normalised_later():
    levels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    patches, grid = cut(levels, 8)
    assert patches.dtype == np.uint8 and grid == (2, 3)
    assert torch.equal(normalised(patches), to_patches(levels, 8)[0])
    with pytest.raises(InputError, match="multiples of 5, got 16 x 24"):
        cut(levels, 5)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3), (1, 2, 8, 8, 3)])
def test_what_is_no_picture_is_not_cut(shape):
    with pytest.raises(InputError, match="expected shape"):
        to_patches(np.zeros(shape, np.uint8), 8)
    with pytest.raises(InputError, match="expected RGB levels of uint8, got float32"):
        to_patches(np.zeros((8, 8, 3), np.float32), 8)


def test_options_round_trip_and_refuse_nonsense():
    options = PreprocessOptions(low=SizeRule(16, exact=(32, 32)), newlines=1)
    assert PreprocessOptions.from_dict(asdict(options)) == options
    with pytest.raises(SettingsError, match="newlines"):
        PreprocessOptions(newlines=3)
    with pytest.raises(SettingsError, match="BASExSTRIDE"):
        from_reference_variables({"LOWRES_RESIZE": "384"})
    with pytest.raises(SettingsError, match="MAXRES: expected a number"):
        from_reference_variables({"MAXRES": "large"})
    with pytest.raises(SettingsError, match="strid"):
        PreprocessOptions.from_dict({"low": {"strid": 32}})
    with pytest.raises(SettingsError, match="expected names with values, got None"):
        PreprocessOptions.from_dict(None)
    with pytest.raises(SettingsError, match="none is configured"):
        frame_view(open_image(gradient()), from_reference_variables({}))


@pytest.mark.parametrize("name", ["low", "high", "video", "video_long"])
def test_a_rule_that_is_none_is_refused(name):
    with pytest.raises(SettingsError, match=f"{name}: expected a size rule.*, got True"):
        PreprocessOptions.from_dict({name: True})


def test_low_view_comes_from_the_finished_high_view():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (544, 544, 3), dtype=np.uint8))
    low, high = image_views(picture, PreprocessOptions())
    assert low.size == (352, 352), "rounding of the high view's area decides, as in the reference"
    assert np.array_equal(np.asarray(low), np.asarray(resize(high, PreprocessOptions().low)))


def test_the_rule_of_a_picture_itself_cannot_be_switched_off():
    with pytest.raises(SettingsError, match="high: expected a size rule, got None"):
        PreprocessOptions(high=None)
    assert PreprocessOptions(low=None).low is None
