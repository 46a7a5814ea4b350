"""The weights that come with the package, without loading them: where they lie and what identifies them. No torch."""

from pathlib import Path

from oryx.evidence.files import sha256_file

WEIGHTS = Path(__file__).parents[1] / "weights"
"""A folder a scale; ``nano`` is shipped."""


def shared_hash(folder: Path) -> str:
    """One identification of OryxViT and reader in ``folder``: the beginnings of their files' sha256."""
    return "+".join(sha256_file(folder / f"{name}.safetensors")[:16] for name in ("oryxvit", "reader"))
