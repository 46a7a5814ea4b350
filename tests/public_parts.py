"""What scale ``small`` is given: tiny public parts, records in public formats, and six-item copies of benchmarks."""

import io
import json
from pathlib import Path

import datasets
import torch
from transformers import AutoModelForCausalLM

from oryx.processing import chat
from oryx.processing.processor import load_tokenizer
from tests.benchmark_copies import COPIES, NAMES, make_video, picture
from tests.parts import write_language_model, write_siglip

CAULDRON = {
    "images": datasets.Sequence(datasets.Image(decode=True)),
    "texts": [
        {"user": datasets.Value("string"), "assistant": datasets.Value("string"), "source": datasets.Value("string")}
    ],
}
"""Columns of The Cauldron."""
RECORDS = 6


def write_short_answers(folder: Path) -> str:
    """A tiny language model that answers shortly, as trained ones do: letters and the end are likelier than others."""
    write_language_model(folder)
    model, stops = AutoModelForCausalLM.from_pretrained(folder), chat.stop_ids(load_tokenizer(folder), "qwen")
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 2.0
        model.lm_head.weight[[*b"ABCD", *stops], 0] = 2.0
    model.save_pretrained(folder)
    return str(folder)


def write_cauldron(path: Path, records: int = RECORDS) -> str:
    """Records of pictures as The Cauldron has them, in one parquet file; the last has an answer that is too long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(records):
        buffer = io.BytesIO()
        picture(number).save(buffer, "PNG")
        answer = f"It is {NAMES[number % 4]}." + " very" * 2000 * (number == records - 1)
        said = {"user": "Which colour is it?", "assistant": answer, "source": "invented"}
        rows.append({"images": [{"bytes": buffer.getvalue(), "path": None}], "texts": [said]})
    table = datasets.Dataset.from_list(rows, features=datasets.Features(CAULDRON))
    table.to_parquet(path)
    return str(path)


def write_films(folder: Path, records: int = RECORDS) -> str:
    """Records of videos in LLaVA's format, the files beside them."""
    found = []
    for number in range(records):
        make_video(folder / f"{number}.mp4", number)
        said = {"human": "<image>\nWhich colour comes first?", "gpt": NAMES[number % 4]}
        turns = [{"from": speaker, "value": value} for speaker, value in said.items()]
        found.append({"id": f"film {number}", "video": f"{number}.mp4", "conversations": turns})
    path = folder / "data.json"
    path.write_text(json.dumps(found))
    return str(path)


def write_public(folder: Path) -> dict:
    """Everything, and the settings that name it: few records, few steps."""
    for name in ("ocrbench", "mmbench", "videomme", "mlvu"):
        COPIES[name](folder / "copies" / name)
    records = write_cauldron(folder / "cauldron" / "train.parquet")
    few = {"stage_steps": "1,1,2,2", "stage_batch": 4, "accumulate": 2, "longest": 2000, "most_side": 128, "items": 2}
    return few | {
        "siglip": write_siglip(folder / "siglip"),
        "language_model": write_short_answers(folder / "language_model"),
        **dict.fromkeys(("pretrain", "align", "sft"), records),
        "joint": f"{records},{write_films(folder / 'films')}",
        "data": str(folder / "copies"),
    }
