"""Training steps whose batch falls into more groups of like length on one process than on another.

    [python -m torch.distributed.run --nproc-per-node 2] unequal_groups.py FILE

writes the trained weights. One question is hundreds of bytes longer than the others.
"""

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file

from oryx.model.layout import Layout
from oryx.training import batches
from oryx.training.loop import TrainPlan, train
from oryx.training.recipes import recipe
from oryx.training.shared import build_reader

QUESTIONS = ("a", "b", "c", "d" * 900)


def main(file: Path) -> None:
    """Three steps on pictures of 2 x 2 patches, compressor at side 1: its queries and keys get no gradient."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_reader(recipe("smoke", text_layers=2))
    patches = torch.randn(4, 3 * 8 * 8)
    groups = []

    def batch_of(chosen: list[int]) -> dict[str, torch.Tensor]:
        return {
            **batches.text_batch([QUESTIONS[i] for i in chosen], ["yes"] * len(chosen)),
            "pixel_patches": patches.repeat(len(chosen), 1),
            "image_grids": torch.tensor([[2, 2]] * len(chosen)),
            "visual_spec": torch.tensor([[Layout.ONE_VIEW, 1, 1]] * len(chosen)),
        }

    def loss_of(model, step: int) -> torch.Tensor:
        lengths = [len(question) for question in QUESTIONS]
        state = PartialState(cpu=True)
        own = batches.share_of(state.process_index, state.num_processes, lengths)
        groups.append(len(batches.length_groups([lengths[i] for i in own])))
        return batches.loss_by_length(model, lengths, batch_of)

    train(model, loss_of, TrainPlan(3, 1e-3))
    state = PartialState()
    print(f"process {state.process_index} of {state.num_processes}: {groups[0]} groups", flush=True)
    if state.is_main_process:
        save_file({name: p.detach().clone() for name, p in model.named_parameters()}, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
