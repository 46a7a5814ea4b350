"""Several questions about one visual in one pass: each sees the visual and itself, and none of the others.

The visual is most of a sample's tokens and is read once. The loss equals that of separate samples, one per question
(``tests/unit/training/test_questions.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from oryx.errors import InputError
from oryx.model.config import IGNORED_LABEL
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.batches import END, encode_prompt

Turn = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True)
class Turns:
    """The text of a batch, (B, S) each: ids, labels, the number of the turn (-1: padding), the place within it."""

    ids: Tensor
    labels: Tensor
    turn: Tensor
    place: Tensor


def lay_out(samples: Sequence[Sequence[Turn]]) -> Turns:
    """The turns of every sample side by side, padded on the right; raises InputError for a sample without any."""
    if not samples or not all(samples):
        raise InputError("expected at least one question for every sample")
    rows = []
    for turns in samples:
        ids, labels, number, place = [], [], [], []
        for i, (question, answer) in enumerate(turns):
            prompt, said = encode_prompt(question, visual=False), [*answer.encode(), END]
            ids += prompt + said
            labels += [IGNORED_LABEL] * len(prompt) + said
            number += [i] * (len(prompt) + len(said))
            place += range(len(prompt) + len(said))
        rows.append((ids, labels, number, place))
    longest = max(len(ids) for ids, *_ in rows)
    padding = (END, IGNORED_LABEL, -1, 0)
    columns = zip(*rows, strict=True)
    padded = [
        torch.tensor([row + [value] * (longest - len(row)) for row in column])
        for column, value in zip(columns, padding, strict=True)
    ]
    return Turns(*padded)


def turns_mask(turn: Tensor, visual: int) -> Tensor:
    """Who sees whom, (B, 1, V + S, V + S) bool, for V visual tokens followed by turns (B, S) as in :class:`Turns`."""
    batch, text = turn.shape
    own = turn[:, :, None] == turn[:, None, :]
    seen = torch.cat([own.new_ones(batch, text, visual), own], 2)
    mask = torch.cat([seen.new_ones(batch, visual, visual + text), seen], 1)
    return (mask & torch.ones(visual + text, visual + text, dtype=torch.bool, device=turn.device).tril())[:, None]


def answers_loss(
    model: OryxForConditionalGeneration, visual: Mapping[str, Tensor], samples: Sequence[Sequence[Turn]]
) -> Tensor:
    """Mean cross-entropy over all answer tokens of a batch.

    Args:
        visual: the visual inputs of :meth:`OryxForConditionalGeneration.encode_visuals`, one visual a sample, all of
            one length in tokens.
        samples: the questions and answers about each visual.

    Raises:
        InputError: visuals of different lengths, or another number of them than of samples.
    """
    encoded = model.encode_visuals(visual.get("pixel_patches"), **{k: v for k, v in visual.items() if "pixel" not in k})
    if len(encoded) != len(samples) or len({len(one) for one in encoded}) != 1:
        raise InputError(f"expected {len(samples)} visuals of one length, got lengths {[len(one) for one in encoded]}")
    shown = torch.stack(encoded)
    length, device = shown.shape[1], shown.device
    turns = Turns(*(part.to(device) for part in vars(lay_out(samples)).values()))
    text = model.get_input_embeddings()(turns.ids)
    positions = torch.cat([torch.arange(length, device=device).expand(len(shown), -1), turns.place + length], 1)
    logits = model(
        inputs_embeds=torch.cat([shown.to(text.dtype), text], 1),
        attention_mask=turns_mask(turns.turn, length),
        position_ids=positions,
        use_cache=False,
        logits_to_keep=turns.ids.shape[1],
    ).logits
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), turns.labels[:, 1:].flatten(), ignore_index=IGNORED_LABEL
    )
