"""Six-item copies of public benchmarks: the columns and the folders of the published ones, with invented content.

Columns and folders are those of the repositories that lmms-eval's tasks of the same name read (``echo840/OCRBench``,
``lmms-lab/MMBench``, ``lmms-lab/Video-MME``, ``sy1998/MLVU_dev``, ``lmms-lab/NExTQA``), videos unpacked; ScanQA's are
those that ``ATR-DBI/ScanQA`` documents, with frames of every scene as people extract them from ScanNet. Every picture
is of one colour with a bar, every video changes its colour halfway, so that there is something to be asked.
Each function writes into ``folder``, which stands for the repository, and returns it.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from workbook.data.haystacks import write_video

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "yellow": (220, 200, 40)}
NAMES = tuple(COLOURS)
LETTERS = "ABCDE"
SIZE = (72, 96)
FRAMES = 12


def picture(number: int) -> Image.Image:
    """One colour with a black bar whose height tells the number."""
    drawn = Image.new("RGB", (SIZE[1] + 8 * number, SIZE[0]), COLOURS[NAMES[number % 4]])
    ImageDraw.Draw(drawn).rectangle((8, 8, 24, 14 + 6 * number), fill=(0, 0, 0))
    return drawn


def make_video(path: Path, number: int) -> None:
    """The colour of ``number`` for half of the frames, then the next one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = [Image.new("RGB", SIZE[::-1], COLOURS[NAMES[(number + late) % 4]]) for late in (0, 1)]
    write_video(path, [shown[frame >= FRAMES // 2] for frame in range(FRAMES)], SIZE)


def write_ocrbench(folder: Path, items: int = 6) -> Path:
    """OCRBench: a question and its answers about a picture; formulae (HME100k) are compared without blanks."""
    kinds = ["Regular Text Recognition", "Scene Text-centric VQA", "Key Information Extraction", "Doc-oriented VQA"]
    rows = [
        {
            "dataset": "HME100k" if i % 6 == 5 else "IIIT5K",
            "question": "Please write out the expression of the formula in the image using LaTeX format."
            if i % 6 == 5
            else "what colour is the picture?",
            "question_type": "Handwritten Mathematical Expression Recognition" if i % 6 == 5 else kinds[i % 4],
            "answer": ["x ^ { 2 }"] if i % 6 == 5 else [NAMES[i % 4].upper(), f"all {NAMES[i % 4]}"],
            "image": picture(i),
        }
        for i in range(items)
    ]
    return _write(folder, "data/test-00000-of-00001.parquet", rows)


def write_mmbench(folder: Path, items: int = 6) -> Path:
    """MMBench, English, dev: every question a second time with its options turned (index + 1,000,000)."""
    rows = []
    for i in range(items):
        question, turn = i // 2, i % 2
        count = 2 if question % 3 == 2 else 4
        options = [NAMES[(question + k) % 4] for k in range(count)]
        options = options[turn:] + options[:turn]
        rows.append(
            {
                "index": question + 1_000_000 * turn,
                "question": "Which colour fills the picture?",
                "hint": "The bar is black." if question % 2 else "nan",
                "answer": LETTERS[options.index(NAMES[question % 4])],
                **{letter: option for letter, option in zip("ABCD", [*options, "nan", "nan"], strict=False)},
                "category": ["attribute_recognition", "image_scene"][question % 2],
                "image": picture(question),
                "source": "invented",
                "L2-category": ["finegrained_perception (instance-level)", "coarse_perception"][question % 2],
                "comment": "nan",
                "split": "dev",
            }
        )
    return _write(folder, "en/dev-00000-of-00001.parquet", rows)


def write_videomme(folder: Path, items: int = 6) -> Path:
    """VideoMME: two questions a video, videos of three durations under ``data``; no subtitles."""
    domains = [("Knowledge", "Astronomy"), ("Life Record", "Food"), ("Sports Competition", "Football")]
    rows = []
    for i in range(items):
        video, late = i // 2, i % 2
        name = f"invented{video:03d}"
        options = [NAMES[(video + 2 * late + k) % 4] for k in range(4)]
        rows.append(
            {
                "video_id": f"{video + 1:03d}",
                "duration": ["short", "medium", "long"][video % 3],
                "domain": domains[video % 3][0],
                "sub_category": domains[video % 3][1],
                "url": f"https://example.org/{name}",
                "videoID": name,
                "question_id": f"{video + 1:03d}-{late + 1}",
                "task_type": ["Temporal Perception", "Attribute Perception"][late],
                "question": f"Which colour does the video {'end' if late else 'begin'} with?",
                "options": [f"{LETTERS[k]}. {option.capitalize()}." for k, option in enumerate(options)],
                "answer": LETTERS[options.index(NAMES[(video + late) % 4])],
            }
        )
        make_video(folder / "data" / f"{name}.mp4", video)
    return _write(folder, "videomme/test-00000-of-00001.parquet", rows)


def write_mlvu(folder: Path, items: int = 6) -> Path:
    """MLVU, dev: options stand in the question as well as beside it; tasks of unequal size."""
    kinds = ["plotQA", "plotQA", "needle", "ego", "count", "order", "anomaly_reco", "topic_reasoning"]
    rows = []
    for i in range(items):
        name = f"invented_{i // 2}.mp4"
        options = [NAMES[(i + k) % 4] for k in range(4)]
        listed = "\n".join(f"({LETTERS[k]}) {option}" for k, option in enumerate(options))
        rows.append(
            {
                "video_name": name,
                "duration": float(FRAMES),
                "question": f"Which colour comes {'last' if i % 2 else 'first'}?\n{listed}",
                "candidates": options,
                "answer": LETTERS[options.index(NAMES[(i // 2 + i % 2) % 4])],
                "task_type": kinds[i % len(kinds)],
                "question_id": f"invented_{i}",
            }
        )
        make_video(folder / name, i // 2)
    return _write(folder, "mlvu/test-00000-of-00001.parquet", rows)


def write_nextqa(folder: Path, items: int = 6) -> Path:
    """NExT-QA, multiple choice, test: five options, the answer as a number, videos under ``NExTVideo``."""
    rows = []
    for i in range(items):
        video = 1000 + i // 2
        options = [*(NAMES[(i + k) % 4] for k in range(4)), "none of them"]
        rows.append(
            {
                "video": video,
                "frame_count": FRAMES,
                "width": SIZE[1],
                "height": SIZE[0],
                "question": f"what colour is seen at the {'end' if i % 2 else 'beginning'}",
                "answer": options.index(NAMES[(i // 2 + i % 2) % 4]),
                "qid": i % 2,
                "type": ["TN", "CW"][i % 2],
                **{f"a{k}": option for k, option in enumerate(options)},
            }
        )
        make_video(folder / "NExTVideo" / f"{video}.mp4", i // 2)
    return _write(folder, "MC/test-00000-of-00001.parquet", rows)


def write_scanqa(folder: Path, items: int = 6) -> Path:
    """ScanQA, validation: two questions a scene, open answers, frames of a scene in ``frames/SCENE``."""
    rows = []
    for i in range(items):
        scene = f"scene{i // 2:04d}_00"
        rows.append(
            {
                "answers": [[f"{NAMES[i // 2]} wall", f"a {NAMES[i // 2]} wall"], ["one", "1 bar"]][i % 2],
                "object_ids": [i],
                "object_names": ["wall"],
                "question": ["What is behind the black bar?", "How many bars are there?"][i % 2],
                "question_id": f"val-{scene.removesuffix('_00')}-{i}",
                "scene_id": scene,
            }
        )
        write_frames(folder / "frames" / scene, i // 2)
    (folder / "ScanQA_v1.0_val.json").write_text(json.dumps(rows))
    return folder


def write_frames(folder: Path, number: int, mark: str = "", frames: int = 4) -> None:
    """Frames 0.jpg, 40.jpg, ... of a scene, with a mark painted in."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(frames):
        drawn = picture(number)
        ImageDraw.Draw(drawn).text((40 + 4 * frame, 30), mark, fill=(255, 255, 255))
        drawn.save(folder / f"{40 * frame}.jpg")


COPIES: dict[str, Callable[[Path], Path]] = {
    "ocrbench": write_ocrbench,
    "mmbench": write_mmbench,
    "videomme": write_videomme,
    "mlvu": write_mlvu,
    "nextqa": write_nextqa,
}
"""Name of a benchmark that lmms-eval knows too -> what writes its copy."""


def _write(folder: Path, file: str, rows: list[dict]) -> Path:
    """A parquet file as the ``datasets`` library writes it: pictures as bytes, and marked as pictures."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [name for name, value in rows[0].items() if isinstance(value, Image.Image)]
    stored = [{name: _stored(value) for name, value in row.items()} for row in rows]
    table = pa.Table.from_pylist(stored)
    features = {"info": {"features": {name: {"_type": "Image"} for name in pictures}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)
    return folder


def _stored(value):
    if not isinstance(value, Image.Image):
        return value
    buffer = io.BytesIO()
    value.save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": "picture.png"}
