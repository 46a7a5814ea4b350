"""The device and the number format of a training or an evaluation: jobs ask here, and nowhere else.

What starts jobs does without torch: which GPU a worker sees, and what a manifest says beforehand, is found in
``workbook/runs``.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import PartialState, dispatch_model, infer_auto_device_map
from torch import nn

from oryx.errors import MissingResource, check_known
from oryx.model.loading import load
from oryx.model.modeling import OryxForConditionalGeneration

PRECISIONS = ("auto", "fp32", "bf16")
GPU_WORKERS = 4
"""DataLoader workers that draw pictures beside a GPU; beside a CPU drawing and training would share its cores."""


@dataclass(frozen=True)
class Compute:
    """What one process computes with.

    Attributes:
        device: the process's own GPU, or the CPU.
        precision: "fp32" or "bf16". Weights in training stay float32 either way; "bf16" is the format of matrix
            products and attention under :meth:`autocast`, which is what the variable-length attention kernel takes.
    """

    device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The format in which released weights are loaded for inference."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @property
    def workers(self) -> int:
        """How many DataLoader workers draw the batches of a training that draws pictures."""
        return GPU_WORKERS if self.device.type == "cuda" else 0

    def autocast(self) -> AbstractContextManager:
        """The context under which models run, in training and in inference."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def place(self, model: nn.Module) -> nn.Module:
        """``model``, moved to the device."""
        return model.to(self.device)


def process() -> PartialState:
    """This process among those that train together (accelerate): its number, how many there are, its device."""
    return PartialState(cpu=not torch.cuda.is_available())


def compute(precision: str = "auto") -> Compute:
    """What this process computes with: its GPU where there is one, of several processes (accelerate) each its own.

    "auto" is bf16 on CUDA and fp32 on a CPU. Raises SettingsError for another name than PRECISIONS.
    """
    check_known([precision], PRECISIONS, "precision")
    device = process().device
    automatic = "bf16" if device.type == "cuda" else "fp32"
    return Compute(device, automatic if precision == "auto" else precision)


def load_whole(
    checkpoint: str, machine: Compute, all_gpus: bool = True, **context: Any
) -> OryxForConditionalGeneration:
    """A checkpoint to be asked, loaded in the machine's number format with its tokenizer, on the GPU if there is one.

    Each of several processes has its own GPU; one process takes all that there are, unless ``all_gpus`` is False.
    ``context``: as of :func:`oryx.load`, whose errors are raised; also MissingResource without a tokenizer.
    """
    spread = all_gpus and process().num_processes == 1 and torch.cuda.device_count() > 1
    model = load(checkpoint, dtype=machine.dtype, device="cpu" if spread else machine.device, **context)
    if getattr(model, "processor", None) is None:
        raise MissingResource(f"{checkpoint}: expected a whole model with its tokenizer beside the weights")
    if not spread:
        return model
    whole = ["Block", *(model.language_model._no_split_modules or [])]
    return dispatch_model(model, infer_auto_device_map(model, no_split_module_classes=whole))
