"""Files of Hugging Face repositories, from the local cache or fetched."""

from collections.abc import Sequence
from pathlib import Path

from oryx.errors import MissingResource


def from_hub(repository: str, wanted: str | Sequence[str]) -> Path:
    """One file of a repository, or the folder of those that fit several patterns.

    Raises MissingResource naming what was wanted.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    try:
        if isinstance(wanted, str):
            return Path(hf_hub_download(repository, wanted))
        return Path(snapshot_download(repository, allow_patterns=list(wanted)))
    except (OSError, ValueError) as error:  # as the hub's own errors are
        what = f"{repository}/{wanted}" if isinstance(wanted, str) else repository
        raise MissingResource(
            f"{what}: neither a local folder nor in the Hugging Face cache, and it could not be fetched: {error}"
        ) from error
