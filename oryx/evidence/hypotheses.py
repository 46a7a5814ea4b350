"""What a study states before any report run: ``hypotheses.toml``, read strictly.

One ``[[hypothesis]]`` has

========================  ==========================================================================================
id, study, paper          own id (``H1a.quarter.nano``), study id, id of the paper's claim (``H1a``)
statement                 the claim in words
scale                     the scale whose runs it judges; all, unless given. Smoke rehearses what is stated for nano
family                    ``claim`` (the paper's, unless given) or ``addition`` (our additions and controls)
kind                      | ``difference``: first arm above the second
                          | ``equivalence``: the two arms differ by less than ``margin``
                          | ``order``: each arm above the one before it
                          | ``interaction``: first minus second arm is larger on ``tasks`` than on ``other_tasks``
                          | ``level``: the arm's score is above ``level``
                          | ``retention``: the arm's score on ``tasks`` is at most ``margin`` below ``other_tasks``
                          | ``contrast``: the sum of ``weights`` times the arms' scores is above 0 (main effects of a
                          | crossed design, interactions of arms)
arms, tasks               what is compared, on which tasks (each weighs the same). ``native@at_pad`` is the arm native
                          as it was asked under the condition ``at_pad``
other_tasks               for interaction and retention; refused elsewhere
level, weights            for level; for contrast, one number an arm; refused elsewhere
measure                   ``score`` (exact match, unless given) or ``logprob``: the log-likelihood of the true answer,
                          cut at -20
where                     row filters, field = value or list of values; ``condition = "visual"`` unless it says else
margin                    0.05 unless given: the size of a difference that matters, in units of the measure
cluster                   the field that holds the unit of the intervals, ``cluster`` unless given
gate                      arms, tasks, where (beside the hypothesis's own), above_chance (0.1): did they learn at all?
                          Each arm must exceed chance by that much on each task, by the mean over seeds
hard_for                  an arm: in the first half of the seeds it answered the items asked wrongly more often than
                          not; the other half of the seeds is judged on those items alone
paper_value               the paper's number, "not found" unless given
========================  ==========================================================================================

``[report.SCALE]`` with ``seeds = [...]`` names the seeds of the report run, also of one away from the scale's preset
(``[report."nano,panel=arms"]``): a published run has these and no others.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from oryx.evidence.entries import Entry, Listed, Names, Text, read_entries
from oryx.evidence.schema import SCALES

KINDS = {
    "difference": 2,
    "equivalence": 2,
    "order": None,
    "interaction": 2,
    "level": 1,
    "retention": 1,
    "contrast": None,
}
"""Kind -> its number of arms; None: two or more."""
VISUAL = {"condition": "visual"}


Value = str | int | float | bool
VISUAL_UNLESS_SAID = BeforeValidator(lambda value: VISUAL | value if isinstance(value, dict) else value)
Filter = Annotated[dict[str, Value | Annotated[list[Value], Field(min_length=1)]], VISUAL_UNLESS_SAID]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Gate(Entry):
    """Easy conditions, on each of which every arm of a comparison must have left chance by the mean over seeds."""

    arms: Names
    tasks: Names
    where: Filter = VISUAL
    above_chance: Share = 0.1


class Hypothesis(Entry):
    """One entry of hypotheses.toml, checked; fields as at the top of this file."""

    id: Text
    study: Text
    paper: Text
    statement: Text
    scale: Literal[SCALES] | None = None
    family: Literal["claim", "addition"] = "claim"
    kind: Literal[tuple(KINDS)]
    arms: Names
    tasks: Names
    other_tasks: Names = ()
    measure: Literal["score", "logprob"] = "score"
    where: Filter = VISUAL
    margin: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.05
    level: Share | None = None
    weights: Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Listed] = ()
    cluster: Text = "cluster"
    gate: Gate | None = None
    hard_for: Text | None = None
    paper_value: Text | int | float = "not found"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Hypothesis":
        count, kind = KINDS[self.kind], self.kind
        if len(self.arms) < 2 if count is None else len(self.arms) != count:
            raise ValueError(f"arms: {kind} needs {count or 'two or more'}, got {list(self.arms)}")
        owned = {"other_tasks": ("interaction", "retention"), "level": ("level",), "weights": ("contrast",)}
        for name, owners in owned.items():
            if (name in self.model_fields_set) != (kind in owners):
                word = "needs this field" if kind in owners else f"does not have it, only {' and '.join(owners)} do"
                raise ValueError(f"{name}: {kind} {word}")
        if kind == "contrast" and (len(self.weights) != len(self.arms) or not any(self.weights)):
            raise ValueError(f"weights: expected one for each of the arms, not all zero, got {list(self.weights)}")
        if self.measure == "logprob" and (kind == "level" or "margin" not in self.model_fields_set):
            other = "level" if kind == "level" else "score"
            raise ValueError(f"measure: logprob needs a margin of its own and is no {other}")
        if shared := set(self.tasks) & set(self.other_tasks):
            raise ValueError(f"other_tasks: {sorted(shared)} are in tasks too")
        if (named := self.id.rpartition(".")[2]) in SCALES and named != self.scale:
            raise ValueError(f'id: ends in {named!r}, so expected scale = "{named}", got {self.scale!r}')
        return self


def load_hypotheses(path: str | Path) -> list[Hypothesis]:
    """The hypotheses of a file. Raises SettingsError naming the id and field of whatever is not as described above."""
    return read_entries(path, "hypothesis", Hypothesis, ("report",))
