"""A language model that has read a prompt: what it says next, and how likely it holds given answers.

The prompt is read once. Both questions go on from the cache and leave it as it was, so that they can be asked in any
order and again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.roomy_cache import roomy_cache


@dataclass
class Prompted:
    """``cache`` of the language model after B prompts of L tokens, and the logits of what comes first, (B, vocabulary).

    ``mask`` (B, L) is zero on padding, which is on the left; None: no prompt is padded (attention is faster then).
    """

    language_model: PreTrainedModel
    cache: DynamicCache
    first: Tensor
    mask: Tensor | None = None

    def greedy(self, stops: Collection[int], most: int) -> list[list[int]]:
        """The likeliest next tokens of every sample, at most ``most``; they end when each has said one of ``stops``."""
        length, ends = self.cache.get_seq_length(), torch.tensor(list(stops), device=self.first.device)
        new = [self.first.argmax(-1)]
        ended = torch.isin(new[0], ends)
        while len(new) < most and not bool(ended.all()):
            new.append(after(self.language_model, self.cache, new[-1][:, None], self.mask)[:, -1].argmax(-1))
            ended |= torch.isin(new[-1], ends)
        back_to(self.cache, length)
        return torch.stack(new, 1).tolist()

    def likelihoods(self, answers: Sequence[Sequence[int]]) -> list[float]:
        """The log-likelihood of an answer of at least one token for every sample."""
        length, longest = self.cache.get_seq_length(), max(map(len, answers))
        padded = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in answers], device=self.first.device)
        logits = self.first[:, None]
        if longest > 1:
            rest = after(self.language_model, self.cache, padded[:, :-1], self.mask)
            logits = torch.cat([logits, rest], 1)
        back_to(self.cache, length)
        each = logits.log_softmax(-1).gather(2, padded[..., None])[..., 0]
        return [float(each[i, : len(ids)].sum()) for i, ids in enumerate(answers)]


def read_prompts(model: OryxForConditionalGeneration, inputs: dict[str, Tensor]) -> Prompted:
    """Let the model read prompts of any lengths; ``inputs`` as for its ``generate``."""
    prompts = model.expand(**inputs, padding_side="left")
    cache = roomy_cache(model.language_model.config)
    out = model(
        inputs_embeds=prompts.inputs_embeds,
        attention_mask=prompts.attention_mask,
        position_ids=prompts.position_ids,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return Prompted(model.language_model, cache, out.logits[:, -1].float(), prompts.attention_mask)


def after(language_model: PreTrainedModel, cache: DynamicCache, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """Logits (B, n, vocabulary), float32, after each of ``tokens`` (B, n), which the cache then holds too."""
    more = {}
    if mask is not None:
        total = cache.get_seq_length() + tokens.shape[1]
        seen = F.pad(mask, (0, total - mask.shape[1]), value=1)
        more = {"attention_mask": seen, "position_ids": (seen.cumsum(1) - 1)[:, -tokens.shape[1] :]}
    return language_model(input_ids=tokens, past_key_values=cache, use_cache=True, **more).logits.float()


def back_to(cache: DynamicCache, length: int) -> None:
    """Forget what the cache holds beyond ``length`` tokens."""
    if more := cache.get_seq_length() - length:
        cache.crop(-more)
