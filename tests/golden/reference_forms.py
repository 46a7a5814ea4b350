"""The reference's own spellings: its environment variables, and the short names of the goldens."""

from collections.abc import Mapping

from oryx.errors import SettingsError
from oryx.grids import SizeRule
from oryx.layout import SIDES, Layout
from oryx.processing.options import PreprocessOptions

MODALITIES = {
    "image": (Layout.TWO_VIEW, SIDES["image"]),
    "text": (Layout.TWO_VIEW, SIDES["image"]),  # a text sample's dummy images go through the image layout there
    "video": (Layout.VIDEO, SIDES["video"]),
    "video_long": (Layout.VIDEO, SIDES["video_long"]),
}
"""What the public code derives from a modality's name: the layout, and the side of the compressed regions."""
MODEL_NAMES = {
    "layers": "num_hidden_layers",
    "attention_heads": "num_attention_heads",
    "key_value_heads": "num_key_value_heads",
    "projector": "mm_projector_type",
    "vision": "vision_config",
}
TOWER_NAMES = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp_hidden": "intermediate_size",
    "grid": "position_grid",
}


def released_config(stated: Mapping) -> dict:
    """The fields of a released ``config.json`` that a golden's ``model`` stands for."""
    config = {MODEL_NAMES.get(name, name): value for name, value in stated.items()}
    config["model_type"] = f"oryx_{config.pop('kind')}"
    config["vision_config"] = {TOWER_NAMES.get(name, name): value for name, value in config["vision_config"].items()}
    return config


def from_reference_variables(variables: Mapping[str, str | int]) -> PreprocessOptions:
    """The options that the public code's environment variables stand for (docs: ``deviations.md``).

    Without ``LOWRES_RESIZE`` the low view is 384 x 384. Without ``VIDEO_RESIZE``, or without ``VIDEO_MINRES`` where
    frames have no fixed area, video is not configured (the public code crashes there); without ``VIDEO_MINRES``, as
    there, ``MINRES`` does not count. Sizes that the public code refuses are refused. Other variables are ignored.
    Raises SettingsError for a ``BASExSTRIDE`` value or a limit that is none.
    """
    values = {name: str(value) for name, value in variables.items()}
    pad = "PAD2STRIDE" in values

    def limit(name: str, default: int) -> int:
        if not values.get(name, "0").isdigit():
            raise SettingsError(f"{name}: expected a number of pixels, got {values[name]!r}")
        return int(values.get(name, default))

    def rule(name: str, most: int | None, least: int | None, factor: int = 1) -> SizeRule:
        base, times, stride = values[name].partition("x")
        if not (times and base.isdigit() and stride.isdigit()):
            raise SettingsError(f"{name}: expected BASExSTRIDE such as 0x32, got {values[name]!r}")
        return SizeRule(int(stride) * factor, int(base), most, least, pad_to_stride=pad, clamp=False)

    most, least = limit("MAXRES", 1536), limit("MINRES", 0) if "VIDEO_MINRES" in values else 0
    low = rule("LOWRES_RESIZE", most, least) if "LOWRES_RESIZE" in values else SizeRule(32, exact=(384, 384))
    if "HIGHRES_BASE" in values:
        high = rule("HIGHRES_BASE", most, least)
    else:
        high = SizeRule(1, max_side=None, min_side=None, clamp=False)  # the size is left as it is, whatever the limits
    video = video_long = None
    if "VIDEO_RESIZE" in values:
        limits = limit("VIDEO_MAXRES", 1536), limit("VIDEO_MINRES", 0)
        video, video_long = rule("VIDEO_RESIZE", *limits), rule("VIDEO_RESIZE", *limits, factor=2)
        if not video.base and "VIDEO_MINRES" not in values:
            video = video_long = None
    return PreprocessOptions(low, high, video, video_long)
