"""From text and visuals to the model's inputs, and ``model.ask``: one question, and what was really seen for it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.utils import logging

from oryx.errors import CheckpointError, InputError, did_you_mean, shortened
from oryx.grids import check_whole
from oryx.layout import SIDES, VISUAL_TOKEN_ID
from oryx.processing import chat
from oryx.processing.batching import MARKS, VIDEO_MARK, in_order, per_text
from oryx.processing.collate import collate
from oryx.processing.images import OryxImageProcessor, Prepared, described, visual_inputs
from oryx.processing.options import PreprocessOptions
from oryx.processing.sizes import Partition, Resolution
from oryx.processing.visuals import Images, OryxVideoProcessor, Video, Views, as_videos, is_video
from oryx.remote_code import IS_REMOTE, add_code

logger = logging.get_logger(__name__)

CONFIG_FILE = "processor_config.json"
OPTIONS = ("num_frames", "padding", "padding_side", "return_labels", "return_tensors")
LARGEST_REGION = 128
"""The side of the largest region in tokens: that of the released encoder's position table, so of the largest map."""
IGNORED = ("add_special_tokens", "do_sample_frames")  # the prompt's form decides; frames are always chosen
REFUSED = ("truncation", "max_length", "pad_to_multiple_of", "return_mm_token_type_ids", "return_metadata", "audio")
"""Keyword arguments that a call takes, takes without effect, and takes only as None or False."""


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
        decoder: who decoded the video file; None: there was none.
        warning: that the video file may not be whole; None: it is, or there was none.
    """

    text: str
    probability: float
    visual_tokens: int
    seconds: float
    frames: int
    sizes: tuple[tuple[int, int], ...]
    decoder: str | None = None
    warning: str | None = None


class OryxProcessor(ProcessorMixin):
    """Tokenizer, image processor, video processor and prompt form of a model.

    ``options``: of both visual processors. ``prompt`` is one of ``oryx.processing.chat.FORMS``; ``patch`` the model's
    patch side in pixels; ``chat_template``: the form's own by default.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        options: PreprocessOptions | None = None,
        prompt: str = "qwen",
        patch: int = 16,
        chat_template: str | None = None,
    ):
        if prompt not in chat.FORMS:
            raise InputError(f"prompt {prompt!r}: expected one of {', '.join(chat.FORMS)}")
        self.tokenizer, self.options, self.prompt, self.patch = tokenizer, options or PreprocessOptions(), prompt, patch
        self.image_processor = OryxImageProcessor(self.options, patch)
        self.video_processor = OryxVideoProcessor(self.options, patch)
        self.chat_template = chat_template or chat.TEMPLATES[prompt]

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", *self.image_processor.model_input_names]

    @property
    def pad_id(self) -> int:
        """The id of padding: the tokenizer's, or where it has none what ends an answer."""
        padding = self.tokenizer.pad_token_id
        return chat.stop_ids(self.tokenizer, self.prompt)[0] if padding is None else padding

    def prepare(
        self, visual: Any, resolution: str | int | Resolution | Partition = "native", side: int | None = None
    ) -> list[Prepared]:
        """The visuals behind ``visual``: an image, ``Images``, ``Views`` or ``Video``.

        ``resolution``: "native", by the rules of the options; or S for an area of S² with the shape kept; or any
        ``Resolution``. The latter two have no second view. A ``Partition`` (of images alone) makes a thumbnail and
        tiles of each, encoded apart and read one after the other, as the views of a scene are. ``side``: region side k
        of the compressor (ratio k²); None: 1 for images, 2 for views and videos up to ``options.short_video_frames``
        frames, 4 beyond.
        Raises InputError for anything else, with what to wrap it in.
        """
        fixed = None if resolution == "native" else resolution
        if fixed is not None and not isinstance(fixed, Resolution | Partition):
            expected = "'native', a side S in pixels (area S²), a Resolution or a Partition"
            fixed = Resolution("area", check_whole("resolution", fixed, expected))
        if side is not None:
            check_whole("side", side)
        if isinstance(visual, (list, tuple)):
            raise InputError(
                "a bare list may mean several images, views of one scene or frames: wrap it in Images(...), Views(...) "
                "or Video(...)"
            )
        if isinstance(visual, (Video, Views)):
            if isinstance(fixed, Partition):
                raise InputError(f"resolution: a partition is for images, got one for a {type(visual).__name__}")
            return [self.video_processor.prepare(visual, fixed, side)]
        items = visual.items if isinstance(visual, Images) else [visual]
        return [self.image_processor.prepare(item, fixed, side) for item in items]

    def __call__(
        self,
        text: str | Sequence = "",
        visual: Any = None,
        resolution: str | int | Resolution = "native",
        side: int | None = None,
        *,
        images: Any = None,
        videos: Any = None,
        **kwargs,
    ) -> BatchFeature:
        """Model inputs for one question (or a conversation, then with labels) about a visual; or for a batch.

        Args:
            text: a question; a text that :meth:`apply_chat_template` wrote; or a list of such texts: a batch.
            visual: what one question is about, as in :meth:`prepare`; ``resolution`` and ``side`` as there.
            images, videos: for one text or a batch, instead of ``visual``: one, a flat list over the batch, or a list
                for every text. ``<image>`` and ``<video>`` in the text say where they stand; where only one kind is
                given either mark is its. A text without marks has all its visuals in front.
            kwargs: ``padding`` (texts of a batch are always padded), ``padding_side`` (the tokenizer's by default),
                ``num_frames`` of each video, ``return_labels`` (always of conversations), ``return_tensors`` ("pt");
                also inside ``text_kwargs``, ``images_kwargs`` and ``videos_kwargs``. See :data:`OPTIONS`.

        Raises InputError for unknown keywords and for texts and visuals that do not fit each other.
        """
        options = self._options(kwargs)
        single = not isinstance(text, (list, tuple)) or (text and isinstance(text[0], Mapping))
        texts = [text] if single else text
        if not texts or (visual is not None and not (single and images is None and videos is None)):
            raise InputError("expected a text for a visual, or a list of texts with images= and videos=")
        labels = options.get("return_labels") or not isinstance(texts[0], str)
        read = [self._messages(one) for one in texts]
        if visual is not None:
            prepared = self.prepare(visual, resolution, side)
            return self.drawn(self._text_inputs(read[0], len(prepared), labels), prepared)
        found = [MARKS.findall("".join(said.text for said in one if said.role == "user")) for one in read]
        both = images is not None and videos is not None
        counted = {mark: [one.count(mark) if both else len(one) for one in found] for mark in (chat.MARK, VIDEO_MARK)}
        own_images = per_text(images, len(texts), counted[chat.MARK], "images")
        own_videos = per_text(videos, len(texts), counted[VIDEO_MARK], "videos", is_video)
        items = []
        for messages, marks, pictures, films in zip(read, found, own_images, own_videos, strict=True):
            visuals = in_order(marks, pictures, as_videos(films, options.get("num_frames")))
            prepared = [part for source in visuals for part in self.prepare(source, resolution, side)]
            if films:
                messages = [replace(one, text=one.text.replace(VIDEO_MARK, chat.MARK)) for one in messages]
            elif not visuals and VIDEO_MARK in marks:
                raise InputError(f"text has a {VIDEO_MARK} mark, expected a video for it, got none")
            items.append(self.drawn(self._text_inputs(messages, len(prepared), labels), prepared))
        return collate(items, self.pad_id, options.get("padding_side") or self.tokenizer.padding_side)

    def assemble(self, text: str | Sequence[dict], prepared: Sequence[Prepared]) -> BatchFeature:
        """Model inputs of one text, or of one conversation with its labels, from prepared visuals.

        A text without a mark gets one ``<image>`` line per visual in front of its first question. Raises InputError if
        marks and visuals differ in number.
        """
        return self.drawn(self.counted(text, prepared)[0], prepared)

    def counted(self, text: str | Sequence[dict], prepared: Sequence[Prepared]) -> tuple[BatchFeature, int, int]:
        """What :meth:`assemble` gives, without pixels; how many tokens all is to the model, and how many are visual."""
        inputs = self._text_inputs(self._messages(text), len(prepared), not isinstance(text, str))
        visual = sum(one.visual_tokens(self.patch) for one in prepared)
        return inputs, inputs["input_ids"].shape[1] - len(prepared) + visual, visual

    def drawn(self, inputs: BatchFeature, prepared: Sequence[Prepared]) -> BatchFeature:
        """Inputs with the pixels of their visuals, which are made now."""
        return BatchFeature({**inputs, **(visual_inputs(prepared, self.patch) if prepared else {})})

    def _text_inputs(self, messages: list[chat.Message], visuals: int, labels: bool) -> BatchFeature:
        asking = [number for number, message in enumerate(messages) if message.role == "user"]
        marks = sum(messages[number].text.count(chat.MARK) for number in asking)
        if marks == 0 and visuals and asking:
            first = messages[asking[0]]
            messages[asking[0]] = replace(first, text=f"{chat.MARK}\n" * visuals + first.text)
        elif marks != visuals:
            raise InputError(f"text has {marks} {chat.MARK} marks, {visuals} visual(s) came; expected one mark each")
        form = self._form(not messages[-1].ended)
        tokens = chat.tokenize_messages(self.tokenizer, messages, form, answered=not labels)
        data = {"input_ids": torch.tensor([tokens.input_ids])}
        data["attention_mask"] = torch.ones_like(data["input_ids"])
        if labels:
            data["labels"] = torch.tensor([tokens.labels])
        return BatchFeature(data)

    def _messages(self, text: str | Sequence[dict]) -> list[chat.Message]:
        if not isinstance(text, str):
            return chat.as_messages(chat.move_marks_first(chat.checked(text)))
        begin, end = chat.RENDERED
        if text.startswith(begin) or text.endswith(end):
            return chat.read_rendered(text, self.prompt)
        return chat.as_messages(chat.question(text))

    def prompt_ids(self, text: str, visuals: int = 1) -> list[int]:
        """Token ids of the prompt that asks ``text``, with one mark a visual in front of it."""
        conversation = chat.question(f"{chat.MARK}\n" * visuals + text)
        return chat.tokenize(self.tokenizer, conversation, self._form(True)).input_ids

    def apply_chat_template(self, conversation: Any, *args, **kwargs) -> Any:
        """As transformers' processors have it, by :data:`oryx.processing.chat.TEMPLATES`."""
        if self.prompt == "plain" and kwargs.get("continue_final_message"):
            raise InputError("continue_final_message: the prompt form 'plain' does not say where an answer ends")
        return super().apply_chat_template(conversation, *args, **kwargs)

    def decode(self, token_ids: Any, **kwargs) -> str | list[str]:
        """The text of ids (L,), or texts of (B, L), visuals left out; keyword arguments as of the tokenizer's."""
        if getattr(token_ids, "ndim", 1) == 2:
            return self.batch_decode(token_ids, **kwargs)
        return self.tokenizer.decode([one for one in map(int, token_ids) if one != VISUAL_TOKEN_ID], **kwargs)

    def batch_decode(self, sequences: Any, **kwargs) -> list[str]:
        """The texts of several sequences of ids; see :meth:`decode`."""
        return [self.decode(one, **kwargs) for one in sequences]

    def post_process_image_text_to_text(self, generated_outputs: Any, **kwargs) -> list[str]:
        """What a pipeline calls: :meth:`batch_decode`, special tokens left out unless asked for."""
        return self.batch_decode(generated_outputs, **{"skip_special_tokens": True, **kwargs})

    def save_pretrained(self, save_directory: str | Path, *args, with_code: bool = IS_REMOTE, **kwargs) -> None:
        """Write tokenizer, template and ``processor_config.json``; ``with_code``: :func:`oryx.remote_code.add_code`."""
        super().save_pretrained(save_directory, *args, **kwargs)
        if with_code:
            add_code(save_directory)

    def to_dict(self) -> dict[str, Any]:
        """What ``processor_config.json`` holds."""
        config = {"options": asdict(self.options), "prompt": self.prompt, "patch": self.patch}
        return {"processor_class": "OryxProcessor", **config}

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, tokenizer: PreTrainedTokenizerBase | None = None, **kwargs
    ) -> "OryxProcessor":
        """Read what ``save_pretrained`` wrote; the folder's tokenizer, with the keyword arguments, or a given one.

        Raises CheckpointError for a missing or unreadable ``processor_config.json`` or tokenizer.
        """
        kwargs.pop("_from_auto", None)  # AutoProcessor's own
        try:
            config, _ = cls.get_processor_dict(folder, **kwargs)
            options, prompt, patch = PreprocessOptions.from_dict(config["options"]), config["prompt"], config["patch"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{Path(folder) / CONFIG_FILE}: expected options, prompt and patch of a processor; "
                f"{type(error).__name__}: {error}"
            ) from None
        template = config.get("chat_template")
        own = template if "image" in (template or "") else None  # a tokenizer's alone knows of no visuals
        return cls(tokenizer or load_tokenizer(folder, **kwargs), options, prompt, patch, own)

    def _form(self, asking: bool) -> str:
        return "template" if self.prompt == "qwen" and self.options.newlines == 1 and asking else self.prompt

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        options = dict(given)
        for group in ("common_kwargs", "text_kwargs", "images_kwargs", "videos_kwargs"):
            options |= options.pop(group, None) or {}
        for name, value in options.items():
            if name not in (*OPTIONS, *IGNORED, *REFUSED):
                raise InputError(f"unknown argument {name!r}; {did_you_mean(name, OPTIONS)}known: {', '.join(OPTIONS)}")
            if (name in REFUSED and value) or value in ("max_length", "np", "tf", "jax"):
                raise InputError(f"{name}: {value!r} is not supported here")
        return options


