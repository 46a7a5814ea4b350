"""Video files made here: right frames from both readers, clear errors for the others."""

import io
import sys
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from oryx.errors import InputError, MissingResource, SettingsError
from oryx.processing.decoders import PyAVReader, VideoInfo, check_decoder
from oryx.processing.packets import examine
from oryx.processing.video import VideoFile, iter_frames, probe, read_frames


def works(decoder: str) -> bool:
    try:
        check_decoder(decoder)
    except MissingResource:
        return False
    return True


needs_decord = pytest.mark.skipif(not works("decord"), reason="decord has no wheel for this platform")
READERS = [
    "pyav",
    pytest.param("decord", marks=needs_decord),
    pytest.param("torchcodec", marks=pytest.mark.torchcodec),
]
reads = pytest.mark.parametrize("reader", READERS)
OPTIONS = {
    "libx264": {"crf": "10", "preset": "ultrafast"},
    "libsvtav1": {"crf": "20", "preset": "12"},
    "libx265": {"x265-params": "log-level=none:bframes=3:keyint=8"},
}

B_FRAMES = {"g": "8", "bf": "2", "preset": "veryfast"}


def write_video(
    path: Path,
    frames: int = 12,
    codec: str = "libx264",
    size=(64, 96),
    times=None,
    container=None,
    rotation=None,
    matrix=None,
    corner=None,
    pixels="yuv420p",
    aspect=None,
    **options: str,
) -> Path:
    """Each frame is one grey level, so a wrong one is seen at once, or ``corner``; 5 a second, or at ``times`` (s)."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=5)
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.options = {**OPTIONS.get(codec, {}), **options}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(frames):
            picture = np.full((*size, 3), 16 + 4 * i, np.uint8) if corner is None else corner
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def cut_at(source: Path, path: Path, seconds: float) -> Path:
    """What ``ffmpeg -ss seconds -c copy`` does: packets are copied, an edit list hides those before the cut."""
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        stream = given.streams.video[0]
        copy, shift = out.add_stream_from_template(stream), round(seconds / stream.time_base)
        for packet in given.demux(stream):
            if packet.dts is not None:
                packet.stream, packet.pts, packet.dts = copy, packet.pts - shift, packet.dts - shift
                out.mux(packet)
    return path


def levels(frames: np.ndarray) -> list[int]:
    return [round((frame.mean() - 16) / 4) for frame in frames]


@reads
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_the_frames_asked_for_come_in_that_order(tmp_path, reader, suffix):
    path = write_video(tmp_path / f"v.{suffix}")
    assert probe(path, decoder=reader) == VideoInfo(12, (64, 96), reader)
    frames = read_frames(path, [0, 7, 7, 11, 3], decoder=reader)
    assert frames.shape == (5, 64, 96, 3) and levels(frames) == [0, 7, 7, 11, 3]


@reads
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_the_decoders_agree_to_the_pixel_whatever_their_threads(tmp_path, codec, reader):
    options = B_FRAMES if codec == "libx264" else {}
    path, order = write_video(tmp_path / "v.mp4", 24, codec, **options), [0, 13, 23, 5]
    expected = read_frames(path, order, decoder="pyav")
    for threads in (1, 3):
        assert np.array_equal(read_frames(path, order, decoder=reader, threads=threads), expected)


def test_chunks_hold_no_more_than_asked(tmp_path):
    path = write_video(tmp_path / "v.mp4")
    chunks = list(iter_frames(path, range(12), chunk=5, size=(32, 48)))
    assert [len(chunk) for chunk in chunks] == [5, 5, 2] and chunks[0].shape[1:] == (32, 48, 3)
    assert levels(np.concatenate(chunks)) == list(range(12))


def write_two_streams(path: Path) -> Path:
    """The frames of the first stream count; a second, larger one is white."""
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("libx264", rate=5, options=OPTIONS["libx264"]) for _ in range(2)]
        for stream, side in zip(streams, (64, 128), strict=True):
            stream.height, stream.width, stream.pix_fmt = side, side, "yuv420p"
        for i in range(24):
            for stream, level in zip(streams, (16 + 4 * i, 255), strict=True):
                picture = np.full((stream.height, stream.width, 3), level, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            file.mux(stream.encode())
    return path


ONE = 1 << 16
MIRRORED = (-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
WRONG_BY_TORCHCODEC = ("transport stream", "program stream", "avi with b-frames")
HARD = {
    "av1": lambda folder: write_video(folder / "v.mp4", 24, "libsvtav1"),
    "hevc with open groups": lambda folder: write_video(folder / "v.mp4", 24, "libx265"),
    "h264 with open groups": lambda folder: write_video(
        folder / "v.mp4", 24, preset="veryfast", **{"x264-params": "open-gop=1:keyint=8:bframes=3"}
    ),
    "transport stream": lambda folder: write_video(folder / "v.ts", 24, **B_FRAMES),
    "program stream": lambda folder: write_video(folder / "v.mpg", 24, "mpeg2video"),
    "avi with b-frames": lambda folder: write_video(folder / "v.avi", 24, **B_FRAMES),
    "Matroska, where decord hides damage": lambda folder: write_video(folder / "v.mkv", 24),
    "48 pixels wide": lambda folder: write_video(folder / "v.mp4", 24, size=(64, 48)),
    "two streams": lambda folder: write_two_streams(folder / "v.mov"),
    "turned in Matroska": lambda folder: write_video(folder / "v.mkv", 24, rotation=180),
    "turned askew": lambda folder: write_video(folder / "v.mp4", 24, rotation=200),
    "edit list": lambda folder: cut_at(write_video(folder / "whole.mp4", 27, **B_FRAMES), folder / "v.mp4", 0.6),
}


@pytest.mark.parametrize("kind", HARD)
def test_pyav_reads_what_decord_would_get_wrong(tmp_path, kind):
    path, first = HARD[kind](tmp_path), 3 if kind == "edit list" else 0
    info = probe(path)
    assert (info.decoder, info.frames) == ("pyav", 24)
    order = [23, 0, 11, 11, *np.random.default_rng(0).integers(0, 24, 20).tolist()]
    assert levels(np.concatenate(list(iter_frames(path, order, chunk=3)))) == [first + i for i in order]
    if works("decord"):
        with pytest.raises(
            InputError, match=r"v\.\w+: expected a file that decoder 'decord' reads rightly, but .*'pyav'"
        ):
            probe(path, decoder="decord")


@pytest.mark.torchcodec
@pytest.mark.parametrize("kind", HARD)
def test_torchcodec_is_right_or_refuses(tmp_path, kind):
    path, first = HARD[kind](tmp_path), 3 if kind == "edit list" else 0
    if kind in WRONG_BY_TORCHCODEC:
        with pytest.raises(InputError, match=r"decoder 'torchcodec' reads rightly, but it"):
            probe(path, decoder="torchcodec")
        return
    assert probe(path, decoder="torchcodec") == VideoInfo(24, probe(path).size, "torchcodec")
    order = [23, 0, 11, 11, *np.random.default_rng(0).integers(0, 24, 20).tolist()]
    frames = np.concatenate(list(iter_frames(path, order, chunk=3, decoder="torchcodec")))
    assert levels(frames) == [first + i for i in order]
    assert np.array_equal(frames, read_frames(path, order, decoder="pyav"))


@pytest.mark.torchcodec
@pytest.mark.parametrize("kind", WRONG_BY_TORCHCODEC)
def test_torchcodec_is_still_wrong_where_it_is_refused(tmp_path, kind):
    from torchcodec.decoders import VideoDecoder

    path, order = HARD[kind](tmp_path), list(range(24))
    try:
        frames = VideoDecoder(str(path), dimension_order="NHWC").get_frames_at(order).data.numpy()
    except RuntimeError:
        return
    assert levels(frames) != order


def test_a_decoder_asked_for_by_name_is_that_one_or_a_message(tmp_path, monkeypatch):
    path = write_video(tmp_path / "v.mp4")
    with pytest.raises(SettingsError, match=r"unknown decoder 'decrod'; did you mean 'decord'\?"):
        probe(path, decoder="decrod")
    with pytest.raises(InputError, match="threads: expected a whole number of at least 1, got 0"):
        probe(path, threads=0)
    for name in ("decord", "torchcodec"):
        for module in [one for one in sys.modules if one.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingResource, match=rf"decoder '{name}' does not work here .*pip install"):
            probe(path, decoder=name)


@reads
def test_frames_at_uneven_times_keep_their_numbers(tmp_path, reader):
    times = np.cumsum(np.random.default_rng(0).choice([0.033, 0.1, 0.5], 24)) - 0.033
    path = write_video(tmp_path / "v.mp4", 24, times=times - times[0], **B_FRAMES)
    order = [20, 3, 23, 0, 7, 8, 9]
    assert probe(path, decoder=reader).frames == 24 and levels(read_frames(path, order, decoder=reader)) == order


def test_sparse_frames_are_reached_without_decoding_everything(tmp_path, monkeypatch):
    path, turned = write_video(tmp_path / "v.mp4", 48, **B_FRAMES), []
    reader = PyAVReader(path, examine(path, 10**6))
    decode = reader._by_time
    monkeypatch.setattr(reader, "_by_time", lambda number: turned.append(reader.next) or decode(number))
    assert levels(list(reader.read([0, 47, 25]))) == [0, 47, 25]
    assert reader.keys == (0, 8, 16, 24, 32, 40) and turned == [1, 1, 26], "sorted, each after the one before"
    reader.close()


SHOWN = {
    "mp4, 90": ("mp4", {"rotation": 90}, lambda lying: np.rot90(lying)),
    "mp4, -90": ("mp4", {"rotation": -90}, lambda lying: np.rot90(lying, -1)),
    "mp4, 100": ("mp4", {"rotation": 100}, lambda lying: np.rot90(lying)),
    "mp4, 17": ("mp4", {"rotation": 17}, lambda lying: lying),
    "mkv, 90": ("mkv", {"rotation": 90}, lambda lying: np.rot90(lying)),
    "mirrored": ("mp4", {"matrix": MIRRORED}, lambda lying: lying[:, ::-1]),
    "upside down": ("mp4", {"matrix": (ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30)}, lambda lying: lying[::-1]),
    "transposed": ("mp4", {"matrix": (0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30)}, lambda lying: lying.swapaxes(0, 1)),
}


@pytest.mark.parametrize("kind", SHOWN)
@pytest.mark.parametrize("reader", ["auto", *READERS])
def test_a_turned_recording_is_shown_upright(tmp_path, reader, kind):
    """As its display matrix says, to the nearest quarter turn; a decoder asked for by name may refuse."""
    suffix, how, seen = SHOWN[kind]
    lying = np.zeros((64, 96, 3), np.uint8)
    lying[:24, :32] = 200  # top left
    path = write_video(tmp_path / f"v.{suffix}", 2, corner=lying, **how)
    try:
        shown = read_frames(path, [0, 1], decoder=reader).astype(int)
    except InputError as error:
        assert reader in ("decord", "torchcodec") and kind not in ("mp4, 90", "mp4, -90"), error
        return
    assert shown[0].shape == seen(lying).shape and np.abs(shown - seen(lying)).mean() < 3


def test_frames_that_change_size_come_at_the_first_size(tmp_path):
    path = write_video(tmp_path / "v.mp4")
    with_other = VideoFile(path)
    shapes = iter([(64, 96), (32, 48)])
    with_other.reader.read = lambda numbers: (np.zeros((*next(shapes), 3), np.uint8) for _ in numbers)
    assert next(with_other.frames([0, 1])).shape == (2, 64, 96, 3)


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def spoiled(folder: Path) -> list[Path]:
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video at all")
    (folder / "art.nfo").write_text("FFmpeg would play this as ANSI art" * 9)
    whole = write_video(folder / "whole.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    head = write_video(folder / "head.mp4", 48, container={"movflags": "faststart"}).read_bytes()
    (folder / "cut_head.mp4").write_bytes(head[: len(head) - 200])
    matroska = write_video(folder / "whole.mkv", 48).read_bytes()
    (folder / "cut.mkv").write_bytes(matroska[: len(matroska) // 2])
    middle = bytearray(head)
    middle[-len(head) // 3 :] = bytes(len(middle[-len(head) // 3 :]))
    (folder / "zeros.mp4").write_bytes(middle)
    sound_only(folder / "sound.mp4")
    names = ("empty.mp4", "text.mp4", "art.nfo", "cut.mp4", "cut_head.mp4", "cut.mkv", "zeros.mp4", "sound.mp4")
    return [*(folder / name for name in names), folder / "absent.mp4", folder]


@reads
def test_files_that_are_no_whole_video_are_refused_by_name(tmp_path, reader):
    for path in spoiled(tmp_path):
        with pytest.raises(InputError) as caught:
            read_frames(path, range(12), decoder=reader)
            read_frames(path, range(48), decoder=reader)
        assert str(path) in str(caught.value) and "expected frame indices" not in str(caught.value), path


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("suffix", ["ts", "flv", "h264", "mkv", "webm", "avi", "gif"])
def test_damage_in_the_middle_is_never_shown(tmp_path, suffix, decoder):
    """Broken packets, frames that FFmpeg has mended by guessing, parts that it has passed over."""
    codec = {"webm": "libvpx", "avi": "mpeg4", "gif": "gif"}.get(suffix, "libx264")
    pixels = "rgb8" if suffix == "gif" else "yuv420p"
    data = bytearray(write_video(tmp_path / f"v.{suffix}", 48, codec, pixels=pixels, g="8").read_bytes())
    place, length = len(data) * 55 // 100, len(data) // 20
    data[place : place + length] = bytes(length)
    (tmp_path / f"v.{suffix}").write_bytes(data)
    with (
        pytest.raises(InputError, match=rf"v\.{suffix}: .*damaged"),
        closing(VideoFile(tmp_path / f"v.{suffix}", decoder=decoder)) as video,
    ):
        list(video.frames(range(video.info.frames)))


def test_a_stream_that_calls_every_frame_a_keyframe_is_read_from_its_start(tmp_path):
    path = write_video(tmp_path / "v.mov", 24, "rpza", pixels="rgb555le")
    assert np.array_equal(read_frames(path, [23, 11, 3]), read_frames(path, range(24))[[23, 11, 3]])


def test_too_large_frames_are_refused_before_decoding(tmp_path):
    path = write_video(tmp_path / "v.mp4")
    with pytest.raises(InputError, match=r"v\.mp4: frames of 96 x 64 pixels; expected at most 6000"):
        VideoFile(path, max_pixels=6000)


def test_frames_that_are_not_there_are_refused(tmp_path):
    path = write_video(tmp_path / "v.mp4")
    with pytest.raises(InputError, match=r"from 0 to 11, got \[12\]"):
        read_frames(path, [0, 12])
    with pytest.raises(InputError, match="got none"):
        read_frames(path, [])


CONTAINERS = {
    "mp4": "libx264", "mov": "libx264", "mkv": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4", "gif": "gif",
    "ts": "libx264", "mpg": "mpeg2video", "flv": "flv1", "wmv": "wmv2", "h264": "libx264", "y4m": "rawvideo",
}  # fmt: skip
STATE_THEIR_END = ("mp4", "mov", "mkv", "webm", "avi", "gif")


def write_in(folder: Path, suffix: str) -> Path:
    """48 frames in a container, or a skip where this FFmpeg has no encoder for it."""
    codec, path = CONTAINERS[suffix], folder / f"v.{suffix}"
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"PyAV has no {codec} here")
    if suffix != "gif":
        return write_video(path, 48, codec, **({} if codec == "libx264" else {"b": "200k"}))
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=5)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "rgb8"
        for i in range(48):
            noise = np.random.default_rng(i).integers(0, 256, (64, 96, 3), dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="rgb8")))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_cut_video_is_refused_or_read_with_a_warning(tmp_path, suffix):
    path = write_in(tmp_path, suffix)
    data, info = path.read_bytes(), probe(path)
    assert info.frames == 48 and (info.warning == "") == (suffix in STATE_THEIR_END)
    for part in (0.5, 0.9, 0.97):
        path.write_bytes(data[: round(part * len(data))])
        try:
            assert probe(path).warning and suffix not in STATE_THEIR_END
        except InputError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("hole", [bytes(400), b"", bytes(range(1, 200))])
def test_a_gif_with_a_hole_in_a_picture_is_refused(tmp_path, hole):
    """Its chain of blocks may go on behind the hole; FFmpeg shows what is missing as it was before."""
    path = write_in(tmp_path, "gif")
    data, middle = path.read_bytes(), path.stat().st_size // 2
    path.write_bytes(data[:middle] + hole + data[middle + 400 :])
    with pytest.raises(InputError, match=r"v\.gif: expected a whole video"):
        probe(path)


def test_a_container_that_tells_no_damage_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="got a NUT file"):
        probe(write_video(tmp_path / "v.nut"))


def test_motion_jpeg_is_refused_where_its_last_picture_is_torn(tmp_path):
    pictures, path = [], tmp_path / "v.mjpeg"
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(noise).save(buffer := io.BytesIO(), "jpeg")
        pictures.append(buffer.getvalue())
    path.write_bytes(b"".join(pictures[:6]))
    assert probe(path).frames == 6 and "does not say where a file ends" in probe(path).warning
    path.write_bytes(b"".join(pictures)[:-100])
    with pytest.raises(InputError, match=r"v\.mjpeg: expected a whole video"):
        probe(path)


def test_a_matroska_whose_end_was_not_known_when_it_began_is_read_with_a_warning(tmp_path):
    path = write_video(tmp_path / "v.mkv", container={"live": "1"})
    assert "does not say where a file ends" in probe(path).warning and probe(path).frames == 12


def test_a_packet_lost_inside_a_transport_stream_is_damage(tmp_path):
    path = write_video(tmp_path / "v.ts", 48, **B_FRAMES)
    data = path.read_bytes()
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    pictures = [i for i, one in enumerate(packets) if one[1] & 0x1F == 1 and one[2] == 0]
    del packets[pictures[len(pictures) // 2]]
    path.write_bytes(b"".join(packets))
    with pytest.raises(InputError, match=r"v\.ts: .*damaged or truncated: [12] of \d+ packets"):
        probe(path)


def test_fragments_that_may_go_on_are_read_with_a_warning(tmp_path):
    path = write_video(tmp_path / "v.mp4", 24, g="8", bf="0", container={"movflags": "frag_keyframe+empty_moov"})
    data = path.read_bytes()
    assert not probe(path).warning and probe(path).frames == 24
    path.write_bytes(data[: data.rindex(b"moof") - 4])
    assert "does not say where a file ends" in probe(path).warning and probe(path).frames == 16


def test_a_gif_that_is_cut_between_two_pictures_is_refused_whatever_byte_stood_last(tmp_path):
    path = write_video(tmp_path / "v.gif", 12, "gif", pixels="rgb8")
    data = path.read_bytes()
    end = data.index(b"\x21\xf9\x04", len(data) // 2)  # where another picture begins
    for last in (data[end - 2], *b";\x3b\x2c"):
        path.write_bytes(data[: end - 2] + bytes([last]) + data[end - 1 : end])
        with pytest.raises(InputError, match=r"v\.gif: "):
            probe(path)


def test_a_fragment_whose_time_goes_back_is_damage(tmp_path):
    path = write_video(tmp_path / "v.mp4", 24, g="8", bf="0", container={"movflags": "frag_keyframe+empty_moov"})
    assert probe(path).frames == 24
    data = path.read_bytes()
    place = data.index(b"tfdt", data.index(b"tfdt") + 1) + 8
    path.write_bytes(data[:place] + bytes(8) + data[place + 8 :])
    with pytest.raises(InputError, match=r"v\.mp4: .*damaged or truncated: 1 of 24 packets"):
        probe(path)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "flv", "ts"])
def test_a_frame_lost_that_others_need_is_damage_though_no_packet_is(tmp_path, suffix):
    whole = write_video(tmp_path / f"whole.{suffix}", 24, **B_FRAMES)
    with av.open(str(whole)) as file, av.open(str(tmp_path / f"v.{suffix}"), "w") as lacking:
        stream = lacking.add_stream_from_template(file.streams.video[0])
        for number, packet in enumerate(one for one in file.demux(video=0) if one.size):
            if number != 4:  # a frame between others that are shown before it and after
                packet.stream = stream
                lacking.mux(packet)
    assert probe(whole).frames == 24
    with pytest.raises(InputError, match=rf"v\.{suffix}: .*the file is damaged"):
        read_frames(tmp_path / f"v.{suffix}", range(23))


@pytest.mark.parametrize("turn", [False, True])
def test_pixels_that_are_not_square_are_shown_as_wide_as_they_are_meant(tmp_path, turn):
    half = np.zeros((64, 96, 3), np.uint8)
    half[:, :48] = 200
    path = write_video(tmp_path / "v.mp4", 2, corner=half, aspect=Fraction(4, 3), rotation=-90 if turn else None)
    info, (shown,) = probe(path), read_frames(path, [1])
    assert info.size == shown.shape[:2] == ((128, 64) if turn else (64, 128)) and info.decoder == "pyav"
    bright = shown[:63] if turn else shown[:, :63]
    assert bright.mean() > 190 and shown.mean() < 110
    with pytest.raises(InputError, match="frames of 128 x 64 pixels; expected at most 7000"):
        VideoFile(path, max_pixels=7000)
    if works("decord"):
        with pytest.raises(InputError, match="its pixels are not square"):
            probe(path, decoder="decord")
