"""The kinds of inputs that are fuzzed. Each writes its seeds once and tries one input at a time.

To try returns nothing where the input was accepted, or what is silently wrong; every error of ours is a refusal.
"""

import contextlib
import io
import json
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies
from PIL import Image

from tools.abuse import mutate
from tools.abuse.marks import draw, read

REPOSITORY = Path(__file__).parents[2]
PUBLISHED = REPOSITORY / "results" / "native_vs_fixed_resolution" / "nano"
FRAMES = 12
UNCHECKED = "what is shown differs, and no check of the format covers it"
"""What an attempt returns of a file that was accepted and shows something else, because no reader can tell."""


@dataclass(frozen=True)
class Kind:
    """One kind of inputs.

    Attributes:
        share: of 10,000 inputs.
        seeds: writes what is changed afterwards into a folder.
        attempt: (folder of the seeds, an empty folder, chance, value) -> "", UNCHECKED or what is silently wrong.
        values: what hypothesis draws values from; None: ``attempt`` changes seeds by chance.
    """

    share: int
    attempt: Callable[[Path, Path, random.Random, Any], str | None]
    seeds: Callable[[Path], None] = field(default=lambda folder: None)
    values: Callable[[], strategies.SearchStrategy] | None = None


def _some(folder: Path, chance: random.Random, pattern: str = "*") -> Path:
    return chance.choice(sorted(path for path in folder.glob(pattern) if path.is_file()))


# Pictures


