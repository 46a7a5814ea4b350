"""Arms of the encoder study: which encoder reads the pictures, and at which size or cut they reach it. No torch.

Three encoders: ``siglip`` as it was pre-trained; ``control``, continued with a language model on squares of SigLIP's
own size; ``oryxvit``, continued in the same way, for the same steps, on the same pictures at their native size. Telling
``control`` and ``oryxvit`` apart tells what more training gave from what native resolution gave. A fourth, ``mixed``,
is continued on half of the pictures each way.

Inputs: ``fixed``, squeezed into SigLIP's square; ``native``; ``partition`` into tiles of that square;
``partition_matched``, tiles of half its side, which cost as many tokens as native; ``budget``, equal area: its shape
kept, every picture is scaled to one area (:func:`oryx.processing.sizes.picture_forms` says how near that is to
SigLIP 2 NaFlex's rule); None: no picture at all.
"""

from collections.abc import Collection

from oryx.processing.sizes import Partition, Resolution, picture_forms

BLIND = "blind"
ENCODERS, MIXED = ("siglip", "control", "oryxvit"), "mixed"
INPUTS = ("fixed", "native", "partition")
ARMS: dict[str, tuple[str, str | None]] = {
    **{f"{encoder}_{view}": (encoder, view) for encoder in ENCODERS for view in INPUTS},
    "oryxvit_partition_matched": ("oryxvit", "partition_matched"),
    "oryxvit_budget": ("oryxvit", "budget"),
    "mixed_fixed": (MIXED, "fixed"),
    "mixed_native": (MIXED, "native"),
    BLIND: ("oryxvit", None),
}
"""Arm -> its encoder and input."""

USUAL = tuple(arm for arm in ARMS if arm != "control_partition")
"""The arms of a default run."""


def encoders_of(arms: Collection[str]) -> list[str]:
    """The encoders of a run: always the three, and ``mixed`` where an arm has it."""
    return [*ENCODERS, *({MIXED} & {ARMS[arm][0] for arm in arms})]


def arm_view(arm: str, side: int) -> Resolution | Partition | None:
    """What an arm does to a picture, for squares of ``side`` pixels; None for the arm that never sees one."""
    return picture_forms(side).get(ARMS[arm][1])
