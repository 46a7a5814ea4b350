"""Fine-tuning on records of one's own: low-rank adapters (LoRA, by PEFT) in the ordinary loop.

The model stays as it was loaded, in whatever number format; what is trained are the adapters of the language model's
linear layers, and on demand the projector.
"""

from pathlib import Path
from typing import Any

from accelerate.utils import set_seed

from oryx.errors import MissingResource
from oryx.model.modeling import OryxForConditionalGeneration

LINEAR_LAYERS = r"language_model\..*_proj"
"""Names of the layers that get an adapter, as a regular expression: all linear ones of a Qwen2 or Llama."""


def add_adapters(
    model: OryxForConditionalGeneration, base: str, rank: int, projector: bool = False, seed: int = 0
) -> Any:
    """Put adapters into ``model``, the only parameters that are trained from then on; returns PEFT's model around it.

    ``base``: the model's name or folder, for the adapter's own file; ``projector``: is trained whole beside them.
    Raises MissingResource without PEFT.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingResource('fine-tuning needs PEFT: pip install -e ".[finetune]"') from error
    whole = ["projector"] if projector else None
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LINEAR_LAYERS, modules_to_save=whole)
    model.freeze_vision(True)
    model.config.questions = None  # it learns others
    set_seed(seed)
    tuned = get_peft_model(model, config)
    model.compressor.requires_grad_(False)  # PEFT goes by endings: the compressor's query_projector is none of ours
    config.base_model_name_or_path = base  # PEFT would take it from the configuration, which does not know it
    for parameter in filter(lambda one: one.requires_grad, model.parameters()):
        parameter.data = parameter.data.float()  # what is trained stays float32, as everywhere
    return tuned


def save_adapters(tuned: Any, folder: Path, merged: Path | None = None) -> None:
    """Write the adapters as PEFT does, and with ``merged`` the whole model with them worked in, for ``oryx.load``."""
    tuned.save_pretrained(folder, save_embedding_layers=False)
    if merged is not None:
        model = tuned.merge_and_unload()
        model.to(model.get_input_embeddings().weight.dtype).save_pretrained(merged)
        model.processor.save_pretrained(merged)
