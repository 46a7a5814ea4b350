"""The weights that come with the package, without loading them: where they lie and what identifies them. No torch."""

from pathlib import Path

import oryx
from oryx.errors import CheckpointError, MissingResource
from oryx.files import read_json, sha256_file

WEIGHTS = Path(oryx.__path__[0]) / "weights"
"""A folder a scale; ``nano`` is shipped."""


def shared_hash(folder: Path) -> str:
    """One identification of OryxViT and reader in ``folder``: the beginnings of their files' sha256."""
    return "+".join(sha256_file(folder / f"{name}.safetensors")[:16] for name in ("oryxvit", "reader"))


def check_shared(folder: Path) -> None:
    """Raises MissingResource if ``folder`` has no shared weights, CheckpointError if they are not its manifest's."""
    if not (folder / "manifest.json").is_file():
        raise MissingResource(f"the shared weights are not in {folder}: add --from-scratch to train them first")
    stated = read_json(folder / "manifest.json")["sha256"]
    for name in ("oryxvit", "reader"):
        _check_sha256(folder / f"{name}.safetensors", stated[name])


def check_video_reader(folder: Path) -> None:
    """As :func:`check_shared`, for the reader of frames."""
    if not (manifest := folder / "video_reader.json").is_file():
        raise MissingResource(f"no reader of frames in {folder}: add --from-scratch to train it first")
    _check_sha256(folder / "video_reader.safetensors", read_json(manifest)["sha256"])


def _check_sha256(path: Path, expected: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; expected a file of sha256 {expected}")
    if (found := sha256_file(path)) != expected:
        raise CheckpointError(
            f"{path}: expected sha256 {expected}, got {found} of {path.stat().st_size} bytes (truncated or changed?)"
        )
