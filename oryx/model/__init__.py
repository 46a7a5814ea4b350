"""The Oryx model. Importing this package registers its classes with transformers' Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText

from oryx.layout import Layout
from oryx.model.config import OryxConfig, OryxVisionConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT, pack_images, patchify

AutoConfig.register(OryxVisionConfig.model_type, OryxVisionConfig)
AutoConfig.register(OryxConfig.model_type, OryxConfig)
AutoModel.register(OryxVisionConfig, OryxViT)
AutoModel.register(OryxConfig, OryxForConditionalGeneration)
AutoModelForCausalLM.register(OryxConfig, OryxForConditionalGeneration)
AutoModelForImageTextToText.register(OryxConfig, OryxForConditionalGeneration)

__all__ = [
    "Layout",
    "OryxConfig",
    "OryxForConditionalGeneration",
    "OryxViT",
    "OryxVisionConfig",
    "pack_images",
    "patchify",
]

import oryx.processing.processor  # noqa: E402, F401  (registers the processor with AutoProcessor)
