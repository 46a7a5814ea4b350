"""The work of the encoder study: one encoder trained, all of them probed, one arm trained and asked.

See :mod:`workbook.studies.encoders.study`, which says what is compared.
"""

from functools import partial
from pathlib import Path

from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from oryx.model.parts import vision_tower
from oryx.model.vit import OryxViT
from oryx.train.checkpoints import module_sha256
from oryx.train.device import compute
from workbook.stages.encoders import load_encoder, train_encoder
from workbook.stages.models import load_siglip, warm_reader
from workbook.stages.stage import Options
from workbook.studies import picture_training
from workbook.studies.base import Progress, Study
from workbook.studies.encoders.arms import ARMS, arm_view, encoders_of
from workbook.studies.encoders.reading import patch_reading, patch_rows, retrieval
from workbook.studies.encoders.robustness import attention_distance, robustness
from workbook.studies.encoders.settings import PART_SCALES, Settings
from workbook.studies.pictures import PictureArm


def train(settings: Settings, name: str, seed: int, folder: Path, progress: Progress) -> None:
    """Train one encoder of a seed into its job's folder."""
    siglip, r = folder.parent / "encoder_siglip", settings.recipe
    options = Options(r.scale, seed, folder, siglip, compute(settings.precision), partial(progress, "train"))
    curve = train_encoder(name, r, options)
    atomic_write_json(folder / f"{name}.json", curve, indent=None)


def encoder_folder(settings: Settings, name: str, seed: int, arms: Path) -> Path:
    """Where the weights of an encoder of a seed lie: in its job's folder among ``arms``, or the shipped ones."""
    return arms / f"encoder_{name}" if settings.trains_encoders(seed) else Study.weights


def load_tower(settings: Settings, name: str, seed: int, arms: Path) -> OryxViT:
    """One encoder of a seed."""
    if settings.scale in PART_SCALES:
        made = arms / f"encoder_{name}" / "model"
        return vision_tower(settings.siglip if name == "siglip" else str(made), settings.patch).eval()
    return load_encoder(name, settings.recipe, encoder_folder(settings, name, seed, arms))


def probe(settings: Settings, seed: int, folder: Path, progress: Progress) -> None:
    """Write ``probes.json``: what the encoders of a seed show without a language model.

    Records with ``probe``, ``encoder``, ``x``, ``value``, ``low``, ``high``, ``n``, ``seed`` and ``split``, and what
    the probe's own docstring names. The pictures depend on the split and their number alone, not on the seed.
    """
    machine, r = compute(settings.precision), settings.recipe
    names, arms = encoders_of(settings.arms), folder.parent
    towers = {name: machine.place(load_tower(settings, name, seed, arms)) for name in names}
    probes = [patch_reading, robustness, attention_distance]
    if not settings.siglip:  # public weights have a tokenizer of their own, which nothing here needs
        captions = machine.place(load_siglip(r, encoder_folder(settings, "siglip", seed, folder.parent)))
        probes.insert(0, partial(retrieval, captions))
    records = []
    for done, one in enumerate(probes, 1):
        records += one(towers, r, settings.split, settings.look_items)
        progress("probe", done, len(probes))
    atomic_write_json(folder / "probes.json", [{**record, "seed": seed, "split": settings.split} for record in records])


def run_arm(
    settings: Settings, arm: str, own: PictureArm, seed: int, folder: Path, base: dict, progress: Progress
) -> None:
    """Train one arm on its encoder and ask it; resumes from checkpoint and rows in ``folder``.

    Language model and projector are the same for every arm of a seed; rows name all encoders of the seed.
    """
    hashes = []
    for name in encoders_of(settings.arms):  # one at a time: a released tower is gigabytes
        loaded = load_tower(settings, name, seed, folder.parent)
        hashes.append(module_sha256(loaded)[:8])
        if name == ARMS[arm][0]:
            tower = loaded
    model = warm_reader(settings.recipe, tower.config, seed, forms=True)
    model.vision_tower = tower
    base = {**base, "weights_hash": "+".join(hashes)}
    picture_training.run_arm(settings, own, model, folder, base, progress)
    if settings.patch_items and (size := ARMS[arm][1]) in ("fixed", "native"):
        # a condition each: pictures without a patch that shows a digit, when squeezed, are missing there alone
        view, of = arm_view(arm, settings.side), (settings.recipe, settings.split, settings.patch_items)
        with RowWriter(folder / "rows.jsonl") as writer:
            rows = ({**base, **row, "condition": f"patches_{size}"} for row in patch_rows(tower, view, *of))
            writer.write(row for row in rows if not writer.has(row))
