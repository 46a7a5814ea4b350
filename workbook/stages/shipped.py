"""The weights that come with the package, without loading them: where they lie and what identifies them. No torch."""

from collections.abc import Sequence
from pathlib import Path

import oryx
from oryx.errors import CheckpointError, MissingResource
from oryx.files import read_json, sha256_file

WEIGHTS = Path(oryx.__path__[0]) / "weights"
"""A folder a scale; ``nano`` is shipped."""
SHARED = ("oryxvit", "reader")


def weights_hash(folder: Path, names: Sequence[str] = SHARED) -> str:
    """One identification of the weights ``names`` in ``folder``: the beginnings of their files' sha256."""
    return "+".join(sha256_file(folder / f"{name}.safetensors")[:16] for name in names)


def check(folder: Path, names: Sequence[str] = SHARED) -> None:
    """Raises MissingResource if ``folder`` lacks the weights ``names``, CheckpointError if they are not its manifest's.

    A manifest is that of the folder, or has the name of the weights.
    """
    for name in names:
        own = folder / f"{name}.json"
        manifest = own if own.is_file() else folder / "manifest.json"
        stated = read_json(manifest)["sha256"] if manifest.is_file() else {}
        if not (expected := stated if isinstance(stated, str) else stated.get(name)):
            raise MissingResource(f"the shared weights are not in {folder}: add --from-scratch to train them first")
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; expected a file of sha256 {expected}")
        if (found := sha256_file(path)) != expected:
            size = path.stat().st_size
            raise CheckpointError(
                f"{path}: expected sha256 {expected}, got {found} of {size} bytes (truncated or changed?)"
            )
