"""What one arm is asked in the cells of the needle grid, as batches of rows for the evaluator."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

from oryx.eval.features import FrameTokens
from oryx.eval.generate import BytePrompt, PromptFormat, ask, read_videos, without_video
from oryx.grids import Grid, video_token_count
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.device import Compute, process
from workbook.data.needles import NAMES, Trial, make_trial
from workbook.studies.base import Progress
from workbook.studies.evaluate import Batch
from workbook.studies.frames import MOST_TOKENS, chunks, evaluate_arm, shared_rows
from workbook.studies.needle.arms import ARMS, OTHER_QUESTION_ARMS
from workbook.studies.needle.cells import Cell, arm_cells, audit_cells
from workbook.studies.needle.settings import Settings
from workbook.studies.needle.videos import TrialVideos

OTHER_QUESTION = "colour"
"""Asked about the same video: the colour of the card. Retrieval training lacks this question, the shared reader knew
it: does the model still answer other questions sensibly?"""


@dataclass
class Evaluation:
    """The questions to one arm. A batch's payload is a call that answers it.

    ``base``: the fields that all rows share; ``grid``: of a compressed frame; ``longest``: frames in the longest clip
    it was trained on; ``phrases``: what stands for a question's short form (``red``), itself where there is none.
    """

    settings: Settings
    model: OryxForConditionalGeneration
    videos: TrialVideos
    base: dict
    grid: Grid
    longest: int
    prompts: PromptFormat = field(default_factory=BytePrompt)
    phrases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        arm, state = self.base["arm"], process()
        self.asked, self.audited = arm_cells(self.settings, arm), audit_cells(self.settings, arm)
        self.share = (state.process_index, state.num_processes)

    def ask(self, folder: Path, machine: Compute, progress: Progress) -> None:
        """Ask everything that has no row in ``folder`` yet.

        Several processes share the trials of every cell, and each writes rows of its own, which the first gathers.
        """
        with shared_rows(folder) as writer:
            evaluate_arm(self.batches(folder / f"complete-{self.share[0]}"), writer, machine, progress)

    def batches(self, folder: Path) -> Iterator[Batch]:
        """Every cell, then trials that are asked again as complete files (written to ``folder`` one at a time)."""
        for cell in self.asked:
            yield from self._batches(cell, self._trials(cell), self._conditions(cell), self.videos.tokens)
        whole_file = partial(self.videos.whole_file, folder=folder)
        for cell in self.audited:
            for trial in self._trials(cell):
                yield from self._batches(cell, [trial], ["complete_file"], whole_file)

    def _conditions(self, cell: Cell) -> list[str]:
        """With and without the video; some arms also answer another question about it."""
        other = cell.variant == "number" and self.base["arm"] in OTHER_QUESTION_ARMS
        return ["visual", "no_visual", *(["other_question"] if other else [])]

    def _trials(self, cell: Cell) -> list[Trial]:
        where, files = (self.settings.split, cell.variant, cell.frames, cell.depth), self.videos.files
        trials = [make_trial(*where, i, files.size, files.count) for i in range(cell.trials)]
        number, count = self.share
        by_haystack = files.count >= count  # so that each haystack is encoded by one process
        return [t for i, t in enumerate(trials) if (t.haystack if by_haystack else i) % count == number]

    def _batches(
        self, cell: Cell, trials: Sequence[Trial], conditions: Sequence[str], tokens_of: Callable[[Trial], FrameTokens]
    ) -> Iterator[Batch]:
        """Trials whose questions are of one length in tokens, at most MOST_TOKENS video tokens together."""

        def length(trial: Trial) -> int:
            return len(self.prompts.after(self._question(trial, "visual")[0]))

        for _, of_length in groupby(sorted(trials, key=length), key=length):
            for batch in chunks(list(of_length), MOST_TOKENS // self._tokens(cell)):
                rows = [self._row(cell, trial, condition) for condition in conditions for trial in batch]
                yield Batch(rows, partial(self._answers, batch, conditions, tokens_of))

    def _tokens(self, cell: Cell) -> int:
        """Tokens that the language model reads of a video."""
        return video_token_count(ARMS[self.base["arm"]].shown(cell.frames), self.grid)

    def _answers(
        self, trials: Sequence[Trial], conditions: Sequence[str], tokens_of: Callable[[Trial], FrameTokens]
    ) -> list[dict]:
        videos = [tokens_of(trial) for trial in trials]
        began, found = time.perf_counter(), []  # seconds of reading and answering: encoding is shared by all
        read = read_videos(self.model, videos, self.prompts)
        for condition in conditions:
            seen = without_video(self.model, len(trials), self.prompts) if condition == "no_visual" else read
            questions, truths, _ = zip(*(self._question(trial, condition) for trial in trials), strict=True)
            found += ask(seen, questions, truths)
        seconds = (time.perf_counter() - began) / len(trials)
        return [{**row, "seconds": seconds} for row in found]

    def _row(self, cell: Cell, trial: Trial, condition: str) -> dict:
        question, truth, chance = self._question(trial, condition)
        seen, own = condition != "no_visual", self.videos.files.own
        return {
            **self.base,
            "condition": condition,
            "item": trial.id,
            "split": trial.split,
            "task": cell.task,
            "cluster": f"{trial.split}-haystack-{trial.haystack}" if own else trial.needle.cluster,
            "question": question,
            "truth": truth,
            "chance": chance,
            "visual_tokens": self._tokens(cell) if seen else 0,
            "frames": ARMS[self.base["arm"]].shown(cell.frames) if seen else 0,
            "decoder": self.videos.film.decoder if seen else None,
            "warning": self.videos.film.warning or None if seen else None,
            "variant": cell.variant,
            "length": cell.frames,
            "depth": cell.depth,
            "haystack": trial.haystack,
            "needle_places": list(trial.needles),
            "other_places": list(trial.others),
            "sampling": "number" if own else None,
            "inserted": "after sampling" if own else "before sampling",
            "side": self.videos.cache.encoder.side,
            "longest_trained": self.longest,
        }

    def _question(self, trial: Trial, condition: str) -> tuple[str, str, float]:
        """(question, true answer, chance)."""
        needle = trial.needle
        if condition == "other_question":
            return self.phrases.get(OTHER_QUESTION, OTHER_QUESTION), needle.question, 1 / len(NAMES)
        return self.phrases.get(needle.question, needle.question), needle.answer, needle.chance
