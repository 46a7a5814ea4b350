"""Records from anywhere: JSON files in LLaVA's format, and Hugging Face datasets in parquet, local or from the hub.

A record is parsed when it is asked for and its pictures are decoded when it is prepared, so that a million records take
the memory of their places in the file. What a record may be says :mod:`oryx.train.records`.
"""

import hashlib
import json
import mmap
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from oryx.errors import InputError, MissingResource, OryxError, SettingsError
from oryx.files import atomic_write_json, atomic_write_text, check_file, read_json
from oryx.train.device import process
from oryx.train.records import VISUALS, Fields, Record, as_record

BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL)
"""JSON up to and with its next bracket outside of texts."""
TABLE = re.compile(r"(?P<path>[^:@]+)(:(?P<name>[^@]+))?(@(?P<split>.+))?")
"""A folder of parquet files, or a repository OWNER/NAME; its configuration; its split, by default ``train``."""
COLUMNS = ("id", *VISUALS, "conversations", "task")
"""Of a table, those that are read; where needles are, also theirs."""
OPENED, FAULTY = "opened.json", "faulty.jsonl"
NAMED = 5
"""Faults that an error names one by one."""


class RecordFile(Dataset):
    """The records of a JSON list, or of JSON lines where the name ends in ``.jsonl``; arguments as of `read_data`.

    Raises InputError for a file that holds no records; and naming file, line and record for one that is asked for and
    cannot be used, see :func:`oryx.train.records.as_record`.
    """

    def __init__(self, path: str | Path, media: str | Path | None = None, seed: int = 0):
        self.path, self.media, self.seed = Path(path), Path(media or Path(path).parent), seed
        self.stamp = [str(path), str(media), seed, check_file(path, "json").stat().st_mtime_ns]
        self.spans = np.fromiter(_spans(self.path), np.dtype((np.int64, 3)))

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, number: int) -> Record:
        start, length, line = self.spans[number].tolist()
        name = f"{self.path}, {f'line {line}, ' * bool(line)}record {number}"
        with open(self.path, "rb") as file:
            file.seek(start)
            return as_record(file.read(length), name, self.media, number, self.seed)


def _spans(path: Path) -> Iterator[tuple[int, int, int]]:
    """(first byte, length, line) of every record; the line is 0 in a list. InputError if it is no list of objects."""
    start = end = depth = number = 0
    with open(path, "rb") as file:
        if path.suffix == ".jsonl":
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield start, len(text), line
                start += len(text)
            return
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for found in BRACKET.finditer(data):
        opens, before = found[1] in b"{[", depth
        if depth < 2:  # between records stand commas alone
            between, start = data[end : found.start(1)].strip(), found.start(1)
            if found[1] not in (b"[", b"{]")[depth] or between != b"," * (number > 0 and opens):
                break
        depth, end = depth + (1 if opens else -1), found.end()
        if depth == 1 and before == 2:
            yield start, end - start, 0
            number += 1
    if depth or not number or data[end:].strip():
        got = data[end if number else 0 :][:60].decode(errors="replace")
        raise InputError(f"{path}: expected a JSON list of records, got {got!r} behind {number} records")


class RecordTable(Dataset):
    """The rows of a parquet file, or of a :data:`TABLE`, by the library ``datasets``; arguments as of `read_data`.

    Columns are those of LLaVA's format, such as LLaVA-OneVision-Data has them (others are passed over), or ``images``
    and ``texts`` (The Cauldron). Where no question has a mark, the visuals come in front of the first.

    Raises MissingResource without the library, or for a table that cannot be had; InputError as :class:`RecordFile`.
    """

    def __init__(self, source: str | Path, media: str | Path | None = None, seed: int = 0):
        self.path, self.seed, asked = str(source), seed, TABLE.fullmatch(str(source)).groupdict()
        if file := Path(source).is_file():
            asked = {"path": "parquet", "data_files": self.path}
        self.media = Path(media or (Path(source).parent if file else asked["path"]))
        try:
            from datasets import load_dataset

            found = load_dataset(**{**asked, "split": asked.get("split") or "train"})
        except Exception as error:  # of many kinds
            what = "expected .json, .jsonl or .parquet, a folder of parquet files or OWNER/NAME"
            hint = ' (tables need datasets: pip install -e ".[finetune]")' * isinstance(error, ImportError)
            raise MissingResource(f"data: {source}: {what}{hint}; {error}") from error
        self.rows = found.with_format("arrow")  # as they lie there: no picture is decoded
        self.stamp = [self.path, str(media), seed, found._fingerprint]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Record:
        row = self.rows[int(number)].to_pylist()[0]
        columns = Fields.model_fields if row.get("video_long") else COLUMNS
        fields = {column: value for column, value in row.items() if column in columns and value}
        if "texts" in row:
            said = [(("human", turn["user"]), ("gpt", turn["assistant"])) for turn in row["texts"]]
            fields["conversations"] = [{"from": who, "value": text} for pair in said for who, text in pair]
        return as_record(fields, f"{self.path}, record {number}", self.media, number, self.seed, marked=False)


