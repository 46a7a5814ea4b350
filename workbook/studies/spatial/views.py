"""What an arm is shown of rooms: the tokens of all views, encoded once."""

from collections.abc import Sequence
from itertools import product

import torch
from PIL import Image

from oryx.eval.features import FrameTokens
from oryx.grids import compressed_grid, video_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.device import Compute
from workbook.data.items import generator
from workbook.data.rooms import SIDE, VIEWS, Room
from workbook.stages.one_model import encoded_pictures
from workbook.studies.spatial.arms import ARMS


class Views:
    """The tokens, uncompressed, of all views of ``shown`` rooms as an arm sees them, each room in several ``drawings``.

    Which marks a drawing has depends on its name and the room alone. ``region``: side of the compressor's regions.
    """

    def __init__(
        self,
        arm: str,
        shown: Sequence[Room],
        drawings: Sequence[object],
        region: int,
        model: OryxForConditionalGeneration,
        machine: Compute,
    ):
        self.arm, self.rooms, self.region = ARMS[arm], {room.id: room for room in shown}, region
        self.places = {room.id: number for number, room in enumerate(shown)}
        self.drawings = drawings if self.arm.marks != "none" else drawings[:1]
        pictures = [picture for drawing, room in product(self.drawings, shown) for picture in self._of(room, drawing)]
        tokens = encoded_pictures(model, pictures, (SIDE, SIDE), machine)
        self.tokens = FrameTokens(torch.zeros_like(tokens.tokens), tokens.grid) if self.arm.blind else tokens

    def _of(self, room: Room, drawing: object) -> list[Image.Image]:
        if self.arm.marks == "none":
            return room.pictures()
        return room.marked_pictures(generator("marks", room.id, drawing), self.arm.marks == "wrong")

    def shown(self, views: Sequence[int]) -> tuple[int, ...]:
        """Those of the views that a question is about that the arm is shown."""
        return tuple(views[: self.arm.views])

    def frames(self, room: str, views: Sequence[int], drawing: int = 0) -> tuple[int, ...]:
        """The numbers of the frames that show ``views`` of a room."""
        first = VIEWS * (drawing % len(self.drawings) * len(self.rooms) + self.places[room])
        return tuple(first + view for view in self.shown(views))

    def visual_tokens(self, count: int) -> int:
        """Tokens that so many views take in the language model."""
        return video_token_count(count, compressed_grid(self.tokens.grid, self.region))
