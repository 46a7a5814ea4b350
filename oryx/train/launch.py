"""How a training is shared by processes and where its progress is kept, as accelerate is configured.

One process, DistributedDataParallel, FSDP2 (every decoder layer and every ``Block`` of OryxViT in shards of its own)
and DeepSpeed's ZeRO stages 1 and 2: files for accelerate's launcher are in ``workflow/accelerate``.
"""

from pathlib import Path
from typing import Any

from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import LoggerType
from torch import nn

from oryx.errors import MissingResource, SettingsError, check_known
from oryx.train.device import Compute


def accelerator_for(plan: Any, compute: Compute, folder: Path | None = None) -> Accelerator:
    """The accelerator of a training with the ``trackers`` of its :class:`oryx.train.loop.TrainPlan`, which may be none.

    ``folder``: where trackers write that keep files. Raises SettingsError for a tracker that accelerate neither knows
    nor was told of (``register_tracker_class``), and for ZeRO stage 3; MissingResource for one without its package.
    """
    check_known(plan.trackers, LOGGER_TYPE_TO_CLASS, "tracker")
    for name in plan.trackers:
        if name in LoggerType and name not in map(str, get_available_trackers()):
            raise MissingResource(f"tracker {name!r} needs a package: pip install {name}")
    accelerator = Accelerator(
        cpu=compute.device.type == "cpu",
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        log_with=list(plan.trackers) or None,
        project_dir=folder,
    )
    if (plugin := accelerator.state.deepspeed_plugin) is not None:
        if plugin.zero_stage > 2:
            raise SettingsError("DeepSpeed: expected ZeRO stage 1 or 2, got 3; for parameters in shards use FSDP2")
        # the loop cuts a step into pieces itself, and has the batch's size in none of its loaders
        plugin.deepspeed_config |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
        plugin.deepspeed_config["gradient_clipping"] = plan.clip
    if plan.trackers:
        accelerator.init_trackers("oryx", {"steps": plan.steps, "learning_rate": plan.learning_rate})
    return accelerator


def layer_names(model: nn.Module) -> list[str]:
    """Classes of the layers of ``model`` that FSDP2 puts into shards of their own, as transformers names them."""
    present = {type(module).__name__ for module in model.modules()}
    named = (getattr(module, "_no_split_modules", None) or () for module in model.modules())
    return sorted(present & {name for names in named for name in names})
