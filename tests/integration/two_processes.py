"""What two processes train in the tests, one after the other, so that both load torch once.

accelerate launch --num_processes 2 -m tests.integration.two_processes FOLDER
"""

import sys
import time
from pathlib import Path

import torch

from oryx.train import stages
from oryx.train.checkpoints import save_weights
from oryx.train.device import process
from workbook.stages.registry import main as train_part


def save_late(path: Path, *arguments) -> None:
    """Write weights after a while: another process that reads them without waiting finds none."""
    time.sleep(0.5)
    save_weights(path, *arguments)


def main(folder: Path) -> None:
    """SigLIP, OryxViT and reader of smoke, and the encoders of smoke."""
    torch.set_num_threads(1)
    state = process()
    stages.save_weights = save_late if state.num_processes > 1 else save_weights
    train_part(["shared", "--scale", "smoke", "--folder", str(folder)])
    state.wait_for_everyone()
    train_part(["encoders", "--scale", "smoke", "--folder", str(folder / "encoders")])
    print(f"process {state.process_index} of {state.num_processes}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
