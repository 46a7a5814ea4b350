"""The videos of the needle study as frame tokens: haystacks encoded once, needles spliced in.

Files and features lie in one cache folder that all arms, seeds and runs share; both are found again by their content.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from oryx.errors import InputError
from oryx.eval.features import FrameCache, FrameTokens
from oryx.grids import uniform_indices
from oryx.processing.decoders import VideoInfo
from oryx.processing.video import probe
from workbook.data.haystacks import make_haystack, write_video
from workbook.data.needles import NAMES, FrameDataset, Trial
from workbook.studies.needle.arms import MOST_FRAMES
from workbook.studies.needle.settings import Settings


@cache
def _haystack(*of: Any) -> Path:
    """The file that :func:`make_haystack` makes; looked at once, for that takes a tenth of a second."""
    return make_haystack(*of).path


class HaystackFiles:
    """The haystacks of a split: ``count`` files of ``frames`` frames each, or one video of the user's own (count 1).

    A shorter haystack is the beginning of a file; a longer one goes on in the next file. Of one's own video frames are
    taken evenly, so there needles are inserted after sampling.
    """

    def __init__(self, folder: Path, split: str, count: int, frames: int, size: tuple[int, int], own: str = ""):
        self.folder, self.split, self.frames, self.size, self.own = folder, split, frames, size, own
        self.count = 1 if own else count

    def path(self, number: int) -> Path:
        """File of haystack ``number``, written if it is not there."""
        return _haystack(self.folder, self.split, number % self.count, self.frames, self.size)

    def drawings(self) -> list[Callable[[], Path]]:
        """Calls that write the files, each its own, in any order."""
        return [] if self.own else [partial(self.path, number) for number in range(self.count)]

    def needle(self, frame: Image.Image) -> Path:
        """The file of one inserted frame, written if it is not there; named by what the frame shows."""
        shown = hashlib.sha256(repr(frame.size).encode() + frame.convert("RGB").tobytes()).hexdigest()
        path = self.folder / "needles" / shown[:2] / f"{shown}.mp4"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, [frame], self.size)
        return path

    def parts(self, number: int, frames: int) -> list[tuple[Path, Sequence[int]]]:
        """Files and frames of them that make haystack ``number`` of ``frames`` frames."""
        if self.own:
            total = probe(self.own).frames
            if total < frames:
                raise InputError(f"{self.own}: {frames} frames are asked for, the video has {total}")
            return [(Path(self.own), uniform_indices(total, frames))]
        parts, left = [], frames
        while left > 0:
            parts.append((self.path(number + len(parts)), range(min(left, self.frames))))
            left -= self.frames
        return parts


def haystacks_of(settings: Settings, size: tuple[int, int]) -> HaystackFiles:
    """The haystacks of a run, in frames of (height, width) ``size``."""
    folder, count, frames = settings.cache_folder / "haystacks", settings.haystacks, settings.haystack_frames
    return HaystackFiles(folder, settings.split, count, frames, size, settings.video)


@dataclass(eq=False)
class TrialVideos:
    """Turns trials into frame tokens, each haystack encoded once.

    ``codes``: needles as perfect codes instead of encoded files (the oracle arm). ``view``: what is shown of a video.
    """

    files: HaystackFiles
    cache: FrameCache
    codes: "NeedleCodes | None" = None
    view: Callable[[Trial, FrameTokens], FrameTokens] = lambda trial, video: video
    kept: dict[tuple[Path, int], FrameTokens] = field(default_factory=dict, init=False)

    @cached_property
    def film(self) -> VideoInfo:
        """What the haystacks' files are, and who decodes them."""
        encoder = self.cache.encoder
        file = self.files.own or self.files.path(0)
        return probe(file, decoder=encoder.decoder, threads=encoder.threads)

    def tokens(self, trial: Trial) -> FrameTokens:
        """Tokens of the whole video, needles and distractors in their places."""
        plain = self._haystack(trial.haystack, trial.frames - len(trial.inserted))
        pieces, taken, place = [], 0, 0
        for at, frame in trial.inserted.items():
            pieces += [plain.tokens[taken : taken + at - place], self._inserted(trial, frame)]
            taken, place = taken + at - place, at + 1
        return self.view(trial, FrameTokens(torch.cat([*pieces, plain.tokens[taken:]]), plain.grid))

    def whole_file(self, trial: Trial, folder: Path) -> FrameTokens:
        """Tokens of the complete video as one real file with the needle inside, encoded anew; the file is removed."""
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as place:
            return self.cache.encoder.encode(trial.file(Path(place)).path)

    def _haystack(self, number: int, frames: int) -> FrameTokens:
        found = [(self._file(*part), len(part[1])) for part in self.files.parts(number, frames)]
        return FrameTokens(torch.cat([film.tokens[:shown] for film, shown in found]), found[0][0].grid)

    def _file(self, path: Path, indices: Sequence[int]) -> FrameTokens:
        if not self.files.own:  # a shorter haystack is the beginning of the file
            indices = range(min(self.files.frames, MOST_FRAMES.get(self.cache.encoder.side) or self.files.frames))
        if (path, len(indices)) not in self.kept:
            self.kept[path, len(indices)] = self.cache.encode(path, indices)
        return self.kept[path, len(indices)]

    def _inserted(self, trial: Trial, frame: Image.Image) -> Tensor:
        if self.codes is not None:
            return self.codes.of(int(trial.needle.answer), trial.needle.question)[None]
        return self.cache.encode(self.files.needle(frame)).tokens


