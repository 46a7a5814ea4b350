"""The model ``oryx_workbook`` of lmms-eval: a checkpoint, ours or the authors', asked by a named protocol."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval.protocol import ChatMessages
from loguru import logger
from tqdm import tqdm
from transformers import BatchFeature

import oryx
from oryx.errors import InputError, MissingResource, SettingsError, check_known
from oryx.eval.generate import ChatPrompt
from oryx.layout import SIDES
from oryx.model.loading import checkpoint_hash
from oryx.processing.chat import MARK
from oryx.processing.collate import collate
from oryx.processing.processor import OryxProcessor, Prepared
from oryx.processing.visuals import Video
from oryx.train.device import Compute, compute, load_whole
from workbook.data.protocols import protocol as named_protocol
from workbook.evals.decoding import cut, generation

OWN = ("pretrained", "protocol", "max_new_tokens", "precision")


@dataclass(frozen=True)
class Question:
    """Model inputs, whether a video is asked about, and the length in tokens."""

    inputs: BatchFeature
    video: bool
    tokens: int


class OryxWorkbook(lmms):
    """For tasks whose answers are generated; the harness hands over messages of text, images and videos.

    Args:
        pretrained: a checkpoint as ``oryx.load`` takes it.
        protocol: a name of ``workbook/data/protocols.toml``.
        max_new_tokens: for tasks that name none.
        precision: "auto" (bf16 on a GPU, fp32 on a CPU), "fp32" or "bf16".
        device: of a single process, which otherwise takes all GPUs; each of several takes its own.
        changes: fields of the protocol that are to be otherwise.

    Raises:
        SettingsError: an unknown argument, with the nearest one, or a value that cannot be.
        CheckpointError, MissingResource: as of ``oryx.load``, or there is no tokenizer.
    """

    is_simple = False

    def __init__(
        self, pretrained: str, protocol: str = "paper", max_new_tokens: int = 1024, precision: str = "auto",
        device: str | None = None, batch_size: int | str = 1, max_batch_size: int | None = None, **changes: Any,
    ):  # fmt: skip
        super().__init__()
        chosen = named_protocol(protocol)
        check_known(changes, (*OWN, *chosen.sources), "model argument")
        self.protocol = chosen.changed(**changes) if changes else chosen
        if max_batch_size or not str(batch_size).isdecimal() or not int(batch_size):
            raise SettingsError(f"batch_size: expected a whole number and no maximum, got {batch_size!r}")
        self.batch_size, self.most_new = int(batch_size), max_new_tokens
        self.accelerator, machine = Accelerator(), compute(precision)
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        one = bool(device) and self._world_size == 1
        machine = Compute(torch.device(device), machine.precision) if one else machine
        self.model, self.device = load_whole(pretrained, machine, all_gpus=not one), machine.device
        own = self.model.processor
        self.processor = OryxProcessor(own.tokenizer, self.protocol.options, own.prompt, own.patch)
        self.prompts = ChatPrompt(self.processor)
        self.used = {"checkpoint": str(pretrained), **self.protocol.described(), "max_new_tokens": max_new_tokens}
        self.used |= {"precision": machine.precision, "oryx_workbook": oryx.__version__}
        self.used["weights_hash"] = checkpoint_hash(pretrained) if self.rank == 0 else None
        self.failed: list[str] = []
        self.command = None  # the harness's command line, which it writes into its results
        self.shown: tuple[Any, list[Prepared]] = (None, [])  # questions about one video stand together

    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        """An answer to every request.

        A question that fails (a damaged file, too long, out of memory even alone) gets an empty answer; it is named in
        the log and in the results. With ``--use_cache`` all others are kept, and a rerun asks it again.
        """
        for request in requests:  # what cannot be is refused before any work
            generation(request.args[2], self.protocol, False, self.most_new)
        found, bar = [], tqdm(total=len(requests), disable=self.rank != 0, desc="Answers")
        for _, group in groupby(requests, lambda request: (repr(request.args[2]), request.args[4:])):
            alike = list(group)
            for start in range(0, len(alike), self.batch_size):
                found += self._answers(alike[start : start + self.batch_size])
                bar.update(len(found) - bar.n)
        return found

    def loglikelihood(self, requests: list[Instance]) -> None:
        """Raises MissingResource: the harness asks no model that takes messages for likelihoods."""
        raise MissingResource("likelihoods are not part of this model; expected tasks of type generate_until")

    def generate_until_multi_round(self, requests: list[Instance]) -> None:
        """Raises MissingResource: conversations of several rounds are not part of this model."""
        raise MissingResource(f"{requests[0].args[4]}: a task of several rounds; this model answers single questions")

    def clean(self) -> None:
        """Every process comes here once all is asked: what was used, and what failed, goes into the results."""
        self.used["failed"] = sorted({*gather_object(self.failed)})  # a process may ask its last question again
        if self.command is not None:
            self.command.oryx_workbook = self.used
        super().clean()

    def _answers(self, requests: Sequence[Instance]) -> list[GenerationResult]:
        """Where a batch fails, each of its questions is asked alone."""
        questions = [self._attempt(request, self._question, request) for request in requests]
        answers, named = [GenerationResult("", TokenCounts())] * len(requests), requests[0].args[2]
        for video in (False, True):
            own, found = [i for i, one in enumerate(questions) if one and one.video == video], None
            with suppress(Exception):
                found = self._generate([questions[i] for i in own], named) if own else []
            if found is None:
                alone = [self._attempt(requests[i], self._generate, [questions[i]], named) for i in own]
                found = [one[0] if one else GenerationResult("", TokenCounts()) for one in alone]
            for i, answer in zip(own, found, strict=True):
                answers[i] = answer
        return answers

    def _attempt(self, request: Instance, function: Callable, *args: Any) -> Any:
        """What the function gives; None where it fails, which is noted."""
        try:
            return function(*args)
        except Exception as error:
            number, task, _ = request.args[3:]
            logger.error(f"{task}, question {number}: {type(error).__name__}: {error}")
            self.failed.append(f"{task}/{number}")

    def _question(self, request: Instance) -> Question:
        _, messages, _, number, task, split = request.args
        self.command = getattr(messages.__self__, "args", None)
        turns = ChatMessages(messages=messages(self.task_dict[task][split][number])).messages
        if (roles := [turn.role for turn in turns]) != ["user"]:
            raise InputError(f"messages: expected one turn of the user, got {roles}")
        parts = turns[0].content
        prepared = [one for part in parts if part.type != "text" for one in self._prepare(part)]
        text = "".join(part.text for part in parts if part.type == "text")
        if MARK not in text:  # else the task itself says where its visuals stand
            text = "".join(part.text if part.type == "text" else f"{MARK}\n" for part in parts)
        most = self.model.config.tokenizer_model_max_length
        inputs, length, visual = self.processor.counted(text, prepared)
        if most and length > most:
            raise InputError(f"{length} tokens, {visual} of them visual, and the model takes at most {most}")
        return Question(self.processor.drawn(inputs, prepared), any(part.type == "video" for part in parts), length)

    def _prepare(self, part: Any) -> list[Prepared]:
        if part.type == "image":
            return self.processor.prepare(part.url)
        if part.type != "video" or part.start_time or part.end_time:
            raise InputError(f"expected images and whole videos, got {part!r:.200}")
        if not isinstance(part.url, str) or part.url != self.shown[0]:
            side = SIDES["video"] if self.protocol.long_compression == SIDES["video"] ** 2 else None
            video = Video(part.url, repeat=self.protocol.repeat_frames)
            self.shown = part.url, self.processor.prepare(video, side=side)
        return self.shown[1]

    def _generate(self, questions: Sequence[Question], named: dict[str, Any]) -> list[GenerationResult]:
        stops, pad = self.prompts.stops, self.processor.pad_id
        batch = collate([one.inputs for one in questions], pad, "left").to(self.model.device)
        chosen = generation(named, self.protocol, questions[0].video, self.most_new)
        out = self.model.generate(**batch, **chosen, eos_token_id=stops, pad_token_id=pad)
        new = out[:, batch["input_ids"].shape[1] :].tolist()
        return [
            GenerationResult(cut(self.prompts.text(ids), named.get("until")), TokenCounts(one.tokens, len(ids)))
            for one, ids in zip(questions, new, strict=True)
        ]
