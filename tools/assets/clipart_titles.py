"""English titles for clip art: our translations of Italian and French ones, and the words not taken as titles."""

import re
from pathlib import Path

from workbook.data.splits import singular

COLLECTION = re.compile(
    r"clipart|clip art|submission|sibmission|icon|aiga|symbol|various|untitled|illustration|drawing|svg|logo|blueman|"
    r"sallite|screen|wallpaper|template|rpg|element|flag|copyright|banner|australian maps|example|diagram",
    re.IGNORECASE,
)
"""A title that names a collection instead of the drawing; the file name is tried in its place."""

UNTITLED_SET = re.compile(r"SVG Road Signs|blueberry - iconset|AIGA|Sallite|Homes Clipart", re.IGNORECASE)
"""Sets whose file names say no more than their title."""

DROPPED_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        a an the of and or with in on at to for from by my r b w bw md v simple basic shaded stylized style mono color
        colour version new another variation contour generic etiquette cartoon sketch outline silhouette silhouet two
        three classic fancy mo ganson one lovely little busy profile highlight rolland linux ww
        """,
    )
)
REFUSED = frozenset(
    re.findall(
        r"\S+",
        """
        leone pesca mela pera gatto cane uva pane libellule pomme fraise pollo rosa torta glace casa porta palla vela
        cappello fungo orso cavallo mucca pesce sole luna stella mare albero fiore moto treno nave barca mano occhio
        piede testa carte asso papera gallo topo lupo tazza scala aereo auto bici signore signorina cisco hummer dodge
        neon sprint tux hacker stripper sexy gallows cannabis thongs monster female gender general gateway model logic
        jibe tack reaching sail running elfish dead portrait bold mag lam liberty panic liberty hide punk pong form
        lotas pig nun opposite lane route curve entry cycles ahead question crosswind seal profile general movie states
        wales territory brazil hemisphere peters hood infidel reunion thin pale access port ports nodding roman tile
        blots buddy enthusiast jazz human points fanart blazer tower iris fall scene easter pimp wolves rpm crown virus
        splatter drop gateau toque trefoil kiddy burner faces signs cattle caterpillar mascot figure gun panel switch
        dartboard's vampire alcohol tattoo stamper rilievo powered male gnu drawbridge lorry motorway quay tomb airbrush
        angel pregnancy crystal rich hearth abracadabra packman youngster grandpa singing whit collection browser houses
        cage shuttle tacks wolves points domo adult team
        """,
    )
)
"""Words that WordNet knows with another meaning, names, and things that are not shown."""

with (Path(__file__).parent / "clipart_titles.tsv").open(encoding="utf-8") as table:
    TRANSLATED = dict(line.rstrip("\n").split("\t") for line in list(table)[1:])
"""First word, or first two words, of a title or file name -> our English title."""


def title_of(name: str, svg: str, known: frozenset[str]) -> str | None:
    """A title of one to three words, stated or from the file name, English by ``known`` or by our table, else None."""
    stated = re.search(r"<dc:title[^>]*>\s*([^<]*)", svg)
    stated = stated.group(1) if stated else ""
    if UNTITLED_SET.search(stated):
        return None
    for text in (stated, Path(name).stem.replace("_", " ")):
        if COLLECTION.search(text):
            continue
        text = re.sub(r"\(.*?\)| - .*|,.*", " ", text.casefold().replace("&amp;", "and"))
        words = re.findall(r"[a-z]+", text.replace("'s", "s").replace("t-shirt", "tshirt"))
        words = [word for word in words if word not in DROPPED_WORDS and len(word) > 1]
        if words and (len(words) == 1 or not set(words) <= known or words[0] in REFUSED):
            translated = TRANSLATED.get(" ".join(words[:2])) or TRANSLATED.get(words[0])
            if translated:
                return translated
        if not 1 <= len(words) <= 3 or REFUSED.intersection(words) or max(map(len, words)) < 3:
            continue
        if all(word in known or singular(word) in known or word == "tshirt" for word in words):
            return " ".join(words).replace("tshirt", "t-shirt")
    return None
