"""The one way to ask a whole model questions about any visuals: own tables, benchmarks, studies on released weights.

All questions about one visual are asked together: it is opened, encoded and read by the language model once, and each
question goes on from there. Beside each stands the same question without the visual.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import exp
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from oryx.eval.generate import ChatPrompt, Prompted, chooser, read_prompts
from oryx.layout import VISUAL_TOKEN_ID
from oryx.processing.images import described
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor, fitting
from oryx.processing.sizes import Resolution
from oryx.train.device import Compute, load_whole, process
from workbook.data.answers import option_letter, score
from workbook.studies.base import Progress
from workbook.studies.evaluate import Batch
from workbook.studies.frames import evaluate_arm, shared_rows


@dataclass(frozen=True)
class Question:
    """One question about one visual.

    Attributes:
        visual: as ``model.ask`` takes it, and hashable: questions of equal visuals are asked together.
        text: the whole prompt; ``truth``: the expected answer, of which the log-likelihood is noted.
        score: answer -> 0 to 1.
        options: where the answer is a letter, the texts of the options.
        most: longest answer in tokens.
        more: further fields of its rows.
    """

    id: str
    visual: Any
    text: str
    truth: str
    task: str
    cluster: str
    chance: float
    score: Callable[[str], float]
    options: tuple[str, ...] = ()
    most: int = 32
    more: Mapping[str, Any] = field(default_factory=dict)


def worded(item: Any, chance: float, settings: Any, video: Mapping[str, Any]) -> Question:
    """A line of one's own table, or the first question of a record, scored and bounded as ``settings`` say.

    ``video``: how a video is shown, as of :class:`oryx.Video`.
    """
    right = partial(score, truth=item.answer, rule=settings.score)
    about = {"task": item.task, "cluster": item.cluster, "chance": chance, "score": right}
    return Question(item.id, item.visual(**video), item.question, item.answer, most=settings.max_new_tokens, **about)


@dataclass(frozen=True)
class Way:
    """How an arm asks.

    Attributes:
        resolution, compression: as ``model.ask`` takes them.
        options: of the preprocessing; None: the model's own.
        generation: as for ``model.generate``, of temperature, top_k, do_sample and repetition_penalty; what is left out
            is the checkpoint's. None: greedy, without a penalty.
    """

    resolution: str | Resolution = "native"
    compression: int | str = "auto"
    options: PreprocessOptions | None = None
    generation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Asker:
    """Asks one checkpoint; it is loaded when the first answer is needed. Raises MissingResource without a tokenizer.

    ``change``: what is done to the loaded model first, of studies that take a part of it away. ``loaded``: a model that
    is there already.
    """

    checkpoint: str
    machine: Compute
    change: Callable[[Any], None] = lambda model: None
    loaded: Any = None

    @cached_property
    def model(self) -> Any:
        model = self.loaded or load_whole(self.checkpoint, self.machine)
        self.change(model)
        return model

    def ask(self, folder: Path, batches: Sequence[Batch], progress: Progress) -> None:
        """Write the rows of ``batches`` that are missing in ``folder``; the model is loaded only if one is.

        Each of several processes has batches of its own (:meth:`batches`), which the first gathers.
        """
        with shared_rows(folder) as writer:
            if not all(writer.has(row) for batch in batches for row in batch.rows):
                _ = self.model  # here: a model that cannot be loaded is no failed item
            evaluate_arm(batches, writer, self.machine, progress)

    def batches(
        self, questions: Sequence[Question], way: Way, base: dict, conditions: Sequence[str] = ("visual", "no_visual")
    ) -> list[Batch]:
        """This process's share: the questions of every visual as a batch, and again without the visual.

        ``base``: the fields that all rows share; ``conditions``: one of the two alone, if only that is asked.
        """
        groups: dict[Any, list[Question]] = {}
        for question in questions:
            groups.setdefault(question.visual, []).append(question)
        number, count = process().process_index, process().num_processes
        return [
            Batch(
                [_row(question, base, condition) for question in group], partial(self._answers, group, way, condition)
            )
            for group in list(groups.values())[number::count]
            for condition in conditions
        ]

    def _answers(self, questions: Sequence[Question], way: Way, condition: str) -> list[dict]:
        own = self.model.processor
        processor = OryxProcessor(own.tokenizer, way.options or own.options, own.prompt, own.patch)
        if condition == "no_visual":
            blind = [dict(processor.assemble(question.text, [])) for question in questions]
            return [
                self._answer(read_prompts(self.model, inputs), question, processor, way)
                for inputs, question in zip(blind, questions, strict=True)
            ]
        longest = max((question.text for question in questions), key=lambda text: len(processor.prompt_ids(text)))
        shown = questions[0].visual, longest, way.resolution, way.compression
        prepared, fitted = fitting(self.model, processor, *shown)
        inputs, found = dict(fitted), []
        start = inputs["input_ids"].shape[1] - inputs["input_ids"][0].tolist()[::-1].index(VISUAL_TOKEN_ID)
        for name in ("input_ids", "attention_mask"):  # what comes before the question is read once
            inputs[name] = inputs[name][:, :start]
        read = read_prompts(self.model, inputs)
        seen = described(prepared, processor.patch)
        seen["sampling"] = getattr(shown[0], "sampling", None) if seen["decoder"] else None
        for question in questions:
            with read.after(processor.prompt_ids(question.text, len(prepared))[start:]) as asked:
                found.append(self._answer(asked, question, processor, way) | seen)
        return found

    def _answer(self, asked: Prompted, question: Question, processor: OryxProcessor, way: Way) -> dict:
        prompts, own = ChatPrompt(processor), self.model.generation_config
        kind = {"repetition_penalty": 1.0} if way.generation is None else way.generation
        top_k, penalty = kind.get("top_k", own.top_k), kind.get("repetition_penalty", own.repetition_penalty)
        choose = chooser(kind.get("temperature", 0.0), top_k or 0, penalty or 1.0)
        ids = asked.greedy(prompts.stops, question.most, choose)[0]
        answer, (probability,) = prompts.text(ids), asked.likelihoods([ids])
        found = {"answer": answer, "score": question.score(answer), "answer_probability": exp(probability)}
        found["logprob"] = asked.likelihoods([prompts.answer(question.truth)])[0]
        if question.options:
            letters = ascii_uppercase[: len(question.options)]
            likely = {letter: float(asked.first[0, prompts.answer(letter)[0]]) for letter in letters}
            found |= {"chosen": option_letter(answer, question.options), "likeliest": max(likely, key=likely.get)}
        return found


def _row(question: Question, base: dict, condition: str) -> dict:
    about = {name: getattr(question, name) for name in ("task", "cluster", "truth", "chance")}
    nothing = {"condition": condition, "visual_tokens": 0, "frames": 0, "sizes": []}
    return {**base, **about, "item": question.id, "question": question.text, **nothing, **question.more}
