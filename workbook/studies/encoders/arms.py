"""Arms of the encoder study: which encoder reads the pictures, and at which size or cut they reach it. No torch.

Three encoders: ``siglip`` as it was pre-trained; ``control``, continued with a language model on squares of SigLIP's
own size; ``oryxvit``, continued in the same way, for the same steps, on the same pictures at their native size. Telling
``control`` and ``oryxvit`` apart tells what more training gave from what native resolution gave.
"""

from dataclasses import dataclass
from typing import Any, Literal

from oryx.processing.sizes import Partition, Resolution, picture_forms

BLIND = "blind"
ENCODERS = ("siglip", "control", "oryxvit")
INPUTS = ("fixed", "native", "partition")
ENCODER_JOBS = ("encoder_siglip", "encoder_control", "encoder_oryxvit")
SHIPPED_SEED = 0
"""The seed whose encoders ship with the package."""


@dataclass(frozen=True)
class Arm:
    """``encoder`` with its input: ``fixed``, squeezed into SigLIP's square; ``native``; ``partition`` into tiles of
    that square; ``partition_matched``, tiles of half its side, which cost as many tokens as native; ``budget``, equal
    area: shape kept, every picture scaled to one area (:func:`oryx.processing.sizes.picture_forms` says how near that
    is to SigLIP 2 NaFlex's rule). None: never sees a picture.
    """

    encoder: Literal[ENCODERS]
    input: Literal["fixed", "native", "partition", "partition_matched", "budget"] | None


ARMS = {
    **{f"{encoder}_{view}": Arm(encoder, view) for encoder in ENCODERS for view in INPUTS},
    "oryxvit_partition_matched": Arm("oryxvit", "partition_matched"),
    "oryxvit_budget": Arm("oryxvit", "budget"),
    BLIND: Arm("oryxvit", None),
}


def arm_view(arm: str, side: int) -> Resolution | Partition | None:
    """What an arm does to a picture, for squares of ``side`` pixels; None for the arm that never sees one."""
    name = ARMS[arm].input
    return None if name is None else picture_forms(side)[name]


def trains_encoders(settings: Any, seed: int) -> bool:
    """Whether a seed of a run trains its encoders itself instead of using the shipped ones."""
    return settings.from_scratch or bool(settings.siglip) or settings.scale != "nano" or seed != SHIPPED_SEED
