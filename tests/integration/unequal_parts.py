"""Training steps in which one process reads its share of the batch in more parts than another."""

from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file

from oryx.layout import Layout
from oryx.train.batches import text_batch
from oryx.train.loop import TrainPlan, train
from workbook.stages.recipes import recipe
from workbook.stages.shared import build_reader

QUESTIONS = ("a", "b", "c", "d")
PARTS = {1: [[[0, 1, 2, 3]]], 2: [[[0, 1]], [[2], [3]]]}
"""Number of processes -> the samples of each forward pass of each process."""


def main(file: Path) -> None:
    """Three steps on pictures of 2 x 2 patches, compressor at side 1: its queries and keys get no gradient.

    The first process writes the trained weights.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, patches = build_reader(recipe("smoke", text_layers=2)), torch.randn(4, 3 * 8 * 8)
    state = PartialState(cpu=True)
    parts = PARTS[state.num_processes][state.process_index]

    def loss_of(model, step: int) -> torch.Tensor:
        losses = []
        for own in parts:
            batch = {
                **text_batch([QUESTIONS[i] for i in own], ["yes"] * len(own)),
                "pixel_patches": patches.repeat(len(own), 1),
                "image_grids": torch.tensor([[2, 2]] * len(own)),
                "visual_spec": torch.tensor([[Layout.ONE_VIEW, 1, 1]] * len(own)),
            }
            losses.append(model(**batch).loss * len(own))
        return sum(losses) * state.num_processes / len(QUESTIONS)

    train(model, loss_of, TrainPlan(3, 1e-3))
    print(f"process {state.process_index} of {state.num_processes}: {len(parts)} parts", flush=True)
    if state.is_main_process:
        save_file({name: p.detach().clone() for name, p in model.named_parameters()}, file)