class Records(Subset):
    """The records of several sources, each read when it is asked for.

    ``lengths``: in tokens, where :func:`checked` has found them.
    """

    lengths: Sequence[int] = ()

    def where(self, number: int) -> dict[str, Any]:
        """The file or table of a record and its number there."""
        place, starts = self.indices[number], [0, *self.dataset.cumulative_sizes]
        source = bisect_right(starts, place) - 1
        return {"file": str(self.dataset.datasets[source].path), "record": place - starts[source]}


def read_data(
    data: Sequence[str | Path], media: str | Path | None = None, limit: int | None = None, seed: int = 0
) -> Records:
    """The records of one or several sources: .json, .jsonl and .parquet files, or what :data:`TABLE` says.

    No record is looked at yet: :func:`checked` does.

    Args:
        media: the folder of the files that records name; by default that of the records.
        limit: at most so many, drawn from all by ``seed``.
        seed: also of needles' places.

    Raises InputError or MissingResource for a source that cannot be read.
    """
    kinds = {".json": RecordFile, ".jsonl": RecordFile}
    found = ConcatDataset([kinds.get(Path(one).suffix, RecordTable)(one, media, seed) for one in data])
    drawn = np.random.default_rng(seed).permutation(len(found))[:limit]
    return Records(found, range(len(found)) if limit is None else sorted(drawn.tolist()))


def read_records(path: str | Path, media: str | Path | None = None) -> list[Record]:
    """The records of a JSON file in its order, each looked at, and each with an id of its own.

    Raises SettingsError naming the first that cannot be used; see :func:`oryx.train.records.as_record`.
    """
    records: dict[str, Record] = {}
    try:
        for record in RecordFile(path, media):
            if (earlier := records.setdefault(record.id, record)) is not record:
                raise InputError(f"{record.name}: expected an id of its own, this one is also that of {earlier.name}")
    except InputError as error:
        raise SettingsError(f"data: {error}") from None
    return list(records.values())


class _Opened(Dataset):
    """Item i is the length of record i in tokens, or what is wrong with it."""

    def __init__(self, records: Records, batches: Any):
        self.records, self.batches = records, batches

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> int | str:
        try:
            return self.batches.inputs(self.records[number])[1]
        except OryxError as error:
            return str(error)


def checked(
    records: Records, batches: Any, workers: int = 0, skip: bool = False, folder: Path | None = None
) -> tuple[Records, list[dict]]:
    """The records that can be used, with their ``lengths``, and of the others {file, record, reason}.

    Each is parsed, its visuals are opened and its tokens counted as in a training. ``folder/faulty.jsonl`` lists the
    others; a reason names file, line and record. ``folder/opened.json`` keeps what was found, so that no later run
    opens the same records again; the files that they name are taken to be as they were.

    Args:
        batches: a :class:`oryx.train.record_batches.RecordBatches`; its own records do not matter.
        workers: processes that open records.
        skip: leave faulty records out. Otherwise SettingsError names the first of them and how many there are; it is
            raised in any case if none is left.
    """
    made, path = batches.processor, Path(folder or "") / OPENED
    told = [[source.stamp for source in records.dataset.datasets], [*records.indices], made.to_dict()]
    told += [made.tokenizer.name_or_path, [repr(getattr(batches, one)) for one in ("limit", "video", "resolution")]]
    told += [repr(batches.sides)]
    of = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    with process().main_process_first():  # the others read what the first has written
        kept = read_json(path) if folder and path.exists() else {}
        if kept.get("of") != of:
            how = {"num_workers": workers, "multiprocessing_context": "spawn" if workers else None}
            # the loader's own draws must not move the training's random numbers
            opened = DataLoader(_Opened(records, batches), None, generator=torch.Generator(), **how)
            kept = {"of": of, "found": list(opened)}
            if folder:
                atomic_write_json(path, kept, indent=None)
    good = [number for number, one in enumerate(kept["found"]) if isinstance(one, int)]
    bad = [(number, one) for number, one in enumerate(kept["found"]) if isinstance(one, str)]
    faults = [{**records.where(number), "reason": reason} for number, reason in bad]
    if folder and process().is_main_process:
        atomic_write_text(path.with_name(FAULTY), "".join(json.dumps(fault) + "\n" for fault in faults))
    if faults and not (skip and good):
        first = "".join(f"\n  {fault['reason']}" for fault in faults[:NAMED]) + "\n  ..." * (len(faults) > NAMED)
        raise SettingsError(f"data: {len(faults)} of {len(records)} records cannot be used:{first}")
    usable = Records(records.dataset, [records.indices[number] for number in good])
    usable.lengths = [kept["found"][number] for number in good]
    return usable, faults
