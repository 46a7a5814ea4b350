"""What one record of training data is: a conversation about pictures or a video, or a needle in a long video.

The format is LLaVA's; :mod:`oryx.train.datasets` reads files and tables of it:

    {"id": 1, "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\\nWhat is it?"},
                                                  {"from": "gpt", "value": "A cat."}]}

In place of ``image`` stands ``images`` (a list of separate pictures, which ``image`` may be too), ``video`` (a file, or
a folder of frames), ``views`` (a list of pictures of one scene), or nothing for text alone. Every visual has its
``<image>`` mark in a question; a video and the views of a scene are one visual. ``task`` may name what a record is
counted under. Needle records have ``video_long``, ``idx``, ``type``, ``question`` and ``answer`` instead; they and what
is done with them are those of the public code (reference file ``train.py``, the data called "movienet").
"""

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oryx.errors import InputError, OryxError, check_known, first_fault
from oryx.files import check_file
from oryx.grids import uniform_indices
from oryx.layout import SIDES
from oryx.processing import chat
from oryx.processing.processor import OryxProcessor, Prepared
from oryx.processing.sizes import Resolution
from oryx.processing.video import probe
from oryx.processing.visuals import Images, Video, Views, frame_files

VISUALS = {"image": Path, "images": Images, "video": Video, "views": Views, "video_long": Video}
"""Field of a record -> what is made of its files."""
NO_MATTER = ("data_source", "metadata", "model", "source")
"""Fields of public files that are passed over."""
NEEDLE_FRAMES = (192, 256)
"""Fewest and most frames that are kept of a long video; the number is drawn (reference)."""
PLACES = {"caption": ("<idx>",), "diff": ("<idx1>", "<idx2>")}
"""Type of a needle record -> what stands in its question for the numbers of its frames."""