def load_tokenizer(folder: str | Path, **kwargs) -> PreTrainedTokenizerBase:
    """transformers' tokenizer of a folder; raises CheckpointError, naming the folder, if it cannot be loaded."""
    try:
        return AutoTokenizer.from_pretrained(folder, **kwargs)
    except Exception as error:  # of many kinds, and none names the folder
        raise CheckpointError(f"{folder}: its tokenizer cannot be loaded (is a file damaged?): {error}") from error


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
    The answer is greedy and without the repetition penalty that released checkpoints carry. A model whose configuration
    lists its ``questions`` answers others without knowing what they mean: a warning says so.

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
    if not isinstance(question, str) or not question.strip() or question.encode(errors="ignore").decode() != question:
        raise InputError(f"question: expected text, got {question!r}")
    check_whole("max_new_tokens", max_new_tokens)
    if token_budget is not None:
        check_whole("token_budget", token_budget)
        if compression != "auto":
            raise InputError(f"token_budget: expected compression 'auto' with it, got compression {compression!r}")
    prepared, inputs = fitting(model, processor, visual, question, resolution, compression, token_budget)
    out = model.generate(
        **inputs.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        repetition_penalty=1.0,
        eos_token_id=chat.stop_ids(processor.tokenizer, processor.prompt),
        pad_token_id=processor.pad_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    likelihood = model.compute_transition_scores(out.sequences, out.logits, normalize_logits=True).sum()
    text = processor.decode(out.sequences[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    told = {"probability": float(likelihood.exp()), "seconds": time.perf_counter() - began}
    return Answer(text, **told, **described(prepared, processor.patch))


def fitting(
    model: Any,
    processor: Any,
    visual: Any,
    question: str,
    resolution: str | int | Resolution = "native",
    compression: int | str = "auto",
    token_budget: int | None = None,
) -> tuple[list[Prepared], BatchFeature]:
    """The visual at the first ratio that fits, and the model inputs.

    Arguments and errors are those of :func:`ask`; so is the warning, which comes once for each question.
    """
    if (known := model.config.questions) and question.strip() not in known:
        logger.warning_once(f"{question!r} is none of the questions this model was trained on: {', '.join(known)}")
    limit = model.config.tokenizer_model_max_length or float("inf")
    for side in _sides(compression, visual, token_budget):
        prepared = [] if visual is None else processor.prepare(visual, resolution, side)
        inputs, length, tokens = processor.counted(question, prepared)
        if length <= limit and tokens <= (token_budget or tokens):
            break
    frames = sum(one.frames for one in prepared)
    if tokens > (token_budget or tokens):
        raise InputError(
            f"token_budget: {token_budget} visual tokens are allowed, at the highest compression of 'auto' {frames} "
            f"picture(s) take {tokens}: use fewer frames or a smaller resolution"
        )
    if length > limit:
        raise InputError(
            f"question and visual take {length} tokens, {tokens} of them visual ({frames} picture(s)); this model "
            f"takes at most {limit}: use fewer frames, a higher compression or a smaller resolution"
        )
    return prepared, processor.drawn(inputs, prepared)


def _sides(compression: int | str, visual: Any, budget: int | None) -> list[int | None]:
    """Region sides to try in turn; None: the processor's own rule. Only the first that fits is used, or the last."""
    if compression != "auto":
        side = isqrt(check_whole("compression", compression, "'auto' or a ratio such as 1, 4, 16"))
        if side * side != compression:
            raise InputError(f"compression: expected the square of a whole side (1, 4, 9, 16, ...), got {compression}")
        if side > LARGEST_REGION:
            most = f"{LARGEST_REGION**2}, regions of {LARGEST_REGION} x {LARGEST_REGION} tokens"
            raise InputError(f"compression: expected at most {most}, got {shortened(compression)}")
        return [side]
    one, *moving = SIDES.values()
    if isinstance(visual, (Video, Views)):
        return [None, moving[-1]] if budget is None else moving
    return [None] if budget is None else [one, *moving]
