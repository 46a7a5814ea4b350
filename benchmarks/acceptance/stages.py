"""The stages one after the other under bfloat16, each from the model that the one before has written; one resumed."""

import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from transformers import Qwen2Config, Qwen2ForCausalLM, SiglipVisionConfig, SiglipVisionModel

import oryx
from benchmarks.acceptance.bench import Bench, forget_devices
from oryx.files import atomic_write_json
from oryx.model.parts import assemble
from oryx.processing.tokenizers import byte_tokenizer
from oryx.train.datasets import read_records
from oryx.train.device import compute
from oryx.train.records import Record
from oryx.train.stages import STAGES, StagePlan, train_on_records

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}
KINDS = ("image", "views", "video")
FRAMES = 4


class Stop(Exception):
    """The training is ended from outside."""


def public_parts(folder: Path, tiny: bool) -> tuple[str, str]:
    """A SigLIP and a language model with its tokenizer, random, as public weights lie on disk."""
    width, layers = (32, 1) if tiny else (512, 6)
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers}
    sizes["num_attention_heads"] = width // 16
    tokenizer, places = byte_tokenizer(), (folder / "siglip", folder / "language_model")
    SiglipVisionModel(SiglipVisionConfig(**sizes, image_size=64, patch_size=16)).save_pretrained(places[0])
    text = {**sizes, "num_key_value_heads": width // 32, "max_position_embeddings": 8192}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **text)).save_pretrained(places[1])
    tokenizer.save_pretrained(places[1])
    return tuple(map(str, places))


def records_of(folder: Path, count: int) -> list[Record]:
    """Pictures, several views and folders of frames in turn, in one of two colours that is asked for."""
    folder.mkdir()
    found = []
    for number in range(count):
        colour, kind = list(COLOURS)[number % 2], KINDS[number % 3]
        files = [f"{number}/{place}.png" for place in range(1 if kind == "image" else FRAMES)]
        (folder / str(number)).mkdir()
        for file in files:
            Image.new("RGB", (96 + 32 * (number % 5), 96), COLOURS[colour]).save(folder / file)
        visual = {"image": files[0], "views": files, "video": str(number)}[kind]
        turns = [{"from": "human", "value": "<image>\nhue"}, {"from": "gpt", "value": colour}]
        found.append({"id": number, kind: visual, "conversations": turns})
    return read_records(atomic_write_json(folder / "records.json", found))


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of them on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def run_in(bench: Bench, folder: Path) -> None:
    """Every stage, then ``sft`` again, stopped in its midst and resumed."""
    forget_devices()
    torch.manual_seed(0)
    machine, records = compute("bf16"), records_of(folder / "records", 12 if bench.tiny else 96)
    steps, batch = (4, 4) if bench.tiny else (40, 16)
    plan = StagePlan(steps=steps, batch=batch, rate=1e-3, sides={"image": 2}, checkpoint_seconds=-1, workers=0)
    model, curves = assemble(*public_parts(folder, bench.tiny), position_grid=16), {}
    for name, stage in STAGES.items():
        before = weights(model)
        with bench.peak_memory() as peak:
            curves[name] = train_on_records(stage, model, records, plan, folder / name, machine)
            held = peak()
        after, start = weights(model), f"{name}/model"
        moved = {key.partition(".")[0] for key, value in before.items() if not torch.equal(value, after[key])}
        model = oryx.load(folder / start)
        kept = all(torch.equal(value, after[key]) for key, value in weights(model).items())
        losses = [point["loss"] for point in curves[name]]
        bench.check(
            f"stage {name}", moved == set(stage.trains) and kept and bool(torch.tensor(losses).isfinite().all()),
            f"loss {losses[0]:.2f} to {losses[-1]:.2f}, moved {', '.join(sorted(moved))}, {held:.1f} GB", losses=losses,
        )  # fmt: skip

    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise Stop

    aligned = folder / "align/model"
    try:
        train_on_records(STAGES["sft"], oryx.load(aligned), records, plan, folder / "again", machine, stop)
    except Stop:
        # the checkpoint of the point at which it was stopped is not written: it goes on from the one before
        resumed = train_on_records(STAGES["sft"], oryx.load(aligned), records, plan, folder / "again", machine)
        apart = max(abs(a["loss"] - b["loss"]) / b["loss"] for a, b in zip(resumed, curves["sft"], strict=True))
        bench.check("stage sft: resumed against undisturbed", apart < 0.02, f"losses {apart:.1e} apart (< 2 %)")
    else:
        bench.check("stage sft: stopped", False, "it was not stopped")


def run(bench: Bench) -> None:
    """The part."""
    with tempfile.TemporaryDirectory() as name:
        run_in(bench, Path(name))
