"""``oryx.convert``: a checkpoint of the authors becomes a folder of ours that the Auto classes load."""

import os
import shutil
from pathlib import Path

from oryx.errors import CheckpointError, RunError, SettingsError
from oryx.model.loading import load
from oryx.model.vit import OryxViT


def convert(source: str | Path, target: str | Path) -> Path:
    """Write ``source``, whatever :func:`oryx.model.loading.load` takes, as the new folder ``target``; returns it.

    The folder has weights in their stored number format, processor, and the code that loads them where this package is
    not installed (:mod:`oryx.remote_code`). It appears whole or not at all.

    Raises:
        SettingsError: ``target`` exists already.
        CheckpointError: a defect of the source, see :func:`oryx.model.loading.load`; no tokenizer; an encoder alone.
        RunError: the folder cannot be written.
    """
    target = Path(target)
    if target.exists():
        raise SettingsError(f"{target}: expected the name of a new folder, there is something already")
    model = load(source)
    if isinstance(model, OryxViT) or model.processor is None:
        lacking = "an encoder alone" if isinstance(model, OryxViT) else "no tokenizer (tokenizer.json or vocab.json)"
        raise CheckpointError(f"{source}: expected a whole model with its tokenizer, got {lacking}")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        model.save_pretrained(unfinished)
        model.processor.save_pretrained(unfinished, with_code=True)
        os.replace(unfinished, target)
    except OSError as error:
        raise RunError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target
