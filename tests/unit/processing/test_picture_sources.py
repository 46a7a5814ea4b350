"""What people hand over as a picture: read rightly, or refused with a message that says what came."""

import base64
import io
import re
import threading
import zlib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from oryx import Video
from oryx.errors import InputError
from oryx.processing import sources
from oryx.processing.images import OryxImageProcessor, open_image
from oryx.processing.visuals import OryxVideoProcessor

LEVELS = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
PICTURE = Image.fromarray(LEVELS)


def encoded(form: str, picture: Image.Image = PICTURE, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def same(source) -> bool:
    return np.array_equal(np.asarray(open_image(source)), LEVELS)


def test_an_open_file_is_read_whole_wherever_it_stands_and_again(tmp_path):
    buffer = io.BytesIO(encoded("PNG"))
    buffer.seek(0, io.SEEK_END)
    assert same(buffer) and same(buffer)
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    with open(tmp_path / "a.png", "rb") as file:
        assert same(file) and same(file) and not file.closed
    with (
        open(tmp_path / "a.png", encoding="latin-1") as text,
        pytest.raises(InputError, match="reading bytes, got str"),
    ):
        open_image(text)
    with pytest.raises(InputError, match="open file: got an empty file"):
        open_image(io.BytesIO())


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("key", ["workflow", "XML:com.adobe.xmp", "Raw profile type xmp"])
@pytest.mark.parametrize("kind", ["add_text", "add_itxt"])
def test_long_texts_that_generators_of_pictures_write_are_passed_over(kind, key, compressed):
    info = PngImagePlugin.PngInfo()
    getattr(info, kind)(key, "x" * 3_000_000, zip=compressed)
    for _ in range(24 * (not compressed)):
        info.add_text("more", "x" * 3_000_000)
    assert same(encoded("PNG", pnginfo=info))


def test_a_picture_that_pillow_opened_may_have_a_long_text_behind_its_pixels():
    text, whole = b"zTXtworkflow\0\0" + zlib.compress(b"x" * 3_000_000), encoded("PNG")
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    opened = Image.open(io.BytesIO(whole[:-12] + chunk + whole[-12:]))
    assert same(opened) and same(opened)


def test_the_orientation_in_a_text_of_a_png_counts():
    info, exif = PngImagePlugin.PngInfo(), Image.Exif()
    info.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta><a tiff:Orientation="6"/></x:xmpmeta>')
    assert open_image(encoded("PNG", pnginfo=info)).size == (40, 64)
    exif[0x0112] = 6
    profile = PngImagePlugin.PngInfo()
    profile.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes())}\n{exif.tobytes().hex()}\n", zip=True)
    assert open_image(encoded("PNG", pnginfo=profile)).size == (40, 64)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_lacks_its_end_mark_alone_is_whole(options, tmp_path):
    whole = encoded("JPEG", **options)
    assert whole.endswith(b"\xff\xd9")
    expected = np.asarray(open_image(whole))
    (tmp_path / "a.jpg").write_bytes(whole[:-2])
    with Image.open(tmp_path / "a.jpg") as lazy:
        for source in (whole[:-2], whole[:-2] + b"\xff", tmp_path / "a.jpg", io.BytesIO(whole[:-2]), lazy):
            assert np.array_equal(np.asarray(open_image(source)), expected)
    scans = [len(whole) - i for i in range(len(whole)) if whole[i : i + 2] == b"\xff\xda"]
    for missing in (20, 200, len(whole) // 2, *scans):
        with pytest.raises(InputError, match=r"damaged, truncated or closed|something else"):
            open_image(whole[:-missing])


PAGE = np.concatenate([LEVELS[:16], np.full((24, 64, 3), 255, np.uint8)])
FLAT = np.full((40, 64, 3), (10, 120, 200), np.uint8)


@pytest.mark.parametrize("levels", [PAGE, FLAT], ids=["page", "flat"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 1}])
def test_a_cut_jpeg_shows_what_the_whole_one_does_or_is_refused(levels, options):
    """Also where what is missing is of one colour, and beside marks at which a decoder may begin anew."""
    Image.fromarray(levels).save(file := io.BytesIO(), "JPEG", **options)
    whole = file.getvalue()
    expected = np.asarray(open_image(whole))
    for missing in range(1, 120):
        try:
            assert np.array_equal(np.asarray(open_image(whole[:-missing])), expected)
        except InputError:
            assert missing > 2, "the end mark alone"


def test_what_lies_behind_the_end_of_a_png_is_not_of_it():
    assert same(encoded("PNG") + bytes(512)) and same(encoded("PNG") + b"junk")


def test_a_profile_of_any_length_is_passed_over():
    noise = np.random.default_rng(0).integers(0, 256, 2_000_000, np.uint8).tobytes()
    assert same(encoded("PNG", icc_profile=noise))


def test_a_wrong_checksum_in_a_png_is_damage():
    data = bytearray(encoded("PNG"))
    end = data.find(b"IEND") - 4
    data[end - 1] ^= 1  # the last byte of the checksum of the pixels
    with pytest.raises(InputError, match=f"{len(data)} bytes: .*checksum"):
        open_image(bytes(data))


def test_pictures_that_need_programs_outside_or_are_something_else_are_refused():
    for data in (encoded("EPS"), encoded("PCX"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)):
        with pytest.raises(InputError, match=r"expected a picture \(PNG, JPEG, .*HEIC needs pillow_heif"):
            open_image(data)