class NeedleCodes:
    """Perfect features of cards: the sum of a code for either digit's place and one for the colour.

    Codes are random and fixed, as large as real tokens, so that all that is left to do is to find and to say them.
    """

    def __init__(self, like: FrameTokens):
        generator = torch.Generator().manual_seed(0)
        shape, spread = like.tokens.shape[1:], like.tokens.float().std()
        self.codes = torch.randn(20 + len(NAMES), *shape, generator=generator) * spread / 3**0.5

    def of(self, number: int, colour: str) -> Tensor:
        """(n, C) for a two-digit number on a card of that colour."""
        tens, ones = divmod(number, 10)
        found = self.codes[tens] + self.codes[10 + ones] + self.codes[20 + NAMES.index(colour)]
        return found.half()

    def into_dataset(self, dataset: FrameDataset, tokens: FrameTokens) -> FrameTokens:
        """The dataset's tokens with every card replaced by its code."""
        coded = tokens.tokens.clone()
        for page, number in enumerate(dataset.numbers):
            for i, colour in enumerate(NAMES):
                coded[dataset.card(page, i)] = self.of(number, colour)
        return FrameTokens(coded, tokens.grid)


def twice(trial: Trial, video: FrameTokens) -> FrameTokens:
    """The video, and once more."""
    return FrameTokens(video.tokens.repeat(2, 1, 1), video.grid)


class NearestFrame:
    """Finds a card without a language model: the frame most like the cards of the dataset in the colour asked for.

    Likeness is the cosine between tokens less the mean of plain frames, all of a frame's tokens together.
    """

    def __init__(self, dataset: FrameDataset, tokens: FrameTokens):
        known = tokens.tokens.flatten(1).float()
        self.plain, cards = known[: dataset.plain].mean(0), known[dataset.plain : dataset.picture(0)]
        self.cards = {colour: cards[i :: len(NAMES)].mean(0) - self.plain for i, colour in enumerate(NAMES)}

    def __call__(self, trial: Trial, video: FrameTokens) -> FrameTokens:
        """The one frame of a trial's video."""
        frames = video.tokens.flatten(1).float() - self.plain
        best = int(torch.cosine_similarity(frames, self.cards[trial.needle.question][None]).argmax())
        return FrameTokens(video.tokens[best : best + 1], video.grid)
