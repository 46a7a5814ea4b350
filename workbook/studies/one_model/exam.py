"""Asking the one model about held-out items of everything it learned, with and without what there is to see.

Pictures are the items of study 1, films those of study 3, needles those of study 4, under the same ids, so that the
models that those studies trained for one purpose can be compared on the same items (``unification.py``).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import isqrt
from pathlib import Path

import torch

from oryx.eval.features import FrameTokens
from oryx.eval.generate import ask, read_videos, without_video
from oryx.eval.pictures import ask_pictures
from oryx.evidence.rows import SCHEMA, read_rows, write_rows_xz
from oryx.evidence.stats import summary
from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_text, sha256_file
from oryx.grids import video_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.resolution import Resolution
from oryx.train.inputs import PictureInputs
from workbook.data.corpora import data_hash
from workbook.data.items import evaluation_items
from workbook.data.needles import NUMBERS, make_trial
from workbook.data.object_tasks import OBJECT_TASKS
from workbook.data.pictures import PictureSizes
from workbook.data.scenes import CHANCE, KINDS, VIEWS, make_scene
from workbook.data.stories import LENGTHS, QUESTIONS, chance, make_story
from workbook.data.text_tasks import TEXT_TASKS
from workbook.studies.one_model.streams import CLIP_SIZE, PATCH, AtSide, encoded_frames, encoded_pixels, scene_frames

STUDY, ARM = "one_model", "nano"
ROWS = "rows.columns.jsonl.xz"
DATA = ("fonts", "words", "icons", "clipart", "photos", "clips", "glosses", "tables")
LEFT_OUT = ("area_ratio", "aspect", "orientation", "size_bin", "picture_size", "sizes", "seconds", "logprob")
"""Fields of a row that are not published: half of the file, and found again from the item."""

AT_ONCE = 24
"""Films read at once."""


@dataclass(frozen=True)
class Exam:
    """Which held-out items are asked, and how many.

    ``film_sides``: sides of the frames in pixels; 32 is study 3's, 64 what the model's own rule makes of the files.
    ``needles``: (frames, depths, trials a depth).
    """

    split: str = "report"
    ratios: tuple[int, ...] = (1, 4, 16)
    text_items: int = 150
    object_items: int = 300
    films: tuple[tuple[str, int], ...] = (("short", 80), ("long", 48))
    film_sides: tuple[int, ...] = (32, 64)
    scenes: int = 120
    scene_side: int = 64
    needles: tuple[tuple[int, tuple[float, ...], int], ...] = (
        (16, (0.0, 0.5, 1.0), 20),
        (50, (0.0, 0.25, 0.5, 0.75, 1.0), 20),
    )
    needle_ratios: tuple[int, ...] = (4, 16)

    @property
    def hash(self) -> str:
        """12 hex digits over everything that is asked."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


SMOKE_EXAM = Exam("dev", (1, 16), 2, 2, (("short", 2), ("long", 1)), (32,), 2, 32, ((16, (0.5,), 2),), (16,))


