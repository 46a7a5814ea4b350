"""Oryx workbook: the Oryx model, and the studies that test its paper's claims.

Importing this package loads nothing heavy: names below are fetched on first use, so the evidence and report
layers work on a machine without torch.

The import name is shared with the authors' repository (``Oryx-mllm/Oryx``) and with an unrelated package on
PyPI. ``oryx.DISTRIBUTION`` tells them apart; ``python -m oryx doctor`` checks it.
"""

from importlib import import_module

DISTRIBUTION = "oryx-workbook"
__version__ = "0.1.0"

_LAZY = {
    **dict.fromkeys(("Images", "Video", "Views", "convert", "load"), "oryx.api"),
    **dict.fromkeys(("OryxConfig", "OryxForConditionalGeneration", "OryxProcessor", "OryxViT"), "oryx.model"),
    "Collator": "oryx.processing.collate",
}
__all__ = ["DISTRIBUTION", "__version__", "register", *_LAZY]


def register() -> None:
    """Make transformers' Auto classes know the model, as does touching any of its classes or loading one."""
    import_module("oryx.model")


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'oryx' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