def write_pictures(folder: Path) -> None:
    """The usual formats and modes."""
    picture = Image.fromarray(np.random.default_rng(100).integers(0, 255, (40, 56, 3), np.uint8)).resize((112, 80))
    for suffix in ("png", "jpg", "webp", "gif", "tiff", "bmp", "ppm", "tga", "ico"):
        picture.save(folder / f"rgb.{suffix}")
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.save(folder / "packed.tiff", compression="tiff_lzw")
    picture.save(folder / "moving.gif", save_all=True, append_images=[picture.rotate(90)])
    Image.fromarray(np.asarray(picture)[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")


@cache
def _pixels(path: Path) -> np.ndarray:
    from oryx.processing.images import open_image

    return np.asarray(open_image(path))


def try_picture(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """A changed file, as a path, an open file or bytes."""
    from oryx.processing.images import open_image

    path = _some(folder, chance)
    data, cut = mutate.bytes_of(path.read_bytes(), chance)
    form = chance.randrange(3)
    if form == 0:
        (own / path.name).write_bytes(data)
    picture = open_image([own / path.name, io.BytesIO(data), data][form])
    if picture.mode != "RGB" or 0 in picture.size:
        return f"{path.name}: a picture of mode {picture.mode} and {picture.size}"
    same = np.array_equal(np.asarray(picture), _pixels(path))
    if not same and (cut or path.suffix == ".png"):  # every part of a PNG has a check; others have none
        return f"{path.name}: {'cut' if cut else 'changed'}, and other pixels are shown"
    return None if same else UNCHECKED


def picture_values() -> strategies.SearchStrategy:
    """Arrays of any kind and shape, pictures of any mode, and what is no picture."""
    kinds = ("uint8", "int8", "uint16", "int64", "float16", "float32", "float64", "bool", "complex64", "object", "U3")
    sides = strategies.sampled_from((0, 1, 2, 3, 4, 5, 17, 64))
    shapes = strategies.lists(sides, min_size=0, max_size=5).map(tuple).filter(lambda shape: prod(shape) <= 64**3)
    arrays = strategies.tuples(strategies.just("array"), strategies.sampled_from(kinds), shapes)
    modes = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX", "RGBa", "La")
    modes = strategies.tuples(strategies.just("mode"), strategies.sampled_from(modes), strategies.tuples(sides, sides))
    return arrays | modes | mutate.odd_values().map(lambda value: ("value", value, ()))


def try_picture_value(folder: Path, own: Path, chance: random.Random, value: Any) -> str | None:
    """See :func:`picture_values`."""
    from oryx.processing.images import open_image

    form, kind, shape = value
    if form == "array":
        value = np.random.default_rng(100).integers(0, 2, shape).astype(kind)
    else:
        value = Image.new(kind, shape) if form == "mode" else kind
    made = open_image(value)
    return None if made.mode == "RGB" and 0 not in made.size else f"{value!r:.60}: mode {made.mode}, size {made.size}"


# Videos


def write_videos(folder: Path) -> None:
    """Small files of the usual containers; their frames say their numbers."""
    from tools.abuse.writing import write

    b_frames = {"bf": "2", "g": "8"}
    write(folder / "index.mp4", frames=FRAMES, muxing={"movflags": "faststart"}, **b_frames)
    write(folder / "last.mp4", frames=FRAMES, bf="0")
    write(folder / "fragments.mp4", frames=FRAMES, muxing={"movflags": "frag_keyframe+empty_moov"})
    write(folder / "turned.mov", frames=FRAMES, sound=True)
    write(folder / "v.mkv", frames=FRAMES, **b_frames)
    write(folder / "v.webm", "libvpx-vp9", frames=FRAMES)
    write(folder / "v.avi", "mpeg4", frames=FRAMES)
    write(folder / "v.ts", frames=FRAMES, **b_frames)
    write(folder / "v.flv", frames=FRAMES)
    write(folder / "v.gif", "gif", pixels="rgb8", frames=FRAMES)
    write(folder / "v.mpg", "mpeg2video", rate=25, frames=FRAMES)
    write(folder / "v.h264", frames=FRAMES)


def try_video(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """A changed file through the door, every frame of it; less may come if a warning says so."""
    from oryx.processing.options import PreprocessOptions
    from oryx.processing.visuals import Video, choose_frames
    from tools.abuse.decoders import begins, strictly_decoded

    path = _some(folder, chance)
    data, cut = mutate.bytes_of(path.read_bytes(), chance)
    (own / path.name).write_bytes(data)
    chosen = choose_frames(Video(own / path.name, 200), PreprocessOptions())
    seen = [read(np.asarray(picture)) for picture in chosen.pictures]
    wanted, torn = list(range(1, FRAMES + 1)), sum(number is None for number in seen)
    first = [one for one in seen if one is not None] if cut and torn == 1 else seen  # as the warning says
    if seen == wanted or (chosen.file.warning and begins(first, wanted)):
        return None
    if not cut and strictly_decoded(own / path.name):
        return UNCHECKED
    what = "cut" if cut else "changed"
    return f"{path.name}, {what}: {len(seen)} of {FRAMES} frames" + (f", {torn} torn" if torn else "")


# Checkpoints and configurations


def write_checkpoints(folder: Path) -> None:
    """A tiny model in our format and in the authors'."""
    from tests.tiny import save_tiny_model, save_tiny_released

    for name, save in (("own", save_tiny_model), ("authors", save_tiny_released)):
        (folder / name).mkdir()
        save(folder / name)


class Trap:
    """A pickle that writes a file when it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def try_checkpoint(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """A folder with one changed file, or with a pickle that does something."""
    import oryx

    given = folder / chance.choice(("own", "authors"))
    files = sorted(path for path in given.rglob("*") if path.is_file())
    changed, trap, cut = chance.choice(files), own / "trapped", False
    model = own / "model"
    shutil.copytree(given, model)
    place = model / changed.relative_to(given)
    if chance.random() < 0.05:
        for weights in [*model.rglob("*.safetensors"), *model.rglob("*.bin")]:
            weights.unlink()
        (model / chance.choice(("pytorch_model.bin", "oryx_vit.pth", "mm_projector.bin"))).write_bytes(
            pickle.dumps({"model": Trap(trap)})
        )
    elif changed.suffix == ".json" and chance.random() < 0.7:
        place.write_bytes(mutate.json_of(changed.read_bytes(), chance))
    else:
        data, cut = mutate.bytes_of(changed.read_bytes(), chance)
        place.write_bytes(data)
    try:
        oryx.load(model)
    finally:
        if trap.exists():
            return "a pickle was carried out"  # noqa: B012 - whatever else it says
    if cut and changed.suffix == ".safetensors":
        return f"{changed.name}: cut, and loaded"
    return None


def options_values() -> strategies.SearchStrategy:
    """Fields of options and sizes with odd values."""
    names = ("low", "high", "video", "frames", "newlines", "max_pixels", "short_video_frames", "other")
    rule = strategies.dictionaries(
        strategies.sampled_from(("stride", "base", "max_side", "min_side", "other")), mutate.odd_values(), max_size=3
    )
    options = strategies.dictionaries(strategies.sampled_from(names), rule | mutate.odd_values(), max_size=3)
    sizes = strategies.tuples(strategies.sampled_from(("native", "area", "pad", "squash", "x")), mutate.odd_values())
    return options | sizes


def try_options(folder: Path, own: Path, chance: random.Random, value: Any) -> str | None:
    """See :func:`options_values`; what is accepted is used on a small picture."""
    from oryx.processing.images import image_views
    from oryx.processing.options import PreprocessOptions
    from oryx.processing.sizes import Resolution

    picture = Image.fromarray(draw(5, (40, 60)))
    if isinstance(value, dict):
        views = image_views(picture, PreprocessOptions.from_dict(value))
    else:
        views = [Resolution(*value).apply(picture, 32)]
    return "a view without pixels" if any(0 in getattr(one, "size", (1,)) for one in views if one is not None) else None


# Questions


QUESTION = ("resolution", "compression", "token_budget", "max_new_tokens", "question", "visual")


def question_values() -> strategies.SearchStrategy:
    """Arguments of a question with odd values."""
    number = strategies.sampled_from((1, 2, 4, 16, 31, 32, 64, 100, 1000, 2000, 10**6, 10**9))
    return strategies.dictionaries(
        strategies.sampled_from(QUESTION), number | mutate.odd_values(), min_size=1, max_size=3
    )


@cache
def _tiny(folder: Path) -> Any:
    import oryx

    return oryx.load(folder / "own")


def try_question(folder: Path, own: Path, chance: random.Random, value: Any) -> str | None:
    """A question to a tiny model, about a small picture unless another thing is asked about."""
    words = {"max_new_tokens": 1, **value}
    visual = words.pop("visual", Image.fromarray(draw(5, (48, 64))))
    answer = _tiny(folder).ask(visual, words.pop("question", "what?"), **words)
    return None if isinstance(answer.text, str) else f"an answer of {type(answer.text).__name__}"


# Rows and manifests


def write_rows(folder: Path) -> None:
    """Rows as they are written in a run, rows as they are published, and what lies beside them."""
    from oryx.evidence.rows import read_published, write_published

    rows = read_published(PUBLISHED / "rows.parquet").head(30)
    write_published(rows, folder / "rows.parquet")
    lines = [json.loads(line) for line in rows.to_json(orient="records", lines=True).splitlines()]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "other").mkdir()
    for name in ("manifest.json", "status.json", "verdicts.json"):
        shutil.copy(PUBLISHED / name, folder / name)
        shutil.copy(PUBLISHED / name, folder / "other" / name)
    shutil.copy(folder / "rows.parquet", folder / "other" / "rows.parquet")


def try_rows(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """Changed rows of a run: every whole line is read or refused."""
    from oryx.evidence.rows import read_rows

    path = folder / "rows.jsonl"
    if chance.random() < 0.4:
        lines = path.read_bytes().splitlines(keepends=True)
        place = chance.randrange(len(lines))
        lines[place] = mutate.json_of(lines[place], chance) + b"\n"
        data = b"".join(lines)
    else:
        data, _ = mutate.bytes_of(path.read_bytes(), chance)
    (own / "rows.jsonl").write_bytes(data)
    found = read_rows(own / "rows.jsonl")
    return None if len(found) == data.count(b"\n") else f"{len(found)} rows of {data.count(bytes([10]))} lines"


def try_published(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """Changed published rows."""
    from oryx.evidence.rows import read_published

    data, cut = mutate.bytes_of((folder / "rows.parquet").read_bytes(), chance)
    (own / "rows.parquet").write_bytes(data)
    found = read_published(own / "rows.parquet")
    return None if len(found) == 30 and not cut else f"{len(found)} rows of 30"


def try_manifest(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """A folder of a result with a changed manifest, status or list of verdicts, as ``status`` and ``diff`` read it."""
    from workbook.runs.difference import compared, described, read_side
    from workbook.runs.shards import read_status

    for path in (folder / "other").iterdir():
        shutil.copy(path, own / path.name)
    place = own / chance.choice(("manifest.json", "status.json", "verdicts.json"))
    data = place.read_bytes()
    place.write_bytes(mutate.json_of(data, chance) if chance.random() < 0.6 else mutate.bytes_of(data, chance)[0])
    if place.name == "status.json":
        read_status(place)
        return None
    mine, other = read_side(own), read_side(folder / "other")
    described(mine, other)
    compared(mine, other)
    return None


# Tables of own data, records of training


def write_tables(folder: Path) -> None:
    """The example of the how-to, as a table of two kinds."""
    from workbook.data.own_data import write_example

    table = write_example(folder)
    header, *lines = table.read_text().splitlines()
    names = header.split(",")
    rows = [dict(zip(names, line.split(","), strict=False)) for line in lines]
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def try_table(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """A changed table beside copies of its files."""
    from workbook.data.own_data import read_table

    path = _some(folder, chance, "*.csv") if chance.random() < 0.5 else folder / "table.jsonl"
    data = path.read_bytes()
    if path.suffix == ".jsonl" and chance.random() < 0.6:
        lines = data.splitlines(keepends=True)
        place = chance.randrange(len(lines))
        lines[place] = mutate.json_of(lines[place], chance) + b"\n"
        data = b"".join(lines)
    else:
        data, _ = mutate.bytes_of(data, chance)
    # in a folder of its own: a table may name its folder, which is then read whole while others write there
    shutil.copytree(folder, own, dirs_exist_ok=True)
    place = own / f"changed{path.suffix}"
    place.write_bytes(data)
    for item in read_table(place):
        if not 0 <= item.chance <= 1 or not item.question.strip():
            return f"an item of chance {item.chance}, question {item.question!r}"
    return None


def _asked(question: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": "a"}]


RECORDS = (
    {"id": 1, "image": "a.png", "conversations": _asked("<image>\nwhat?")},
    {"id": "b", "images": ["a.png", "b.png"], "conversations": _asked("<image><image>?")},
    {"video_long": "v.mp4", "idx": [3], "type": "caption", "question": "frame <idx>?", "answer": "c"},
    {"views": ["a.png", "b.png"], "conversations": _asked("?")},
)


def write_records(folder: Path) -> None:
    """The files that the records name."""
    from tools.abuse.writing import write

    for name in ("a.png", "b.png"):
        Image.fromarray(draw(3, (32, 48))).save(folder / name)
    write(folder / "v.mp4", frames=FRAMES)
    (folder / "data.json").write_text(json.dumps(RECORDS))


def try_record(folder: Path, own: Path, chance: random.Random, _: Any) -> str | None:
    """A changed file of records, read and checked."""
    from oryx.train.datasets import read_records

    data = (folder / "data.json").read_bytes()
    data = mutate.json_of(data, chance) if chance.random() < 0.7 else mutate.bytes_of(data, chance)[0]
    (own / "data.json").write_bytes(data)
    for record in read_records(own / "data.json", folder):
        if not record.conversation or not all(isinstance(turn, dict) for turn in record.conversation):
            return f"a record of {record.conversation!r:.80}"
    return None


# Parameters of notebooks and of the shell


def _studies() -> dict[str, str]:
    from workbook.cli import STUDIES, TEMPLATES

    return {**STUDIES, **TEMPLATES}


def parameter_values() -> strategies.SearchStrategy:
    """A study and fields of its settings with odd values."""
    from workbook.cli import find_study

    def of(study: str) -> strategies.SearchStrategy:
        fields = sorted(type(find_study(study).settings({})).model_fields)
        values = strategies.dictionaries(
            strategies.sampled_from([*fields, "scal"]), mutate.odd_values(), min_size=1, max_size=3
        )
        return strategies.tuples(strategies.just(study), values)

    return strategies.sampled_from(sorted(set(_studies()) - {"own_data"})).flatmap(of)


def try_parameters(folder: Path, own: Path, chance: random.Random, value: Any) -> str | None:
    """Settings of a study, as a notebook gives them; accepted ones have a hash and are read again as they were."""
    from workbook.cli import find_study

    study, values = find_study(value[0]), value[1]
    made = study.settings(values)
    again = study.settings(json.loads(json.dumps(made.to_dict())))
    return None if again.settings_hash == made.settings_hash else "written and read again they have another hash"


def shell_values() -> strategies.SearchStrategy:
    """Words after ``python -m oryx`` that do no work: plans, states and comparisons."""
    names = ("scale", "seeds", "arms", "trials", "train_steps", "jobs", "split", "lengths", "nonsense", "results")
    value = mutate.odd_values().map(lambda one: one if isinstance(one, str) else json.dumps(one))
    parameter = strategies.tuples(strategies.sampled_from(names), value).map(lambda pair: f"{pair[0]}={pair[1]}")
    study = strategies.sampled_from(("needle_in_a_haystack", "spatial_correspondence", "nedle", "all")) | value
    plan = strategies.tuples(study, strategies.lists(parameter, max_size=2)).map(
        lambda pair: ["plan", pair[0], *(word for one in pair[1] for word in ("-p", one))]
    )
    flags = strategies.lists(
        strategies.sampled_from(("--fit", "--gpu", "--frames", "--size", "--scale", "--seeds", "-p", "--results"))
        | value,
        max_size=5,
    )
    words = flags.map(lambda rest: ["plan", *rest]) | flags.map(lambda rest: ["status", *rest])
    return plan | words | flags.map(lambda rest: ["diff", *rest])


def try_shell(folder: Path, own: Path, chance: random.Random, value: Any) -> str | None:
    """A command; an error of ours is one line and a code, wrong usage ends with code 2."""
    from oryx.errors import SettingsError
    from workbook import cli

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.chdir(own):
        try:
            code = cli.main(list(value))
        except SystemExit as ended:
            code = ended.code
    if code:
        raise SettingsError(said.getvalue() or "nothing was said")
    return None


KINDS = {
    "pictures: files": Kind(2500, try_picture, write_pictures),
    "pictures: values": Kind(800, try_picture_value, values=picture_values),
    "videos: files": Kind(1200, try_video, write_videos),
    "checkpoints": Kind(300, try_checkpoint, write_checkpoints),
    "options and sizes": Kind(700, try_options, values=options_values),
    "questions": Kind(500, try_question, write_checkpoints, question_values),
    "rows of a run": Kind(1300, try_rows, write_rows),
    "published rows": Kind(500, try_published, write_rows),
    "manifests": Kind(200, try_manifest, write_rows),
    "tables of own data": Kind(1000, try_table, write_tables),
    "records of training": Kind(500, try_record, write_records),
    "parameters of notebooks": Kind(800, try_parameters, values=parameter_values),
    "words of the shell": Kind(500, try_shell, values=shell_values),
}