class Examiner:
    """Asks ``model`` and writes rows; ``folder`` keeps films and rows, so an exam that was stopped goes on."""

    def __init__(self, exam: Exam, model: OryxForConditionalGeneration, folder: Path, writer: RowWriter):
        self.exam, self.model, self.writer = exam, model, writer
        self.blind: set[tuple[str, ...]] = set()
        self.films = folder / "cache" / "held-out"
        self.base = {
            "schema": SCHEMA,
            "study": STUDY,
            "arm": ARM,
            "seed": 0,
            "settings_hash": exam.hash,
            "weights_hash": sha256_file(folder / "model.safetensors")[:16],
            "data_hash": data_hash(DATA),
        }

    def pictures(self) -> None:
        """Every picture task of study 1 at its own size and every ratio, then without the picture."""
        for task in (*TEXT_TASKS, *OBJECT_TASKS):
            count = self.exam.object_items if task in OBJECT_TASKS else self.exam.text_items
            items = evaluation_items(task, self.exam.split, count, PictureSizes())
            inputs = PictureInputs(items, Resolution("native"), PATCH, self.model)
            for ratio in self.exam.ratios:
                for condition in self._conditions("pictures", task):
                    base = {**self.base, "condition": condition, "group": "pictures", "ratio": ratio, "kind": task}
                    own = AtSide(inputs, isqrt(ratio))
                    own.items = [replace(item, id=f"{item.id}/{ratio}x", task=f"{task}_{ratio}x") for item in items]
                    ask_pictures(self.model, own, base, condition == "visual", self.writer)

    def stories(self) -> None:
        """Every question of study 3 about its films."""
        for length, count in self.exam.films:
            films = [make_story(self.films, self.exam.split, length, i) for i in range(count)]
            for side in self.exam.film_sides:
                shown = [encoded_frames(self.model, [film.path], (side, side)) for film in films]
                for ratio in self.exam.ratios:
                    if video_token_count(LENGTHS[length], (side // PATCH, side // PATCH)) > 1024 * ratio:
                        continue  # longer than anything that was trained on
                    for kind in QUESTIONS:
                        asked = [i for i, film in enumerate(films) if kind in film.facts]
                        self._films(
                            [shown[i] for i in asked],
                            [QUESTIONS[kind]] * len(asked),
                            [films[i].facts[kind] for i in asked],
                            ratio,
                            [
                                {
                                    "item": f"{films[i].id}/{kind}/{side}px/{ratio}x",
                                    "cluster": films[i].id,
                                    "chance": chance(kind, self.exam.split),
                                    "task": f"{length}_{side}px_{kind}_{ratio}x",
                                    "group": f"{length} films, {side} px",
                                    "kind": kind,
                                }
                                for i in asked
                            ],
                        )

    def scenes(self) -> None:
        """Every question about views of scenes."""
        scenes = [make_scene(self.exam.split, i) for i in range(self.exam.scenes)]
        side = self.exam.scene_side
        grid = (side // PATCH, side // PATCH)
        shown = [
            FrameTokens(encoded_pixels(self.model, scene_frames(scene.views, (side, side))), grid) for scene in scenes
        ]
        for ratio in self.exam.ratios:
            for kind in KINDS:
                asked = [i for i, scene in enumerate(scenes) if kind in scene.facts]
                self._films(
                    [shown[i] for i in asked],
                    [QUESTIONS[kind]] * len(asked),
                    [scenes[i].facts[kind] for i in asked],
                    ratio,
                    [
                        {
                            "item": f"{scenes[i].id}/{kind}/{ratio}x",
                            "cluster": scenes[i].id,
                            "chance": CHANCE[kind],
                            "task": f"scene_{kind}_{ratio}x",
                            "group": f"{VIEWS} views of a scene",
                            "kind": kind,
                        }
                        for i in asked
                    ],
                )

    def needles(self) -> None:
        """One card among many frames: trials of study 4 as complete files."""
        for frames, depths, count in self.exam.needles:
            trials = [
                make_trial(self.exam.split, "number", frames, d, i, CLIP_SIZE) for d in depths for i in range(count)
            ]
            shown = []
            for trial in trials:
                made = trial.file(self.films / "needles")
                shown.append(encoded_frames(self.model, [made.path], CLIP_SIZE))
                made.path.unlink()
                made.path.with_suffix(".json").unlink()
            for ratio in self.exam.needle_ratios:
                for question in sorted({trial.needle.question for trial in trials}):
                    asked = [i for i, trial in enumerate(trials) if trial.needle.question == question]
                    self._films(
                        [shown[i] for i in asked],
                        [question] * len(asked),
                        [trials[i].needle.answer for i in asked],
                        ratio,
                        [
                            {
                                "item": f"{trials[i].id}/{ratio}x",
                                "cluster": f"{self.exam.split}-haystack-{trials[i].haystack}",
                                "chance": 1 / NUMBERS,
                                "task": f"needle_{frames}_{ratio}x",
                                "group": f"needle in {frames} frames",
                                "kind": "needle",
                            }
                            for i in asked
                        ],
                    )

    @torch.inference_mode()
    def _films(
        self, films: Sequence[FrameTokens], questions: Sequence[str], truths: Sequence[str], ratio: int,
        named: Sequence[dict],
    ) -> None:  # fmt: skip
        conditions = self._conditions(named[0]["group"], named[0]["kind"], questions[0]) if films else ()
        for start in range(0, len(films), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            compressed = [
                FrameTokens(*self.model.compressor(film.tokens.float(), film.grid, isqrt(ratio)))
                for film in films[part]
            ]
            for condition in conditions:
                seen = condition == "visual"
                read = read_videos(self.model, compressed) if seen else without_video(self.model, len(compressed))
                answers, likelihoods = ask(read, questions[part], truths[part])
                tokens = video_token_count(len(compressed[0]), compressed[0].grid) if seen else 0
                self._write(
                    {
                        **self.base,
                        **name,
                        "condition": condition,
                        "split": self.exam.split,
                        "ratio": ratio,
                        "question": question,
                        "truth": truth,
                        "answer": answer,
                        "score": float(answer == truth),
                        "logprob": likelihood,
                        "visual_tokens": tokens,
                        "frames": len(compressed[0]) if seen else 0,
                        "error": None,
                    }
                    for name, question, truth, answer, likelihood in zip(
                        named[part], questions[part], truths[part], answers, likelihoods, strict=True
                    )
                )

    def _conditions(self, *asked: str) -> tuple[str, ...]:
        """With nothing to see every ratio is the same question: it is asked at the first only."""
        if asked in self.blind:
            return ("visual",)
        self.blind.add(asked)
        return "visual", "no_visual"

    def _write(self, rows: Iterator[dict]) -> None:
        self.writer.write(row for row in rows if not self.writer.has(row))


def write_scores(
    exam: Exam, model: OryxForConditionalGeneration, folder: Path, say: Callable[[str], None] = lambda what: None
) -> None:
    """Ask everything; writes ``rows.columns.jsonl.xz`` and ``scores.csv`` (a line per task) into ``folder``."""
    path = folder / f"rows-{exam.split}.jsonl"
    with RowWriter(path) as writer:
        examiner = Examiner(exam, model, folder, writer)
        for part in (examiner.pictures, examiner.stories, examiner.scenes, examiner.needles):
            say(f"asking about {part.__name__}")
            part()
    rows = read_rows(path)
    rows = rows[rows["weights_hash"] == examiner.base["weights_hash"]]
    write_rows_xz(rows.drop(columns=list(LEFT_OUT), errors="ignore"), folder / ROWS)
    atomic_write_text(folder / "scores.csv", score_lines(rows).to_csv(index=False, float_format="%.4f"))


def score_lines(rows) -> "pd.DataFrame":  # noqa: F821
    """One line per task: score with interval, n, chance, the most frequent truth's share, the blind control."""
    found = summary(rows)
    seen = found[found["condition"] == "visual"].set_index("task")
    blind = rows[rows["condition"] == "no_visual"].groupby(["group", "kind"])["score"].mean().rename("blind")
    about = rows.drop_duplicates("task").set_index("task")[["group", "kind", "ratio"]]
    tokens = rows[rows["condition"] == "visual"].groupby("task")["visual_tokens"].mean().rename("visual_tokens")
    kept = seen[["score", "low", "high", "n_items", "chance", "majority"]].rename(columns={"n_items": "n"})
    lines = about.join(kept).join(tokens).reset_index().join(blind, on=["group", "kind"])
    return lines.sort_values(["group", "kind", "ratio"], kind="stable")