class Fields(BaseModel):
    """What a record may say, see above."""

    model_config = ConfigDict(strict=True)

    id: str | int = ""
    image: Any = None
    images: Any = None
    video: Any = None
    views: Any = None
    video_long: Any = None
    conversations: list[dict[Literal["from", "value"], str]] = Field([], min_length=2)
    type: Literal["caption", "diff"] | None = None
    idx: list[int] = []
    question: str = ""
    answer: str = ""
    task: str = "records"


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Puts ``what`` in front of the message of an error; it is an InputError then."""
    try:
        yield
    except ValidationError as error:
        raise InputError(f"{what}: {first_fault(error)}") from None
    except (OryxError, JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{what}: {error}") from error


@dataclass(frozen=True)
class Record:
    """One conversation.

    Attributes:
        name: file, number and id, for messages.
        kind: one of VISUALS; None: text alone.
        files: its pictures or its video; as bytes where they lie in a table.
        conversation: turns as :mod:`oryx.processing.chat` takes them, ending with an answer.
        task: what it is counted under where it is scored; the record may name one.
        idx: of a needle record the numbers of its frames in the whole video, which its question does not name before
            it is :meth:`placed`; ``seed``: of their places.
        indices: which frames of its video are shown, in this order; None: as the video is asked for.
    """

    name: str
    id: str
    kind: str | None
    files: tuple[Path | bytes, ...]
    conversation: tuple[dict, ...]
    task: str = "records"
    idx: tuple[int, ...] = ()
    seed: int = 0
    indices: tuple[int, ...] | None = None

    @property
    def question(self) -> str:
        """The first question, without its marks."""
        return self.conversation[0]["value"].replace(chat.MARK, "").strip()

    @property
    def answer(self) -> str:
        """The first answer."""
        return self.conversation[1]["value"]

    @property
    def cluster(self) -> str:
        """What it has in common with other records: its first file; without any itself."""
        return str(next((one for one in self.files if isinstance(one, Path)), self.id))

    def placed(self, frames: int | None = None, **video: Any) -> "Record":
        """The record as it is learned: a needle record gets its frames and its question their numbers (reference).

        Of a video with more frames than a drawn bound so many are kept, spread uniformly; the needles replace frames at
        new random places. A shorter one is kept whole, its needles where they are. All is drawn by seed and id, so a
        record is the same in every epoch. (The public code draws anew each time.) ``frames``: a bound instead.

        Raises InputError, naming the record, for a video that cannot be read or has no such frames.
        """
        if not self.idx:
            return self
        draw = random.Random(f"{self.seed} {self.id}")
        with naming(self.name):
            total = _frames(self.files[0])
        if not all(0 <= number < total for number in self.idx):
            raise InputError(f"{self.name}: idx: expected frames from 0 to {total - 1}, got {list(self.idx)}")
        bound = max(len(self.idx), frames or draw.randint(*NEEDLE_FRAMES))
        indices, places = list(range(total)), list(self.idx)
        if total > bound:
            indices, places = uniform_indices(total, bound), [draw.randrange(bound // len(self.idx))]
            if len(self.idx) == 2:  # the first in the first half, the second anywhere behind it
                places.append(draw.randrange(places[0] + 1, bound))
            for place, number in zip(places, self.idx, strict=True):
                indices[place] = number
        said = needle_question(self.question, self.answer, places, len(indices))
        return replace(self, conversation=tuple(said), idx=(), indices=tuple(indices))

    def visual(self, **video: Any) -> Any:
        """What ``model.ask`` takes; ``video``: as for :class:`Video`."""
        if self.kind in ("images", "views"):
            return VISUALS[self.kind](self.files)
        if self.kind in ("video", "video_long"):
            return Video(self.files[0], indices=self.indices, **video)
        return self.files[0] if self.kind else None

    def prepare(
        self, processor: OryxProcessor, resolution: str | Resolution = "native", side: int | None = None, **video: Any
    ) -> list[Prepared]:
        """Its visuals at their final sizes; ``resolution`` and ``side``: as of the processor's own ``prepare``.

        A ``video_long`` is compressed 16x unless another side is given. Raises InputError, naming the record, for one
        that cannot be read.
        """
        side = SIDES["video_long"] if side is None and self.kind == "video_long" else side
        with naming(self.name):
            return processor.prepare(self.visual(**video), resolution, side) if self.kind else []


def needle_question(question: str, answer: str, places: Sequence[int], frames: int) -> list[dict]:
    """The conversation of a needle record: the sentence in front is the public code's, and so is its grammar.

    ``places``: the frames' numbers, from 0, among ``frames``, for the marks of :data:`PLACES` in the question.
    """
    for mark, place in zip(PLACES["caption" if len(places) == 1 else "diff"], places, strict=True):
        question = question.replace(mark, str(place))
    opening = (
        f"This is a extremely long video with a total of {frames} frames sampled from the video. Please carefully read "
        "every given frame in this video, identifying the detailed contents in every frame. "
    )
    return [{"from": "human", "value": f"{chat.MARK}\n{opening}{question}"}, {"from": "gpt", "value": answer}]


@lru_cache(maxsize=4096)
def _frames(path: Path) -> int:
    """How many frames a video has; remembered, since many records are about one film."""
    return len(frame_files(path)) if path.is_dir() else probe(path).frames


def as_record(said: Any, name: str, media: Path, number: int, seed: int = 0, marked: bool = True) -> Record:
    """The record that is said; strict.

    Args:
        said: its fields, or the JSON of them.
        name: file and place, for messages, which add the id.
        media: the folder of the files.
        number: the id where there is none.
        seed: of needles' places.
        marked: there is a mark for every visual; else there may be none: the visuals then come first.

    Raises InputError naming the record and the field: an unknown or missing field, more than one kind of visual, a file
    that is not there, marks that do not fit the visuals, turns that do not alternate or end with a question, an empty
    answer.
    """
    with naming(name):
        fields = loads(said) if isinstance(said, bytes) else said
        if not isinstance(fields, dict):
            raise InputError(f"expected an object, got {fields!r}")
    name += f" (id {fields['id']!r})" if "id" in fields else ""
    with naming(name):
        given = {field: value for field, value in fields.items() if field not in NO_MATTER}
        check_known(given, Fields.model_fields, "field")
        made = Fields(**given)
        kind, *others = [kind for kind in VISUALS if getattr(made, kind) is not None] or [None]
        if others:
            raise InputError(f"expected one of {', '.join(VISUALS)}, got {kind} and {' and '.join(others)}")
        files = _files(kind, getattr(made, kind), media) if kind else ()
        kind = "images" if kind == "image" and isinstance(made.image, list) else kind
        needle = kind == "video_long" or made.type or made.idx or made.question
        turns = _needle(made) if needle else made.conversations
        turns = _turns(turns, len(files) if kind == "images" else int(bool(kind)), marked)
    return Record(name, str(number if made.id == "" else made.id), kind, files, turns, made.task, (*made.idx,), seed)


def _turns(said: list[dict], visuals: int, marked: bool) -> tuple[dict, ...]:
    with naming("conversations"):
        turns = tuple(chat.checked(said))
        if len(turns) % 2:
            raise InputError("expected an answer (from 'gpt') last, got a question")
        if not all((turn.get("value") or "").strip() for turn in turns[1::2]):
            raise InputError("expected an answer, got an empty text")
        marks = sum(turn["value"].count(chat.MARK) for turn in turns[::2])
        if marks != visuals and (marks or marked):
            raise InputError(f"{marks} {chat.MARK} mark(s) in questions, {visuals} visual(s) in the record")
    return turns


def _needle(made: Fields) -> list[dict]:
    marks = PLACES.get(made.type, ())
    fits = made.video_long is not None and marks and len(made.idx) == len(marks)
    if not fits or not all(mark in made.question for mark in marks):
        asked = f"type {made.type!r}, idx {made.idx}, question {made.question!r}"
        raise InputError(f"expected video_long, a type of {list(PLACES)}, its idx and marks in question, got {asked}")
    return [{"from": "human", "value": f"{chat.MARK}\n{made.question}"}, {"from": "gpt", "value": made.answer}]


def _files(kind: str, named: Any, media: Path) -> tuple[Path | bytes, ...]:
    film = kind.startswith("video")
    names = named if isinstance(named, list) and not film else [named]
    # a table has {bytes, path} for a picture
    names = [one["bytes"] or one["path"] if isinstance(one, dict) and "bytes" in one else one for one in names]
    with naming(kind):
        if not names or not all(isinstance(one, str if film else str | bytes) for one in names):
            raise InputError(f"expected the name of a file (packed pictures must be written as files), got {named!r}")
        found = tuple(media / one if isinstance(one, str) else one for one in names)
        for path in filter(lambda one: isinstance(one, Path), found):
            frame_files(path) if film and os.path.isdir(path) else check_file(path, "video" if film else "picture")
    return found
