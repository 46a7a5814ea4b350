"""The language model that all arms of the encoder study start from: it has read pictures in every form.

    python -m workbook.stages.language_model --folder results/runs/shared/nano

The shipped reader knows pictures at native size or squeezed, in one view. An arm that shows it tiles and a thumbnail
would start behind. So it is trained on, on all forms in equal shares, with the shipped OryxViT frozen, which is none of
the encoders that the study compares. What ships lies in ``oryx/weights/nano/language_model.safetensors``, in 8 bits,
and was made by that command.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from oryx.files import atomic_write_json
from oryx.model.config import OryxVisionConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.partition import picture_forms
from oryx.train.checkpoints import load_weights, save_weights
from oryx.train.data import StepBatches
from oryx.train.inputs import picture_inputs
from oryx.train.loop import TrainPlan, train
from oryx.train.losses import answer_loss
from workbook.data.items import generator, training_item
from workbook.stages.recipes import ENCODER_PHASES, RECIPES, Recipe
from workbook.stages.shared import build_reader, load_shared, same_language_model
from workbook.stages.shipped import WEIGHTS, shared_hash

FILE = "language_model.safetensors"


@dataclass(frozen=True)
class FormsPlan:
    """``items`` pictures of each form, ``steps`` of ``batch`` pictures of one form in turn; ``seed`` of the stream."""

    items: int = 1600
    steps: int = 1000
    batch: int = 16
    rate: float = 5e-4
    seed: int = 10_000


def train_language_model(
    plan: FormsPlan, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> OryxForConditionalGeneration:
    """Train the shipped reader on, its encoder frozen, on every form; writes FILE and its manifest into ``folder``."""
    r, phase = RECIPES["nano"], ENCODER_PHASES[-1]
    model = load_shared(r)
    model.freeze_vision(True)
    inputs = []
    for number, form in enumerate(picture_forms(r.side).values()):
        first = number * plan.items
        items = [training_item(plan.seed, first + i, phase.mixture, phase.sizes) for i in range(plan.items)]
        inputs.append(picture_inputs(items, form, r.patch, model))

    def draw(step: int) -> list[tuple[int, int]]:
        """(form, item) of every sample."""
        chosen = generator("forms", plan.seed, step).choice(plan.items, plan.batch, replace=False)
        return [(step % len(inputs), i) for i in chosen.tolist()]

    batches = StepBatches(
        draw,
        lambda samples: inputs[samples[0][0]].batch([i for _, i in samples]),
        plan.steps,
        lambda sample: inputs[sample[0]].targets(sample[1]),
    )
    torch.manual_seed(plan.seed)
    schedule = TrainPlan(plan.steps, plan.rate)
    curve = train(model, batches, answer_loss, schedule, folder / "language_model.pt", progress)
    manifest = {
        "command": "python -m workbook.stages.language_model --folder FOLDER",
        "plan": asdict(plan),
        "reader": shared_hash(WEIGHTS / r.scale),
        "sha256": save_weights(folder / FILE, model.language_model, torch.int8),
        "torch": torch.__version__,
        "curve": curve,
    }
    atomic_write_json(folder / "language_model.json", manifest, indent=None)
    return model


def reader_of_forms(r: Recipe, vision: OryxVisionConfig, seed: int) -> OryxForConditionalGeneration:
    """A model with that language model, if it has the recipe's shape, and all else new; a function of ``seed``.

    Raises CheckpointError if the shipped file is missing or damaged.
    """
    torch.manual_seed(seed)
    model = build_reader(r, vision)
    if same_language_model(r, RECIPES["nano"]):
        load_weights(WEIGHTS / "nano" / FILE, model.language_model)
    return model


def main(arguments: list[str] | None = None) -> None:
    """Command line: train the language model of the encoder study."""
    parser = argparse.ArgumentParser(description="Train the language model that has read pictures in every form.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)

    def show(done: int, total: int) -> None:
        if done % 100 == 0:
            print(f"step {done} of {total}", flush=True)

    train_language_model(FormsPlan(), parsed.folder, show)


if __name__ == "__main__":
    main()