def test_a_picture_of_pillow_that_needs_a_program_outside_is_refused_before_that_starts(tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    with pytest.raises(InputError, match=r"expected a picture \(PNG, JPEG, .*got EPS"):
        open_image(Image.open(io.BytesIO(encoded("EPS"))))
    assert not (tmp_path / "started").exists()


def test_a_closed_file_or_one_that_gives_no_bytes_is_refused(tmp_path):
    closed = io.BytesIO(encoded("PNG"))
    closed.close()
    for source in (closed, io.StringIO("text"), SimpleNamespace(read=lambda: "text"), SimpleNamespace(read=dict)):
        with pytest.raises(InputError, match=r"closed|got str|damaged"):
            open_image(source)


@pytest.mark.parametrize("make", [lambda one: one.to_sparse(), lambda one: one.to("meta")])
def test_tensors_without_numbers_of_their_own_are_refused(make):
    with pytest.raises(InputError, match="Tensor: no array can be made of it"):
        open_image(make(torch.tensor(LEVELS)))


def test_a_closed_picture_is_called_so(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pass
    closed = PICTURE.copy()
    closed.close()
    for one in (picture, closed):
        with pytest.raises(InputError, match="closed"):
            open_image(one)


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    PICTURE.save(tmp_path / "a.png")
    (tmp_path / "frames").mkdir()
    PICTURE.save(tmp_path / "frames" / "1.png")
    assert same("~/a.png")
    assert OryxVideoProcessor().prepare(Video("~/frames")).frames == 1


def test_addresses_are_fetched_for_pictures_alone_and_faults_name_them(monkeypatch):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/garbage":
                self.wfile.write(b"no answer\r\n\r\n")
                return
            self.send_response(200 if self.path in ("/a.png", "/short", "/many") else 404)
            if self.path == "/short":
                self.send_header("Content-Length", "100000")
            self.end_headers()
            with suppress(OSError):  # nobody listens any longer
                self.wfile.write(encoded("PNG") * (1000 if self.path == "/many" else 1))

        def log_message(self, *_):
            pass

    server, prepare = ThreadingHTTPServer(("127.0.0.1", 0), Answer), OryxImageProcessor().prepare
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    text = base64.b64encode(encoded("PNG")).decode()
    try:
        for source in (f"{at}/a.png", f" {at.upper()}/a.png", f"Data:image/png;base64,{text}"):
            assert np.array_equal(prepare(source).maps[1], prepare(PICTURE).maps[1])
        with pytest.raises(InputError, match=f"{at}/b.png: .*404"):
            prepare(f"{at}/b.png")
        wrong = {"/short": "bytes are missing", "/garbage": "no answer", ":x/": "port", "a b/": "control characters"}
        for rest, said in wrong.items():
            with pytest.raises(InputError, match=f"no picture can be fetched there .*{said}"):
                prepare(f"{at}{rest}" if rest[0] == "/" else f"http://localhost{rest}")
        for limit, least in (("MOST_FETCHED", 1000), ("FETCHING", 1e-9)):
            with monkeypatch.context() as patched, pytest.raises(InputError, match="no picture can be fetched"):
                patched.setattr(sources, limit, least)
                prepare(f"{at}/many")
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(InputError, match=r"a\.mp4: expected a video file, there is none.* URL"):
        OryxVideoProcessor().prepare(Video(f"{at}/a.mp4"))


@pytest.mark.parametrize("text", ["A" * 100_000, "data:" + "?" * 100_000])
def test_long_texts_are_cut_in_messages(text):
    with pytest.raises(InputError) as caught:
        OryxImageProcessor().prepare(text)
    assert re.search(r"1\d\d,\d\d\d characters", str(caught.value)) and len(str(caught.value)) < 600


ARRAYS = {
    "floats from 0 to 1": LEVELS / 255,
    "single floats": (LEVELS / 255).astype(np.float32),
    "channels first": LEVELS.transpose(2, 0, 1),
    "floats with channels first": (LEVELS / 255).transpose(2, 0, 1),
    "a tensor": torch.tensor(LEVELS),
    "a tensor of torchvision's form": torch.tensor(LEVELS).permute(2, 0, 1) / 255,
    "a tensor with a gradient": (torch.tensor(LEVELS) / 255).requires_grad_(),
    "half precision": (torch.tensor(LEVELS) / 255).half(),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_and_tensors_of_the_usual_forms_are_pictures(kind):
    assert same(ARRAYS[kind])


def test_one_channel_is_grey_and_a_square_of_three_keeps_its_channels_last():
    grey = LEVELS[..., :1]
    for array in (grey, grey.transpose(2, 0, 1), grey[..., 0]):
        assert np.array_equal(np.asarray(open_image(array)), grey.repeat(3, 2))
    assert np.array_equal(np.asarray(open_image(LEVELS[:3, :3])), LEVELS[:3, :3])


def test_a_video_may_be_a_tensor_of_frames():
    film = torch.tensor(LEVELS).permute(2, 0, 1)[None].repeat(3, 1, 1, 1)
    prepared, expected = (OryxVideoProcessor().prepare(Video(one)) for one in (film, [PICTURE] * 3))
    assert np.array_equal(prepared.maps, expected.maps)


@pytest.mark.parametrize("array, got", [
    (LEVELS / 127.5 - 1, r"float64 \(40, 64, 3\) from -1"),
    (LEVELS.astype(float), r"from 0\.?0? to 255"),
    (np.full((4, 4, 3), np.nan), "from nan to nan"),
    (LEVELS.astype(np.int64), "int64"),
    (np.zeros((5, 5, 2), np.uint8), r"uint8 \(5, 5, 2\)"),
    (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
    (np.zeros((2, 4, 4, 3), np.uint8), r"\(2, 4, 4, 3\)"),
])  # fmt: skip
def test_other_arrays_are_refused_with_what_came(array, got):
    with pytest.raises(InputError, match=f"array: expected uint8.*{got}"):
        open_image(array)
