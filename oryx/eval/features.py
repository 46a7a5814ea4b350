"""Long videos frame by frame: decoded, encoded and compressed in chunks, and kept on disk by what they depend on.

Frames do not see each other before the language model, so they can be encoded in any chunks: what is held is one chunk
of pixels and the compressed tokens of all frames. Each file is encoded once, and a needle's tokens are spliced into a
haystack's.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from oryx.files import atomic_write_bytes, check_file, sha256_file
from oryx.grids import Grid, compressed_grid
from oryx.layout import Layout
from oryx.model.compressor import compress_maps
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.images import to_patches
from oryx.processing.video import VideoFile
from oryx.train.device import Compute
from oryx.train.inputs import kept


@dataclass(frozen=True)
class FrameTokens:
    """Compressed ``tokens`` (T, n, C) of T frames; each frame is a map of ``grid`` with n = rows · columns tokens."""

    tokens: Tensor
    grid: Grid

    def __len__(self) -> int:
        return len(self.tokens)

    def inputs(self) -> dict[str, Tensor]:
        """The visual inputs of :class:`OryxForConditionalGeneration` for one video of these frames."""
        return {
            "compressed_features": self.tokens.flatten(0, 1),
            "image_grids": torch.tensor([self.grid] * len(self)),
            "visual_spec": torch.tensor([[Layout.VIDEO, len(self), 1]]),
        }


@dataclass
class FrameEncoder:
    """Encodes the frames of video files with a model, ``chunk`` frames at a time.

    ``view`` gives a frame its size (RGB); all frames of a video get one size. ``side``: region side k of the compressor
    (ratio k²). ``compute``: its number format is that of the encoding, whoever asks for it, so that training and
    evaluation read the same tokens. Tokens are returned as ``dtype``. ``decoder``, ``threads``: as of ``VideoFile``.
    """

    model: OryxForConditionalGeneration
    view: Callable[[Image.Image], Image.Image]
    side: int
    compute: Compute
    chunk: int = 64
    dtype: torch.dtype = torch.float16
    decoder: str = "auto"
    threads: int = 1

    @property
    def number_formats(self) -> str:
        """The format of the tokens, and that in which they are computed: they differ by both."""
        exact = self.compute.precision == "fp32"
        return str(self.dtype) if exact else f"{self.dtype} under autocast to {self.compute.dtype}"

    @torch.inference_mode()
    def encode(self, path: str | Path, indices: Sequence[int] | None = None) -> FrameTokens:
        """Tokens of the frames ``indices`` (all by default); errors as for :class:`oryx.processing.video.VideoFile`."""
        with closing(VideoFile(path, decoder=self.decoder, threads=self.threads)) as video:
            wanted = range(video.info.frames) if indices is None else indices
            for start, frames in zip(range(0, len(wanted), self.chunk), video.frames(wanted, self.chunk), strict=True):
                part, grid = self._encode_chunk(frames)
                if start == 0:  # filled in place: a list of chunks would be held twice when joined
                    tokens = torch.empty(len(wanted), *part.shape[1:], dtype=self.dtype)
                tokens[start : start + len(part)] = part
        return FrameTokens(tokens, grid)

    def _encode_chunk(self, frames: np.ndarray) -> tuple[Tensor, Grid]:
        model, vision = self.model, self.model.config.vision_config
        shown = np.stack([self.view(Image.fromarray(frame)) for frame in frames])
        patches, grid = to_patches(shown, vision.patch_size)
        grids = [grid] * len(frames)
        with torch.autocast(model.device.type, enabled=False), self.compute.autocast():
            features = model.vision_tower(patches.to(model.device), grids).tokens
            features = features.to(model.projector.image_newline.dtype)
            tokens, _ = compress_maps(model.compressor, features, grids, [self.side] * len(grids))
        tokens = kept(tokens) if self.dtype == torch.float16 else tokens.to(self.dtype)
        return tokens.view(len(grids), -1, tokens.shape[1]).cpu(), compressed_grid(grid, self.side)


class FrameCache:
    """Frame tokens on disk, found again by what they depend on.

    The key is a sha256 over the file's content, the frames, ``side``, the number formats and ``identity`` (whatever
    tells the encoder's weights and the size rule: hashes and settings that JSON can hold). A file that is damaged or
    half written is not found; it is encoded anew.
    """

    def __init__(self, folder: Path, encoder: FrameEncoder, identity: dict):
        self.folder, self.encoder, self.identity = Path(folder), encoder, identity

    def encode(self, path: str | Path, indices: Sequence[int] | None = None) -> FrameTokens:
        """As :meth:`FrameEncoder.encode`, from disk if it was done before."""
        found = self._path(path, indices)
        with suppress(FileNotFoundError, SafetensorError):
            earlier = load_file(found)
            return FrameTokens(earlier["tokens"], tuple(earlier["grid"].tolist()))
        made = self.encoder.encode(path, indices)
        atomic_write_bytes(found, save({"tokens": made.tokens, "grid": torch.tensor(made.grid)}))
        return made

    def joined(self, paths: Sequence[str | Path]) -> FrameTokens:
        """Tokens of several files of one frame size, one after the other."""
        parts = [self.encode(path) for path in paths]
        return FrameTokens(torch.cat([part.tokens for part in parts]), parts[0].grid)

    def _path(self, path: str | Path, indices: Sequence[int] | None) -> Path:
        encoder, frames = self.encoder, None if indices is None else list(indices)
        key = [sha256_file(check_file(path, "video")), frames, encoder.side, encoder.number_formats, self.identity]
        key += [encoder.decoder] * (encoder.decoder != "auto")
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.safetensors"
