"""Answers of a model: what a prompt, or a video, is read into once, and questions that go on from there.

Small and released models take the same way. Reading fills the language model's cache; greedy answers and the
log-likelihood of given answers continue from it and leave it as it was, so that they can be asked in any order and
again. The slow way, the whole sequence through ``generate`` for every question, gives the same answers (tests hold both
together). A question is put to a model in one of two ways: the bytes of the small ones, or the chat of the released.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile

import torch
import torch.nn.functional as F
from accelerate.utils import send_to_device
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel, generation

from oryx.errors import InputError
from oryx.eval.features import FrameTokens
from oryx.layout import VISUAL_TOKEN_ID
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing import chat
from oryx.processing.processor import OryxProcessor
from oryx.train.inputs import END, decode, encode_prompt


class BytePrompt:
    """The visual, the question, a newline, the answer; a byte a token. Right is exactly the truth."""

    stops = (END,)

    def before(self) -> list[int]:
        """Token ids up to the video, its mark included; the same for every question."""
        return [VISUAL_TOKEN_ID]

    def after(self, question: str, visual: bool = True) -> list[int]:
        """Token ids from the video to where the answer begins; without a visual the whole prompt."""
        return encode_prompt(question, visual=False)

    def answer(self, truth: str) -> list[int]:
        """Token ids of an answer with its end."""
        return [*truth.encode(), END]

    def text(self, ids: Sequence[int]) -> str:
        """The answer in words, its end left out."""
        return decode(ids)

    def right(self, answer: str, truth: str) -> bool:
        """Whether an answer counts."""
        return answer == truth


class ChatPrompt:
    """The prompt form of a released model. Case, blanks around and a full stop at the end of an answer do not count."""

    def __init__(self, processor: OryxProcessor):
        self.processor = processor
        self.stops = chat.stop_ids(processor.tokenizer, processor.prompt)

    def before(self) -> list[int]:
        ids = self.processor.prompt_ids("?", visuals=1)
        return ids[: ids.index(VISUAL_TOKEN_ID) + 1]

    def after(self, question: str, visual: bool = True) -> list[int]:
        ids = self.processor.prompt_ids(question, visuals=int(visual))
        return ids[ids.index(VISUAL_TOKEN_ID) + 1 :] if visual else ids

    def answer(self, truth: str) -> list[int]:
        return [*self.processor.tokenizer(truth, add_special_tokens=False)["input_ids"], self.stops[0]]

    def text(self, ids: Sequence[int]) -> str:
        kept = list(takewhile(lambda token: token not in self.stops, ids))
        return self.processor.tokenizer.decode(kept, skip_special_tokens=True).strip()

    def right(self, answer: str, truth: str) -> bool:
        return answer.strip().rstrip(".").casefold() == truth.casefold()


PromptFormat = BytePrompt | ChatPrompt


@dataclass
class Prompted:
    """A language model after B prompts of L tokens.

    Attributes:
        cache: keys and values of the prompts.
        first: logits of the first new token, (B, vocabulary).
        mask: (B, L), zero on padding, which is on the left; None: no prompt is padded (attention is faster then).
    """

    language_model: PreTrainedModel
    cache: DynamicCache
    first: Tensor
    mask: Tensor | None = None

    @torch.inference_mode()
    def greedy(self, stops: Collection[int], most: int, choose: "Choose | None" = None) -> list[list[int]]:
        """The likeliest next tokens of every sample, at most ``most``, until each has given one of ``stops``.

        ``choose``: takes the next ones otherwise, see :func:`chooser`.
        """
        length, ends = self.cache.get_seq_length(), torch.tensor(list(stops), device=self.first.device)
        choose, logits, new = choose or chooser(), self.first, self.first.new_empty(len(self.first), 0, dtype=int)
        ended = torch.zeros(len(self.first), dtype=bool, device=self.first.device)
        while new.shape[1] < most and not bool(ended.all()):
            if new.shape[1]:
                logits = _after(self.language_model, self.cache, new[:, -1:], self.mask)[:, -1]
            new = torch.cat([new, choose(new, logits)[:, None]], 1)
            ended |= torch.isin(new[:, -1], ends)
        _crop(self.cache, length)
        return new.tolist()

    @contextmanager
    def after(self, tokens: Sequence[int]) -> Iterator["Prompted"]:
        """What follows some more tokens, the same for every sample; they are forgotten again at the end."""
        length, count = self.cache.get_seq_length(), len(self.first)
        mask = None if self.mask is None else F.pad(self.mask, (0, len(tokens)), value=1)
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)] * count, device=self.first.device)
            logits = _after(self.language_model, self.cache, ids, self.mask, keep=1)
        yield Prompted(self.language_model, self.cache, logits[:, -1], mask)
        _crop(self.cache, length)

    @torch.inference_mode()
    def likelihoods(self, answers: Sequence[Sequence[int]]) -> list[float]:
        """The log-likelihood of an answer of at least one token for every sample."""
        length, logits = self.cache.get_seq_length(), self.first[:, None]
        padded = pad_sequence([torch.tensor(ids, device=self.first.device) for ids in answers], batch_first=True)
        if padded.shape[1] > 1:
            rest = _after(self.language_model, self.cache, padded[:, :-1], self.mask)
            logits = torch.cat([logits, rest], 1)
        _crop(self.cache, length)
        each = logits.log_softmax(-1).gather(2, padded[..., None])[..., 0]
        return [float(each[i, : len(ids)].sum()) for i, ids in enumerate(answers)]

    def answers(self, prompts: PromptFormat, truths: Sequence[str], most: int) -> list[dict]:
        """Of every sample the greedy ``answer`` in words, its ``score``, and the log-likelihood of the true one."""
        texts = [prompts.text(ids) for ids in self.greedy(prompts.stops, most)]
        likelihoods = self.likelihoods([prompts.answer(truth) for truth in truths])
        return [
            {"answer": text, "score": float(prompts.right(text, truth)), "logprob": likelihood}
            for text, truth, likelihood in zip(texts, truths, likelihoods, strict=True)
        ]


Choose = Callable[[Tensor, Tensor], Tensor]
"""(new tokens so far (B, n), logits (B, vocabulary)) -> the next token of each sample (B,)."""


def chooser(temperature: float = 0.0, top_k: int = 0, repetition_penalty: float = 1.0, seed: int = 0) -> Choose:
    """How the next token is taken: the likeliest, or drawn at a ``temperature`` from the ``top_k`` (0: all) likeliest.

    The penalty counts new tokens only, as in the public code, where prompts enter as embeddings.
    """
    change = generation.LogitsProcessorList()
    if repetition_penalty != 1:
        change.append(generation.RepetitionPenaltyLogitsProcessor(repetition_penalty))
    if not temperature:
        return lambda new, logits: change(new, logits).argmax(-1)
    change.append(generation.TemperatureLogitsWarper(temperature))
    if top_k:
        change.append(generation.TopKLogitsWarper(top_k))
    state = {}

    def draw(new: Tensor, logits: Tensor) -> Tensor:
        generator = state.setdefault("generator", torch.Generator(logits.device).manual_seed(seed))
        return torch.multinomial(change(new, logits).softmax(-1), 1, generator=generator)[:, 0]

    return draw


@torch.inference_mode()
def read_prompts(model: OryxForConditionalGeneration, inputs: dict[str, Tensor]) -> Prompted:
    """Let the model read prompts of any lengths; ``inputs`` as for its ``generate``, on any device."""
    prompts = model.expand(**send_to_device(inputs, model.device), padding_side="left")
    cache = DynamicCache(config=model.language_model.config)
    out = model(
        inputs_embeds=prompts.inputs_embeds,
        attention_mask=prompts.attention_mask,
        position_ids=prompts.position_ids,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    mask = prompts.attention_mask if len(prompts.attention_mask) > 1 else None  # one prompt alone is not padded
    return Prompted(model.language_model, cache, out.logits[:, -1].float(), mask)


@dataclass
class ReadVideos:
    """``cache`` of the language model after each of ``count`` videos; empty: no video."""

    model: OryxForConditionalGeneration
    prompts: PromptFormat
    cache: DynamicCache
    count: int


@torch.inference_mode()
def read_videos(
    model: OryxForConditionalGeneration, videos: Sequence[FrameTokens], prompts: PromptFormat | None = None
) -> ReadVideos:
    """Let the language model read videos of one length; raises InputError if they differ in frames or grid."""
    shapes = {(len(video), video.grid) for video in videos}
    if len(shapes) != 1:
        raise InputError(f"expected videos of one length and grid, got {sorted(shapes)}")
    prompts = prompts or BytePrompt()
    inputs = [video.inputs() for video in videos]
    batch = send_to_device({name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}, model.device)
    before = torch.tensor([prompts.before()] * len(videos), device=model.device)
    embeds = model.expand(before, **batch).inputs_embeds
    cache = DynamicCache(config=model.language_model.config)
    # the mask is left out: no video is padded, and attention without a mask is the fast path
    model(inputs_embeds=embeds, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return ReadVideos(model, prompts, cache, len(videos))


def without_video(model: OryxForConditionalGeneration, count: int, prompts: PromptFormat | None = None) -> ReadVideos:
    """Nothing read: the control."""
    return ReadVideos(model, prompts or BytePrompt(), DynamicCache(config=model.language_model.config), count)


@torch.inference_mode()
def ask(read: ReadVideos, questions: Sequence[str], truths: Sequence[str], max_new_tokens: int = 12) -> list[dict]:
    """Of one question a video ``answer``, ``score`` and ``logprob``, see :meth:`Prompted.answers`.

    Raises InputError unless there is a question a video and all are of one length in tokens.
    """
    language_model, length = read.model.language_model, read.cache.get_seq_length()
    prompts = [read.prompts.after(question, visual=length > 0) for question in questions]
    if len(prompts) != read.count or len({len(prompt) for prompt in prompts}) != 1:
        raise InputError(f"expected {read.count} questions of one length, got {list(questions)}")
    first = _after(language_model, read.cache, torch.tensor(prompts, device=read.model.device))[:, -1]
    found = Prompted(language_model, read.cache, first).answers(read.prompts, truths, max_new_tokens)
    _crop(read.cache, length)
    return found


def _after(
    language_model: PreTrainedModel, cache: DynamicCache, tokens: Tensor, mask: Tensor | None = None, keep: int = 0
) -> Tensor:
    """Logits (B, n, vocabulary), float32, after each of ``tokens`` (B, n), which the cache then holds too.

    ``keep``: after so many last ones only; 0: after all.
    """
    more = {}
    if mask is not None:
        total = cache.get_seq_length() + tokens.shape[1]
        seen = F.pad(mask, (0, total - mask.shape[1]), value=1)
        more = {"attention_mask": seen, "position_ids": (seen.cumsum(1) - 1)[:, -tokens.shape[1] :]}
    more["logits_to_keep"] = keep
    return language_model(input_ids=tokens, past_key_values=cache, use_cache=True, **more).logits.float()


def _crop(cache: DynamicCache, length: int) -> None:
    """Forget what the cache holds beyond ``length`` tokens."""
    if more := cache.get_seq_length() - length:
        cache.crop(-more)
