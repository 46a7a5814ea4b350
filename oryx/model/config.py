"""Configurations of the vision tower and of the whole model. Every width is a setting; defaults are the paper's 7B.

Numbers: reference file ``oryx/model/multimodal_encoder/oryx_vit.py`` (tower) and the released ``config.json`` files.
"""

from transformers import AutoConfig, PretrainedConfig

from oryx.errors import CheckpointError, SettingsError, check_known
from oryx.grids import check_whole
from oryx.layout import VISUAL_TOKEN_ID

STATED = ("compressor", "compressor_dim", "vision_config", "text_config")
TOWER = ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size", "position_grid")
"""What a saved configuration, and the tower's in it, must say: defaults are another model's."""
ACTIVATIONS = ("gelu", "gelu_pytorch_tanh")


class OryxVisionConfig(PretrainedConfig):
    """The vision tower.

    ``position_grid`` is the side of the learned position table (128: made for 2048 pixels). ``hidden_act``: "gelu", the
    exact one, of OryxViT; or "gelu_pytorch_tanh", the approximation that public SigLIP weights were trained with.
    """

    model_type = "oryx_workbook_vision"
    base_config_key = "vision_config"

    hidden_size: int = 1152
    num_hidden_layers: int = 27
    num_attention_heads: int = 16
    intermediate_size: int = 4304
    patch_size: int = 16
    num_channels: int = 3
    position_grid: int = 128
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    hidden_act: str = "gelu"

    def __post_init__(self, **kwargs):
        check_known([self.hidden_act], ACTIVATIONS, "hidden_act")
        check_whole("vision_config: num_attention_heads", self.num_attention_heads)
        if self.hidden_size % self.num_attention_heads:
            raise SettingsError(
                f"vision_config: hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}"
            )
        super().__post_init__(**kwargs)


class AuthorsConfig(PretrainedConfig):
    """Stands for the authors' format, which the Auto classes do not read."""

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        raise CheckpointError("a checkpoint in the authors' format: use oryx.load, or first python -m oryx convert")


class OryxConfig(PretrainedConfig):
    """The whole model.

    Args:
        vision_config: an :class:`OryxVisionConfig` or its dictionary.
        text_config: the configuration of any transformers causal LM, or its dictionary with ``model_type``
            (Qwen2 if absent).
        compressor: name of the compressor, see :func:`oryx.model.connectors.build_compressor`.
        compressor_dim: width of its query and key projections (256 in every released model).
        visual_token_id: the id that stands for one visual in ``input_ids``.
        freeze_vision: the tower gets no gradients, as in the public code (where that cannot be changed).
        tokenizer_model_max_length: a sample is cut to this length after its visuals are expanded; None: never.
        tokenizer_padding_side: on which side the shorter samples of a batch are padded, "right" or "left".
        questions: all that a small model was ever asked in training, of which ``ask`` warns; None: any may be asked.
    """

    model_type = "oryx_workbook"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (Trainer wants a list)
    sub_configs = {"vision_config": OryxVisionConfig, "text_config": AutoConfig}  # noqa: RUF012

    vision_config: OryxVisionConfig | dict | None = None
    text_config: PretrainedConfig | dict | None = None
    compressor: str = "dynamic"
    compressor_dim: int = 256
    visual_token_id: int = VISUAL_TOKEN_ID
    freeze_vision: bool = False
    tokenizer_model_max_length: int | None = None
    tokenizer_padding_side: str = "right"
    questions: list[str] | None = None

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """As transformers' own; raises CheckpointError for one that lacks a field of :data:`STATED`."""
        missing = [name for name in STATED if config_dict.get(name) is None]
        for part, names in {"vision_config": TOWER, "text_config": ("model_type",)}.items():
            missing += [f"{part}.{name}" for name in names if name not in (config_dict.get(part) or {})]
        if missing:
            raise CheckpointError(f"configuration: expected {', '.join(STATED)}; missing: {', '.join(missing)}")
        return super().from_dict(config_dict, **kwargs)

    def __post_init__(self, **kwargs):
        check_known([self.tokenizer_padding_side], ("right", "left"), "tokenizer_padding_side")
        if self.tokenizer_model_max_length is not None:
            check_whole("tokenizer_model_max_length", self.tokenizer_model_max_length, "a positive number or null")
        if not isinstance(self.vision_config, OryxVisionConfig):
            self.vision_config = OryxVisionConfig(**(self.vision_config or {}))
        if not isinstance(self.text_config, PretrainedConfig):
            text = dict(self.text_config or {})
            self.text_config = AutoConfig.for_model(text.pop("model_type", "qwen2"), **text)
        super().__post_init__(**kwargs)
