"""The losses of trainings: cross-entropy on answers, one question or several about each visual."""

import torch
import torch.nn.functional as F
from torch import Tensor

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL
from oryx.model.modeling import OryxForConditionalGeneration


def answer_loss(model: OryxForConditionalGeneration, batch: dict) -> Tensor:
    """Cross-entropy on the answers of a batch, as :class:`oryx.train.data.StepBatches` scales it.

    A batch of :func:`oryx.train.text.text_batch` asks one question a sample; one of
    :func:`oryx.train.text.questions_batch` reads each visual once for all questions about it.
    """
    return questions_loss(model, **batch) if "text_ids" in batch else model(**batch, loss_only=True).loss


def questions_mask(question: Tensor, visual: int) -> Tensor:
    """Who sees whom, (B, 1, V + S, V + S) bool, for V visual tokens followed by questions (B, S) numbered from 0.

    A question sees the visual and itself, and none of the others.
    """
    batch, text = question.shape
    own = question[:, :, None] == question[:, None, :]
    seen = torch.cat([own.new_ones(batch, text, visual), own], 2)
    mask = torch.cat([seen.new_ones(batch, visual, visual + text), seen], 1)
    causal = torch.ones(visual + text, visual + text, dtype=torch.bool, device=question.device).tril()
    return (mask & causal)[:, None]


def questions_loss(
    model: OryxForConditionalGeneration,
    text_ids: Tensor,
    text_labels: Tensor,
    text_question: Tensor,
    text_place: Tensor,
    num_items_in_batch: Tensor | None = None,
    **visual: Tensor,
) -> Tensor:
    """The sum of cross-entropies over all answer tokens, over ``num_items_in_batch`` (default: their number).

    The loss equals that of separate samples, one per question. ``visual``: the visual inputs of
    :meth:`OryxForConditionalGeneration.encode_visuals`, one visual a sample, all of one length in tokens. Raises
    InputError for visuals of different lengths, or another number of them than of samples.
    """
    encoded = model.encode_visuals(visual.pop("pixel_patches", None), **visual)
    if len(encoded) != len(text_ids) or len({len(one) for one in encoded}) != 1:
        raise InputError(f"expected {len(text_ids)} visuals of one length, got lengths {[len(one) for one in encoded]}")
    shown = torch.stack(encoded)
    length, device = shown.shape[1], shown.device
    text = model.get_input_embeddings()(text_ids)
    logits = model(
        inputs_embeds=torch.cat([shown.to(text.dtype), text], 1),
        attention_mask=questions_mask(text_question, length),
        position_ids=torch.cat([torch.arange(length, device=device).expand(len(shown), -1), text_place + length], 1),
        use_cache=False,
        logits_to_keep=text_ids.shape[1],
    ).logits
    targets = text_labels[:, 1:].flatten()
    total = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets, ignore_index=IGNORED_LABEL, reduction="sum")
    return total / ((targets >= 0).sum() if num_items_in_batch is None else num_items_in_batch)
