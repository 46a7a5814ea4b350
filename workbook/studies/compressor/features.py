"""Stories and frame features of the connector study: files written and encoded once, for all arms, seeds and runs."""

from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

import torch

from oryx.eval.features import FrameTokens
from oryx.model.compressor import NoCompressor
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.device import Compute
from workbook.data.stories import LENGTHS, DatasetSizes, VideoDataset, dataset_parts, make_dataset, write_part
from workbook.studies.compressor.cells import arms_of, cells, picture_side, stories
from workbook.studies.compressor.settings import Settings
from workbook.studies.frames import frame_cache, write_in_parallel


def dataset_sizes(settings: Settings) -> DatasetSizes:
    """The dataset of a run."""
    return DatasetSizes(settings.bank_signs, settings.bank_cards, settings.bank_paths, settings.bank_photos)


def write_files(settings: Settings, seed: int) -> None:
    """Write the dataset of a seed and all held-out stories, a file on each core; what is there stays."""
    folder, sizes = settings.cache_folder / "stories", dataset_sizes(settings)
    parts = [partial(write_part, folder, seed, sizes, part) for part in dataset_parts(sizes)]
    write_in_parallel([*parts, *(partial(stories, settings, length) for length in LENGTHS)])


def dataset_of(settings: Settings, seed: int) -> VideoDataset:
    """The dataset of training frames of a seed."""
    return make_dataset(settings.cache_folder / "stories", seed, dataset_sizes(settings))


class Features:
    """Uncompressed tokens of video files at several picture sizes, from the cache of one frozen encoder.

    ``model``: its tower is used, its connector is not. ``weights``: hash of the tower. ``blind``: all tokens are zero.
    """

    def __init__(
        self, settings: Settings, model: OryxForConditionalGeneration, weights: str, compute: Compute, blind: bool
    ):
        self.settings, self.blind = settings, blind
        folder, tower = settings.cache_folder, _Tower(model)
        self.cache = cache(lambda side: frame_cache(folder, tower, 1, (side, side), weights, compute))
        """Side of square pictures in pixels -> their cache."""

    def dataset(self, dataset: VideoDataset, sides: Iterable[int]) -> dict[int, FrameTokens]:
        """The dataset's tokens by side of the pictures."""
        return {side: self._shown(self.cache(side).joined(dataset.files)) for side in sides}

    def story(self, path: str | Path, side: int) -> FrameTokens:
        """The tokens of a file."""
        return self._shown(self.cache(side).encode(path))

    def _shown(self, film: FrameTokens) -> FrameTokens:
        return FrameTokens(torch.zeros_like(film.tokens), film.grid) if self.blind else film

    def prepare(self, seed: int, progress: Callable[[int, int], None]) -> None:
        """Encode everything that the arms of a run will ask for."""
        asked = [cell for arm in arms_of(self.settings) for cell in cells(self.settings, arm)]
        sides = sorted({picture_side(self.settings), *(cell.side for cell in asked)})
        films = [story.path for length in LENGTHS for story in stories(self.settings, length)]
        files = [(side, path) for side in sides for path in (*dataset_of(self.settings, seed).files, *films)]
        for done, (side, path) in enumerate(files, 1):
            self.cache(side).encode(path)
            progress(done, len(files))


class _Tower:
    """What :class:`oryx.eval.features.FrameEncoder` needs of a model, with no connector: the tower's own tokens."""

    def __init__(self, model: OryxForConditionalGeneration):
        self.vision_tower, self.projector, self.config = model.vision_tower, model.projector, model.config
        self.compressor, self.device = NoCompressor(model.config), model.device
