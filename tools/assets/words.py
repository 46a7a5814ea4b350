"""Words and definitions of WordNet 3.0: how often a word was tagged in its corpus decides what is common."""

import lzma
import re
from collections import Counter
from pathlib import Path

from .packages import Packages

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
CLASS_OF_TAG = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}

INSULT = re.compile(
    r"\b(?:offensive|derogatory|disparaging|obscene|vulgar|pejorative|abusive)\b[^;]*\b(?:name|names|term|terms|word|slang)\b|"
    r"\bslurs?\b.*\b(?:person|people|man|woman|black|jew)|ethnic slur",
    re.IGNORECASE,
)
"""A word is left out when one of its senses is an insult or an obscene term; these lists are shown to readers."""

UNWANTED = re.compile(
    r"\b(?:sexual\w*|genital\w*|copulat\w*|prostitut\w*|rap(?:e|ist)|nazis?m?|excre\w+|defecat\w*|urin\w*|anus|buttocks|"
    r"penis|vagina|breasts|pornograph\w*|masturbat\w*|whore|incest|narcotics?|genocid\w*|suicid\w*|lynch\w*|slaves?|"
    r"slavery|homosexual\w*|obscen\w*|racis[mt]s?|racial\w*|ethnic|white (?:person|people)|black (?:person|people))\b",
    re.IGNORECASE,
)
"""A word is left out when it, or the definition that is shown, matches."""

RUDE = frozenset(
    re.findall(
        r"\S+",
        """
        ass bosom colored cripple damn dung fart grope impotent indecent john lewd naked nude oriental orgy pimp potency
        privy procure rut slob sod suck tit virgin virile
        """,
    )
)
"""Words that the patterns let pass."""

MIN_TAGS, WORD_LENGTHS, GLOSS_LENGTHS = 2, (3, 8), (15, 120)


def build(packages: Packages, folder: Path) -> None:
    """Write ``words.tsv`` (word, part of speech, gloss; most frequent first) and ``glosses.tsv.xz`` (by word)."""
    files = {Path(p).name: c.decode() for p, c in packages.read("wordnet-base", lambda p: "/wordnet/" in p).items()}
    glosses, written = {}, {}
    for part in PARTS:
        glosses[part], written[part] = _synsets(files[f"data.{part}"])
    senses = {part: _senses(files[f"index.{part}"]) for part in PARTS}
    tags = _tag_counts(files["cntlist.rev"])
    best = {}
    for part, lemmas in senses.items():
        for lemma, offsets in lemmas.items():
            if not re.fullmatch(r"[a-z]+( [a-z]+)?", lemma) or lemma not in written[part][offsets[0]]:
                continue
            rank = (tags[lemma, part], -list(PARTS).index(part))
            if lemma not in best or rank > best[lemma][0]:
                best[lemma] = (rank, part, glosses[part][offsets[0]])
    rude = {
        lemma
        for part, lemmas in senses.items()
        for lemma, offsets in lemmas.items()
        if lemma in RUDE or UNWANTED.search(lemma) or any(INSULT.search(glosses[part][offset]) for offset in offsets)
    }
    kept = {lemma: entry for lemma, entry in best.items() if lemma not in rude and _sober(entry[2])}
    total = {lemma: sum(tags[lemma, part] for part in PARTS) for lemma in kept}
    common = sorted(
        (w for w in kept if total[w] >= MIN_TAGS and w.isalpha() and WORD_LENGTHS[0] <= len(w) <= WORD_LENGTHS[1]),
        key=lambda w: (-total[w], w),
    )
    _write(folder / "words.tsv", [(w, kept[w][1], kept[w][2]) for w in common])
    low, high = GLOSS_LENGTHS
    rows = [(w, part, gloss) for w, (_, part, gloss) in sorted(kept.items()) if low <= len(gloss) <= high]
    rows = [row for row in rows if row[1] != "noun" or total[row[0]] or " " not in row[0]]
    _write(folder / "glosses.tsv.xz", rows)


def nouns(packages: Packages) -> frozenset[str]:
    """Lower-case words that WordNet knows as a common noun or an adjective."""
    wanted = ("/index.noun", "/index.adj", "/data.noun", "/data.adj")
    files = packages.read("wordnet-base", lambda p: p.endswith(wanted))
    files = {Path(p).name: c.decode() for p, c in files.items()}
    found = set()
    for part in ("noun", "adj"):
        _, written = _synsets(files[f"data.{part}"])
        for lemma, offsets in _senses(files[f"index.{part}"]).items():
            if any(lemma in written[offset] for offset in offsets):
                found.add(lemma)
    return frozenset(found)


def _synsets(data: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Synset offset -> gloss without examples, and -> its words as they are written (names keep their capital)."""
    glosses, words = {}, {}
    for line in data.splitlines():
        if not line.startswith("  "):
            head, text = line.split(" | ", 1)
            fields = head.split()
            glosses[fields[0]] = re.split(r';\s*"', text.strip())[0].strip().strip(";").strip()
            count = int(fields[3], 16)
            words[fields[0]] = {re.sub(r"\(.*\)", "", w).replace("_", " ") for w in fields[4 : 4 + 2 * count : 2]}
    return glosses, words


def _senses(index: str) -> dict[str, list[str]]:
    found = {}
    for line in index.splitlines():
        if not line.startswith("  "):
            fields = line.split()
            found[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    return found


def _tag_counts(listing: str) -> Counter:
    counts = Counter()
    for line in listing.splitlines():
        key, _, count = line.split()
        lemma, rest = key.split("%")
        counts[lemma.replace("_", " "), CLASS_OF_TAG[rest[0]]] += int(count)
    return counts


def _sober(gloss: str) -> bool:
    return not UNWANTED.search(gloss) and gloss.isascii() and '"' not in gloss and "\t" not in gloss and len(gloss) >= 8


def _write(path: Path, rows: list[tuple[str, str, str]]) -> None:
    text = "".join("\t".join(row) + "\n" for row in rows).encode()
    path.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME) if path.suffix == ".xz" else text)
