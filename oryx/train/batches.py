"""From items to tensors: pictures to packed patches, questions and answers to token ids with labels.

The prompt is the terse one of small models: the visual, the question, a newline; then the answer and the end token,
the only supervised part. Text is bytes (ids 0 to 255), the end token is 256.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from accelerate import PartialState
from PIL import Image
from torch import Tensor

from oryx.errors import SettingsError
from oryx.grids import Grid
from oryx.model.config import IGNORED_LABEL, VISUAL_TOKEN_ID
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data.pictures import cut_patches

END = 256
VOCABULARY = 259


def normalised(pixels: np.ndarray) -> Tensor:
    """Pixels of 0 to 255 as the encoders see them: float32 in [-1, 1]."""
    return torch.from_numpy(pixels).to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)


def to_patches(picture: Image.Image, patch: int) -> tuple[Tensor, Grid]:
    """Patches (h·w, 3·patch²) of a picture whose sides are multiples of ``patch``, in [-1, 1], and its grid (h, w)."""
    patches, grid = cut_patches(picture, patch)
    return normalised(patches), grid


def encode_prompt(question: str, visual: bool = True) -> list[int]:
    """Token ids of the prompt, with the mark of one visual in front unless ``visual`` is false."""
    return [VISUAL_TOKEN_ID] * visual + list(question.encode()) + [10]


def text_batch(questions: Sequence[str], answers: Sequence[str] | None, visual: bool = True) -> dict[str, Tensor]:
    """``input_ids``, ``attention_mask`` and, with answers, ``labels``, each (B, L), padded on the right."""
    rows, labels = [], []
    for i, question in enumerate(questions):
        prompt = encode_prompt(question, visual)
        answer = [] if answers is None else [*answers[i].encode(), END]
        rows.append(prompt + answer)
        labels.append([IGNORED_LABEL] * len(prompt) + answer)
    longest = max(map(len, rows))
    batch = {
        "input_ids": torch.tensor([row + [END] * (longest - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
    }
    if answers is not None:
        batch["labels"] = torch.tensor([row + [IGNORED_LABEL] * (longest - len(row)) for row in labels])
    return batch


def share_of(rank: int, processes: int, lengths: Sequence[int]) -> list[int]:
    """The samples of process ``rank``: the longest first, each to whoever has the fewest tokens so far."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    tokens = [0] * processes
    for sample in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        least = tokens.index(min(tokens))
        shares[least].append(sample)
        tokens[least] += lengths[sample]
    return sorted(shares[rank])


def batch_loss(
    model: OryxForConditionalGeneration,
    lengths: Sequence[int],
    answers: Sequence[str],
    batch_of: Callable[[list[int]], dict[str, Tensor]],
) -> Tensor:
    """Mean cross-entropy over all answer tokens of a batch, which several processes (accelerate) share.

    ``lengths``: tokens of each sample, ``answers``: that of each, ``batch_of(indices)``: model inputs. Each process
    takes a share of like length; the mean of what they return, and of its gradients, is that of the batch. Raises
    SettingsError for fewer samples than processes.
    """
    state = PartialState()
    rank, processes = state.process_index, state.num_processes
    if len(lengths) < processes:
        raise SettingsError(
            f"batch: expected at least one sample for each of {processes} processes, got {len(lengths)}"
        )
    supervised = sum(len(answer.encode()) + 1 for answer in answers)
    batch = batch_of(share_of(rank, processes, lengths))
    return processes * model(**batch, num_items_in_batch=supervised).loss


def decode(ids: Sequence[int]) -> str:
    """The text before the end token; bytes that are no UTF-8 are shown as replacement characters."""
    kept = []
    for token in ids:
        if token >= END:
            break
        kept.append(int(token))
    return bytes(kept).decode("utf-8", errors="replace")
