"""Real typefaces: unchanged where the licence reserves the name, cut down to Latin-1 where it does not."""

import io
from pathlib import Path, PurePosixPath

from fontTools import subset
from fontTools.ttLib import TTFont

from .packages import Packages
from .store import write_index

LATIN = [*range(0x20, 0x7F), *range(0xA0, 0x100), *map(ord, "–—‘’“”•…€")]

# family, style class, package, faces (file in the package), whether the face is cut down
FACES = [
    ("Liberation Serif", "serif", "fonts-liberation2", ["LiberationSerif-Regular.ttf"], False),
    ("Liberation Sans", "sans", "fonts-liberation2", ["LiberationSans-Regular.ttf"], False),
    ("Liberation Mono", "mono", "fonts-liberation2", ["LiberationMono-Regular.ttf"], False),
    ("DejaVu Serif", "serif", "fonts-dejavu-core", ["DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"], True),
    ("DejaVu Sans", "sans", "fonts-dejavu-core", ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"], True),
    ("DejaVu Sans Mono", "mono", "fonts-dejavu-core", ["DejaVuSansMono.ttf"], True),
    ("Open Sans", "sans", "fonts-open-sans", ["OpenSans-Regular.ttf", "OpenSans-Bold.ttf"], True),
    ("Quicksand", "sans", "fonts-quicksand", ["Quicksand-Medium.ttf"], False),
    ("Oxygen", "sans", "fonts-oxygen", ["Oxygen-Sans.ttf"], False),
    ("Dancing Script", "script", "fonts-dancingscript", ["DancingScript-Bold.otf"], False),
    ("Lobster Two", "script", "fonts-lobstertwo", ["LobsterTwo-Regular.otf"], False),
    ("Roboto Slab", "serif", "fonts-roboto-slab", ["RobotoSlab-Regular.otf", "RobotoSlab-Bold.otf"], True),
    ("Cabin", "sans", "fonts-cabin", ["Cabin-Regular.otf", "Cabin-Bold.otf"], False),
    ("Go Mono", "mono", "fonts-go", ["Go-Mono.ttf"], True),
    ("Caladea", "serif", "fonts-crosextra-caladea", ["Caladea-Regular.ttf", "Caladea-Bold.ttf"], False),
    ("Cantarell", "sans", "fonts-cantarell", ["Cantarell-Regular.otf", "Cantarell-Bold.otf"], False),
    ("Courier Prime", "mono", "fonts-courier-prime", ["Courier Prime.otf"], False),
    ("Comic Neue", "hand", "fonts-comic-neue", ["ComicNeue-Regular.otf", "ComicNeue-Bold.otf"], False),
]


def build(packages: Packages, folder: Path) -> None:
    """Write ``fonts/`` and ``fonts.jsonl``."""
    (folder / "fonts").mkdir(exist_ok=True)
    entries = []
    for family, style, package, faces, cut in FACES:
        files = {PurePosixPath(path).name: content for path, content in packages.read(package).items()}
        for face in faces:
            name = face.replace(" ", "")
            (folder / "fonts" / name).write_bytes(latin(files[face]) if cut else files[face])
            weight = "bold" if "Bold" in face else "regular"
            entries.append(
                {"id": f"fonts/{name}", "family": family, "style": style, "weight": weight, "package": package}
            )
    write_index(folder / "fonts.jsonl", entries)


def latin(content: bytes) -> bytes:
    """The face with the glyphs of ``LATIN`` only; names, notices and the modification time stay as they were."""
    font = TTFont(io.BytesIO(content), recalcTimestamp=False)
    options = subset.Options(name_IDs=["*"], name_legacy=True, name_languages=["*"], layout_features=["kern", "liga"])
    options.drop_tables += ["FFTM"]
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=LATIN)
    cutter.subset(font)
    buffer = io.BytesIO()
    font.save(buffer)
    return buffer.getvalue()
