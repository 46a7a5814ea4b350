"""Probes of encoders, without a language model: what is read from them, and what size and shape do to them."""

from collections.abc import Callable, Mapping

from transformers import SiglipModel

from oryx.errors import SettingsError
from oryx.model.vit import OryxViT
from workbook.stages.recipes import Recipe
from workbook.studies.encoders.reading import patch_reading, retrieval
from workbook.studies.encoders.robustness import attention_distance, robustness

PROBES = (
    "retrieval",
    "retrieval rank",
    "patch reading",
    "similarity by area",
    "match by area",
    "similarity by aspect",
    "match by aspect",
    "attention distance",
)
DISTANCE_SHARE = 8
"""Attention weights are large and differ little between pictures: one picture in so many is enough."""


def probe_encoders(
    towers: Mapping[str, OryxViT],
    siglip: SiglipModel | None,
    r: Recipe,
    seed: int,
    split: str,
    items: int = 200,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict]:
    """All probes of ``towers`` (encoder -> tower) on pictures of a held-out split.

    The pictures depend on ``split`` and ``items`` alone; what linear maps are fitted on comes from the training split.

    Args:
        siglip: gives the captions' embeddings, and its own head as a reference; None leaves retrieval out (public
            weights have another tokenizer than the recipe's bytes).
        seed: that of the encoders; noted in every record.
        items: pictures per probe (retrieval: draws per family of captions; attention distance: a fraction).

    Returns:
        Records with ``look`` (one of PROBES), ``encoder``, ``x``, ``value``, ``low``, ``high``, ``n``, ``seed`` and
        ``split``, and what the probe's own docstring names; JSON types only.

    Raises:
        SettingsError: the training split, or a tower whose patches are not the recipe's.
    """
    if split not in ("dev", "report"):
        raise SettingsError(f"split: expected dev or report, got {split!r}")
    for name, tower in towers.items():
        if tower.config.patch_size != r.patch:
            raise SettingsError(f"encoder {name}: expected patches of {r.patch} pixels, got {tower.config.patch_size}")
    steps: list[Callable[[], list[dict]]] = [
        lambda: patch_reading(towers, r, split, items),
        lambda: robustness(towers, r, split, items),
        lambda: attention_distance(towers, r, split, max(6, items // DISTANCE_SHARE)),
    ]
    if siglip is not None:
        steps.insert(0, lambda: retrieval(towers, siglip, r, split, items))
    records = []
    for done, step in enumerate(steps, 1):
        records += step()
        progress(done, len(steps))
    return [{**record, "seed": seed, "split": split} for record in records]
