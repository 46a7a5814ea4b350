"""The Oryx model. Importing this package registers its classes with transformers' Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from oryx.layout import Layout
from oryx.model.config import AuthorsConfig, OryxConfig, OryxVisionConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT
from oryx.processing.processor import OryxProcessor

AutoConfig.register(OryxVisionConfig.model_type, OryxVisionConfig)
AutoConfig.register(OryxConfig.model_type, OryxConfig)
for kind in ("oryx_qwen", "oryx_llama"):
    AutoConfig.register(kind, type(kind, (AuthorsConfig,), {"model_type": kind}))
AutoModel.register(OryxVisionConfig, OryxViT)
AutoModel.register(OryxConfig, OryxForConditionalGeneration)
AutoModelForCausalLM.register(OryxConfig, OryxForConditionalGeneration)
AutoModelForImageTextToText.register(OryxConfig, OryxForConditionalGeneration)
AutoProcessor.register(OryxConfig, OryxProcessor)

__all__ = ["Layout", "OryxConfig", "OryxForConditionalGeneration", "OryxProcessor", "OryxViT", "OryxVisionConfig"]
