"""Asking one arm the cells of the needle grid, one row per answer. See :mod:`workbook.studies.needle.study`."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from oryx.eval.generate import ask, read_videos, without_video
from oryx.eval.prompts import BytePrompt, PromptFormat
from oryx.evidence.store import RowWriter
from oryx.grids import Grid, video_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data.frame_bank import NAMES
from workbook.data.needles import Trial, make_trial
from workbook.studies.needle.arms import OTHER_QUESTION_ARMS, Cell
from workbook.studies.needle.videos import TrialVideos
from workbook.studies.videos import MOST_TOKENS

OTHER_QUESTION = "colour"
"""Asked about the same video: the colour of the card. Retrieval training lacks this question, the shared reader knew
it: does the model still answer other questions sensibly?"""


class Asker:
    """Asks a trained arm about trials and writes the rows that are missing.

    ``base``: the fields that all rows share; ``grid``: of a compressed frame; ``longest``: frames in the longest clip
    it was trained on; ``phrases``: what stands for a question's short form (``red``), itself where there is none.
    ``turn``: (number, count) of this process among those that share the trials.
    """

    def __init__(
        self,
        model: OryxForConditionalGeneration,
        videos: TrialVideos,
        writer: RowWriter,
        base: dict,
        grid: Grid,
        longest: int,
        prompts: PromptFormat | None = None,
        phrases: Mapping[str, str] = {},
        turn: tuple[int, int] = (0, 1),
    ):
        self.model, self.videos, self.writer, self.base, self.longest = model, videos, writer, base, longest
        self.grid = grid
        self.prompts, self.phrases, self.turn = prompts or BytePrompt(), phrases, turn

    def ask_all(self, asked: Sequence[Cell], audited: Sequence[Cell], split: str, folder: Path, progress) -> None:
        """Every cell, then those to be asked as complete files (written to ``folder`` one at a time)."""
        total = len(asked) + len(audited)
        for done, cell in enumerate(asked):
            self.ask_cell(cell, split)
            progress("evaluate", done + 1, total)
        for done, cell in enumerate(audited):
            self.audit(cell, split, folder)
            progress("evaluate", len(asked) + done + 1, total)

    def ask_cell(self, cell: Cell, split: str) -> None:
        """The cell's trials with and without their video; some arms also answer another question about it."""
        asked = ["visual", "no_visual"]
        if cell.variant == "number" and self.base["arm"] in OTHER_QUESTION_ARMS:
            asked.append("other_question")
        self._ask(cell, self._trials(cell, split), asked, self.videos.tokens)

    def audit(self, cell: Cell, split: str, folder: Path) -> None:
        """The cell's trials again as complete files, needle inside, decoded and encoded as a whole."""
        for trial in self._trials(cell, split):
            self._ask(cell, [trial], ["complete_file"], lambda t: self.videos.whole_file(t, folder))

    def _trials(self, cell: Cell, split: str) -> list[Trial]:
        where, files = (split, cell.variant, cell.frames, cell.depth), self.videos.files
        trials = [make_trial(*where, i, files.size, files.count) for i in range(cell.trials)]
        number, count = self.turn
        by_haystack = files.count >= count  # so that each haystack is encoded by one process
        return [t for i, t in enumerate(trials) if (t.haystack if by_haystack else i) % count == number]

    def _missing(self, trial: Trial, asked: Sequence[str]) -> list[str]:
        return [c for c in asked if not self.writer.has({**self.base, "condition": c, "item": trial.id})]

    def _ask(self, cell: Cell, trials: list[Trial], asked: Sequence[str], tokens_of: Callable) -> None:
        for batch in self._batches(trials, self._tokens(cell)):
            # after a kill a batch is asked again as a whole: a smaller one would round its sums otherwise
            if not any(self._missing(trial, asked) for trial in batch):
                continue
            answers, error, began = {}, None, time.perf_counter()
            try:
                videos = [tokens_of(trial) for trial in batch]
                began = time.perf_counter()  # seconds are those of reading and answering: encoding is shared by all
                answers = self._answers(batch, videos, asked)
            except Exception as problem:  # a failure is a row with an error, never a zero
                error = f"{type(problem).__name__}: {problem}"
            seconds = (time.perf_counter() - began) / len(batch)
            self.writer.write(
                self._row(cell, trial, condition, answers.get((trial.id, condition)), seconds, error)
                for trial in batch
                for condition in self._missing(trial, asked)
            )

    def _answers(self, batch: list[Trial], videos: list, asked: Sequence[str]) -> dict:
        found, read = {}, read_videos(self.model, videos, self.prompts)
        for condition in asked:
            source = without_video(self.model, len(batch), self.prompts) if condition == "no_visual" else read
            questions = [self._question(trial, condition) for trial in batch]
            answers = ask(source, [q for q, _, _ in questions], [truth for _, truth, _ in questions])
            for trial, answer, likelihood in zip(batch, *answers, strict=True):
                found[trial.id, condition] = (answer, likelihood)
        return found

    def _tokens(self, cell: Cell) -> int:
        return video_token_count(cell.frames, self.grid)

    def _row(self, cell: Cell, trial: Trial, condition: str, answered, seconds: float, error: str | None) -> dict:
        question, truth, chance = self._question(trial, condition)
        answer, likelihood = answered or (None, None)
        seen = condition != "no_visual"
        return {
            **self.base,
            "condition": condition,
            "item": trial.id,
            "split": trial.split,
            "task": cell.task,
            "cluster": f"{trial.split}-haystack-{trial.haystack}",
            "question": question,
            "truth": truth,
            "answer": answer,
            "score": None if error else float(self.prompts.right(answer, truth)),
            "logprob": likelihood,
            "chance": chance,
            "visual_tokens": self._tokens(cell) if seen else 0,
            "frames": cell.frames if seen else 0,
            "seconds": seconds,
            "error": error,
            "variant": cell.variant,
            "length": cell.frames,
            "depth": cell.depth,
            "haystack": trial.haystack,
            "needle_places": list(trial.needles),
            "other_places": list(trial.others),
            "inserted": "after sampling" if self.videos.files.own else "before sampling",
            "side": self.videos.cache.encoder.side,
            "longest_trained": self.longest,
        }

    def _batches(self, trials: Sequence[Trial], tokens: int) -> list[list[Trial]]:
        """Trials whose questions are of one length in tokens, at most MOST_TOKENS video tokens together."""
        most, found = max(1, MOST_TOKENS // tokens), []

        def length(trial: Trial) -> int:
            return len(self.prompts.after(self._question(trial, "visual")[0]))

        for _, group in groupby(sorted(trials, key=length), key=length):
            of_length = list(group)
            found += [of_length[i : i + most] for i in range(0, len(of_length), most)]
        return found

    def _question(self, trial: Trial, condition: str) -> tuple[str, str, float]:
        """(question, true answer, chance)."""
        needle = trial.needle
        if condition == "other_question":
            return self._phrase(OTHER_QUESTION), needle.question, 1 / len(NAMES)
        return self._phrase(needle.question), needle.answer, needle.chance

    def _phrase(self, question: str) -> str:
        return self.phrases.get(question, question)
