"""Where the ink of a text lies."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from workbook.data import corpora
from workbook.data.pictures import draw_text, font_face, text_extent

FACES = st.builds(font_face, st.sampled_from([font.id for font in corpora.fonts()]), st.integers(6, 56))
TEXTS = st.one_of(
    st.from_regex(r"[A-Z] [1-9][0-9]", fullmatch=True),
    st.integers(0, 9999).map(str),
    st.text(st.characters(max_codepoint=0x17F, exclude_categories=("C", "Z")), min_size=1, max_size=9),
    st.just(" "),
)
PLACES = st.tuples(st.integers(-30, 90), st.integers(-30, 60))
COLOUR, PAPER, SIZE = (20, 41, 63), (240, 235, 229), (80, 50)


def page() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", SIZE, PAPER)
    return picture, ImageDraw.Draw(picture)


@given(FACES, TEXTS, PLACES)
def test_text_lies_with_its_ink_where_it_is_put(face, text, xy):
    left, top, width, height = text_extent(face, text)
    (ours, draw), (pillows, slow) = page(), page()
    draw_text(draw, xy, text, face, COLOUR)
    slow.text((xy[0] - left, xy[1] - top), text, font=face, fill=COLOUR)
    assert np.array_equal(ours, pillows)
    inked = np.asarray(ours) != np.asarray(PAPER)
    x, y = np.flatnonzero(inked.any((0, 2))), np.flatnonzero(inked.any((1, 2)))
    assert not len(x) or (xy[0] <= x[0] <= x[-1] < xy[0] + width and xy[1] <= y[0] <= y[-1] < xy[1] + height)
