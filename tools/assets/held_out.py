"""Which rooms there are and what of them training never shows: how ``rooms.jsonl`` was drawn."""

from workbook.data.rooms import COLOURS

SPLITS = {"train": 600, "dev": 100, "report": 160}
"""Split -> rooms."""

KINDS = ("table", "chair", "sofa", "lamp", "shelf", "bed", "plant", "box", "ball")
HELD_OUT = ("room", "combination", "room", "pose")
"""What of a held-out room is new, in turn: the room alone, kind and colour of objects, or the height of the cameras."""


def is_held_out(kind: str, colour: str) -> bool:
    """Whether a combination of kind and colour is kept from training: one colour of every kind."""
    return (KINDS.index(kind) + COLOURS.index(colour)) % len(COLOURS) == 0
