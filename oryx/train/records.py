"""Conversations about pictures and videos in the format of LLaVA's ``data.json``, read strictly.

A file is a JSON list, or JSON lines, of records such as

    {"id": 1, "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\\nWhat is it?"},
                                                  {"from": "gpt", "value": "A cat."}]}

In place of ``image`` stands ``images`` (a list of separate pictures), ``video`` (a file, or a folder of frames),
``views`` (a list of pictures of one scene), or nothing for text alone. Every visual has its ``<image>`` mark in a
question; a video and the views of a scene are one visual. ``task`` may name what a record is counted under.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oryx.errors import InputError, OryxError, SettingsError, check_known, first_fault
from oryx.files import check_file
from oryx.processing import chat
from oryx.processing.processor import OryxProcessor, Prepared
from oryx.processing.sizes import Resolution
from oryx.processing.visuals import Images, Video, Views, frame_files

VISUALS = {"image": Path, "images": Images, "video": Video, "views": Views}
"""Field of a record -> what is made of its files."""


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str | int
    image: str | None = None
    images: list[str] | None = Field(None, min_length=1)
    video: str | None = None
    views: list[str] | None = Field(None, min_length=1)
    conversations: list[dict[Literal["from", "value"], str]] = Field(min_length=2)
    task: str = "records"


@dataclass(frozen=True)
class Record:
    """One conversation.

    Attributes:
        name: file, number and id, for messages.
        kind: one of VISUALS; None: text alone.
        files: its pictures or its video.
        conversation: turns as :mod:`oryx.processing.chat` takes them, ending with an answer.
        task: what it is counted under where it is scored; the record may name one.
    """

    name: str
    id: str
    kind: str | None
    files: tuple[Path, ...]
    conversation: tuple[dict, ...]
    task: str

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
        return str(self.files[0]) if self.files else self.id

    def visual(self, **video: Any) -> Any:
        """What ``model.ask`` takes; ``video``: as for :class:`Video`."""
        if self.kind in ("images", "views"):
            return VISUALS[self.kind](self.files)
        return VISUALS[self.kind](self.files[0], **video if self.kind == "video" else {}) if self.kind else None

    def prepare(
        self,
        processor: OryxProcessor,
        resolution: str | Resolution = "native",
        side: int | None = None,
        **video: Any,
    ) -> list[Prepared]:
        """Its visuals at their final sizes; ``resolution`` and ``side``: as of the processor's own ``prepare``.

        Raises InputError, naming the record, for one that cannot be read.
        """
        try:
            return processor.prepare(self.visual(**video), resolution, side) if self.kind else []
        except OryxError as error:
            raise InputError(f"{self.name}: {error}") from error


def read_records(path: str | Path, media: str | Path | None = None) -> list[Record]:
    """The records of a file in its order; ``media``: the folder of their files, by default the file's own.

    Raises SettingsError naming the file, the first bad record's number and id, and the field: not JSON, an unknown or
    missing field, more than one kind of visual, a file that is not there, marks that do not fit the visuals, turns
    that do not alternate or end with a question, an id that comes twice.
    """
    path = Path(path)
    try:
        text = check_file(path, "json").read_text(encoding="utf-8")
        found = list(map(json.loads, filter(str.strip, text.splitlines()))) if path.suffix == ".jsonl" else None
        found = json.loads(text) if found is None else found
    except (OryxError, ValueError) as error:
        raise SettingsError(f"data: {path}: expected a JSON list of records, or JSON lines; {error}") from None
    if not isinstance(found, list) or not found or not all(isinstance(fields, dict) for fields in found):
        raise SettingsError(f"data: {path}: expected a JSON list of records, got {str(found)[:60]!r}")
    records: dict[str, Record] = {}
    for number, fields in enumerate(found):
        name = f"{path}, record {number}" + (f" (id {fields['id']!r})" if "id" in fields else "")
        try:
            record = _record(fields, name, Path(media or path.parent))
        except OryxError as error:
            raise SettingsError(f"data: {name}: {error}") from None
        if (earlier := records.setdefault(record.id, record)) is not record:
            raise SettingsError(f"data: {name}: expected an id of its own, this one is also that of {earlier.name}")
    return list(records.values())


def _record(fields: dict, name: str, media: Path) -> Record:
    check_known(fields, _Fields.model_fields, "field")
    try:
        given = _Fields(**fields)
        turns = tuple(chat.checked(given.conversations))
    except ValidationError as error:
        raise InputError(first_fault(error)) from None
    except InputError as error:
        raise InputError(f"conversations: {error}") from None
    if len(turns) % 2:
        raise InputError("conversations: expected an answer (from 'gpt') last, got a question")
    kind, *others = [kind for kind in VISUALS if getattr(given, kind) is not None] or [None]
    if others:
        raise InputError(f"expected one of {', '.join(VISUALS)}, got {kind} and {' and '.join(others)}")
    named = getattr(given, kind) if kind else []
    files = tuple(media / file for file in ([named] if isinstance(named, str) else named))
    for file in files:
        try:
            frame_files(file) if kind == "video" and file.is_dir() else check_file(
                file, "video" if kind == "video" else "picture"
            )
        except InputError as error:
            raise InputError(f"{kind}: {error}") from None
    marks = sum(turn["value"].count(chat.MARK) for turn in turns[::2])
    visuals = len(files) if kind == "images" else bool(kind)
    if marks != visuals:
        raise InputError(
            f"conversations: {marks} {chat.MARK} mark(s) in questions, {visuals:d} visual(s) in the record"
        )
    return Record(name, str(given.id), kind, files, turns, given.task)
