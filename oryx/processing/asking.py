"""``model.ask``: one question about one image, several, views of a scene, or a video; and what was really seen."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch

from oryx.errors import InputError
from oryx.layout import SIDES
from oryx.processing.chat import stop_ids
from oryx.processing.sizes import Resolution
from oryx.processing.visuals import Video, Views


@dataclass(frozen=True)
class Answer:
    """An answer and its circumstances.

    Attributes:
        text: the greedy answer.
        probability: of exactly this answer, its end included: the product over its tokens.
        visual_tokens: everything the projector emitted, newlines and separators included.
        seconds: wall clock, from opening the file to the last token.
        frames: pictures, views or video frames that reached the model.
        sizes: (height, width) in pixels of every map as encoded; an image with a second view has two.
    """

    text: str
    probability: float
    visual_tokens: int
    seconds: float
    frames: int
    sizes: tuple[tuple[int, int], ...]


@torch.no_grad()
def ask(
    model: Any,
    processor: Any,
    visual: Any,
    question: str,
    *,
    resolution: str | int | Resolution = "native",
    compression: int | str = "auto",
    token_budget: int | None = None,
    max_new_tokens: int = 128,
) -> Answer:
    """Ask ``question`` about ``visual``: an image (path, bytes, PIL, array), ``Images``, ``Views`` or ``Video``.

    ``visual=None`` asks without any: the blind control, which tells what a question gives away by itself.
    The answer is greedy and without the repetition penalty that released checkpoints carry.

    Args:
        resolution: "native"; or S: the area is S², the shape kept; or any ``Resolution``. Other than "native", images
            get no second view.
        compression: the ratio k² for any side k (1, 4, 9, 16, ...), or "auto": the lowest ratio the visual may have
            whose tokens fit into ``token_budget``, and beside the question into what the model takes. Images may have 1
            (with a budget also 4 and 16), views and videos 4 and 16; without a budget videos of more than
            ``options.short_video_frames`` frames 16 alone. Those are what the released models were trained with; why
            the lowest that fits: notebook 03, "On demand".
        token_budget: most visual tokens, for "auto" alone; None: no limit but the model's.

    Raises:
        InputError: a visual that cannot be read, a bare list, an empty question, a ratio that is no square, no new
            tokens, or more tokens than the budget or the model takes (it would lose the question from the end).
    """
    began = time.perf_counter()
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"question: expected text, got {question!r}")
    if not _is_positive(max_new_tokens):
        raise InputError(f"max_new_tokens: expected a whole number of at least 1, got {max_new_tokens!r}")
    if token_budget is not None and (compression != "auto" or not _is_positive(token_budget)):
        raise InputError(
            f"token_budget: expected a whole number of at least 1, with compression 'auto'; got {token_budget!r} with "
            f"compression {compression!r}"
        )
    for side in _sides(compression, visual, token_budget):
        prepared = [] if visual is None else processor.prepare(visual, resolution, side)
        inputs, seen = processor.assemble(question, prepared), processor.seen(prepared)
        length = inputs["input_ids"].shape[1] - len(prepared) + seen["visual_tokens"]
        if _fits(length, model.config.tokenizer_model_max_length) and _fits(seen["visual_tokens"], token_budget):
            break
    _check_length(model, length, seen, token_budget)
    stops, padding = stop_ids(processor.tokenizer, processor.prompt), processor.tokenizer.pad_token_id
    out = model.generate(
        **inputs.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        repetition_penalty=1.0,
        eos_token_id=stops,
        pad_token_id=stops[0] if padding is None else padding,
        return_dict_in_generate=True,
        output_logits=True,
    )
    ids = out.sequences[0]
    steps = zip(out.logits, ids, strict=True)
    likelihood = torch.stack([logits[0].float().log_softmax(-1)[i] for logits, i in steps]).sum()
    return Answer(
        text=processor.tokenizer.decode(ids, skip_special_tokens=True).strip(),
        probability=float(likelihood.exp()),
        visual_tokens=seen["visual_tokens"],
        seconds=time.perf_counter() - began,
        frames=seen["frames"],
        sizes=tuple(seen["sizes"]),
    )


def _sides(compression: int | str, visual: Any, budget: int | None) -> Sequence[int | None]:
    """Region sides to try in turn; None: the processor's own rule. Only the first that fits is used, or the last."""
    if compression != "auto":
        return (_side(compression),)
    if isinstance(visual, (Video, Views)):
        return (None, SIDES["video_long"]) if budget is None else (SIDES["video"], SIDES["video_long"])
    return (None,) if budget is None else tuple(SIDES.values())


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _fits(tokens: int, limit: int | None) -> bool:
    return limit is None or tokens <= limit


def _check_length(model: Any, length: int, seen: dict, budget: int | None) -> None:
    limit = model.config.tokenizer_model_max_length
    if not _fits(seen["visual_tokens"], budget):
        raise InputError(
            f"token_budget: {budget} visual tokens are allowed, at the highest compression of 'auto' {seen['frames']} "
            f"picture(s) take {seen['visual_tokens']}: use fewer frames or a smaller resolution"
        )
    if not _fits(length, limit):
        raise InputError(
            f"question and visual take {length} tokens, {seen['visual_tokens']} of them visual ({seen['frames']} "
            f"picture(s)); this model takes at most {limit}: use fewer frames, a higher compression or a smaller "
            "resolution"
        )


def _side(compression: int | str) -> int | None:
    if compression == "auto":
        return None
    if isinstance(compression, bool) or not isinstance(compression, int) or compression < 1:
        raise InputError(f"compression: expected 'auto' or a ratio such as 1, 4, 16, got {compression!r}")
    side = isqrt(compression)
    if side * side != compression:
        raise InputError(f"compression: expected the square of a whole side (1, 4, 9, 16, ...), got {compression}")
    return side
