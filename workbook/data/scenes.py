"""Several views of one scene: windows, each overlapping the next, that pan along a wide page with coloured cards.

One to four cards stand side by side in frames of different colours; one is a sign with a two-digit number, the others
hold clip art. A card near the edge of a window is seen again, or only in part, in the next one, so counting the cards
of every view is not counting the cards of the scene. A scene depends on (split, index) alone; fonts and clip art of a
split are its own. No torch.
"""

from dataclasses import dataclass

from PIL import Image

from workbook.data.items import generator
from workbook.data.needles import COLOURS, NUMBERS
from workbook.data.pictures import paper
from workbook.data.stories import MOST_CARDS, QUESTIONS, SIZE, draw_card, draw_sign

VIEWS = 4
STEP = 64
"""Pixels between two windows; each is as wide as a story's frame, 96 pixels, so neighbours share a third."""

CARD = 58
"""Side of a card in pixels; the scene has room for four."""

KINDS = ("order", "colour", "sign", "count")
"""What is asked: the colours of the first two cards from the left, the colour of the sign's frame, its number, and how
many cards the scene has."""

CHANCE = {"order": 1 / (MOST_CARDS * (MOST_CARDS - 1)), "colour": 1 / 4, "sign": 1 / NUMBERS, "count": 1 / MOST_CARDS}


@dataclass(frozen=True)
class Scene:
    """``views`` from left to right, and kind of question -> true answer; scenes of one card have no order."""

    id: str
    views: tuple[Image.Image, ...]
    facts: dict[str, str]

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """(question, answer) pairs."""
        return tuple((QUESTIONS[kind], self.facts[kind]) for kind in KINDS if kind in self.facts)


def make_scene(split: str, index: int) -> Scene:
    """Scene ``index`` of a split."""
    name = f"{split}/scene/{index}"
    rng = generator("scene", name)
    cards = int(rng.integers(1, MOST_CARDS + 1))
    colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:cards]]
    sign = int(rng.integers(cards))
    width = SIZE[1] + STEP * (VIEWS - 1)
    page, _ = paper(rng, (SIZE[0], width))
    slots = sorted(int(i) for i in rng.choice(MOST_CARDS, cards, replace=False))
    number = ""
    for place, (slot, colour) in enumerate(zip(slots, colours, strict=True)):
        if place == sign:
            number = str(int(10 + rng.integers(NUMBERS)))
            drawn = draw_sign(rng, int(number), colour, split)
        else:
            drawn = draw_card(rng, colour, split)
        room = width // MOST_CARDS - CARD
        left = slot * (width // MOST_CARDS) + int(rng.integers(room + 1))
        top = int(rng.integers(2, SIZE[0] - CARD - 1))
        page.paste(drawn.resize((CARD, CARD), Image.Resampling.BICUBIC), (left, top))
    facts = {"colour": colours[sign], "sign": number, "count": str(cards)}
    if cards > 1:
        facts["order"] = f"{colours[0]} {colours[1]}"
    windows = [(i * STEP, 0, i * STEP + SIZE[1], SIZE[0]) for i in range(VIEWS)]
    return Scene(name, tuple(page.crop(window) for window in windows), facts)
