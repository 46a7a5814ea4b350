"""Runs reference results ("goldens") from a folder of ``NAME.json`` + ``NAME.safetensors`` pairs.

A tensor file may be stored compressed, as ``NAME.safetensors.xz``; the project's own folder is, to keep clones small.

Nothing here or in the runners knows the name of a case or of a file: a runner recognises a json document by its
structure, and each case is checked by the fields and tensors it has. So another folder of the same layout, with other
cases, runs unchanged: ``pytest tests/golden --golden-dir DIR``.

Any case may carry ``reference_error``: the reference failed, ours gives its documented result or an error of its own.
A note that begins "NOT a target" says that the stored output is a defect: ours, for the proper input, must differ from
it. That is decided here for all runners, by the one exception that every comparison with a stored output raises.

A runner is a module ``tests/golden/runner_NAME.py`` with

``SECTIONS``
    the names of a document's parts that hold cases;
``accepts(document: dict) -> bool``
    whether it understands this json document;
``cases(file: GoldenFile) -> Iterator[tuple[str, dict]]``
    one (id, fields) pair per test item;
``run(case: GoldenCase) -> None``
    computes and asserts.

A document may be accepted by several runners (each adds its items) but not by none: that is a failing item, and so is a
part of a document that holds cases under a name which no accepting runner knows.
"""

import importlib
import json
import lzma
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file
from torch import Tensor

from oryx.errors import OryxError

NOT_A_TARGET = "not a target"


class Mismatch(AssertionError):
    """Ours differs from an output that the reference stored."""


@dataclass(frozen=True, eq=False)
class GoldenFile:
    """One json document with the tensors stored beside it."""

    path: Path
    document: dict

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the file; read once. Empty for documents without a tensor file."""
        name = self.document.get("file", self.path.with_suffix(".safetensors").name)
        source = self.path.parent / name
        packed = source.with_name(source.name + ".xz")
        if packed.exists():
            return load(lzma.decompress(packed.read_bytes()))
        return load_file(source) if "file" in self.document or source.exists() else {}

    def weights(self, prefix: str = "weights/") -> dict[str, Tensor]:
        """The tensors under ``prefix``, with the prefix cut off."""
        found = {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}
        assert found, f"{self.path.name}: no tensor begins with {prefix!r}"
        return found

    def tolerance(self, name: str | None = None) -> dict[str, float]:
        """``{"atol": .., "rtol": ..}`` as the json states it, for one named quantity or for the whole file."""
        stated = self.document["tolerance"]
        if name is not None:
            stated = stated[name]
        return {"atol": stated.get("atol", 0.0), "rtol": stated.get("rtol", 0.0)}


@dataclass(frozen=True, eq=False)
class GoldenCase:
    """One test item: the fields of a case and the file it comes from."""

    id: str
    fields: dict[str, Any]
    file: GoldenFile
    runner: ModuleType | None

    @property
    def name(self) -> str:
        """The prefix of this case's tensors."""
        return self.fields["name"]

    @property
    def not_a_target(self) -> bool:
        """True if the stored output is a defect: ours, for the proper input, must differ from it."""
        return self.fields.get("note", "").lower().startswith(NOT_A_TARGET)

    @property
    def reference_error(self) -> dict | None:
        """The exception the reference raised, if it did."""
        return self.fields.get("reference_error") or self.fields.get("error")

    def has(self, name: str) -> bool:
        """Whether tensor ``{case}/{name}`` exists."""
        return f"{self.name}/{name}" in self.file.tensors

    def tensor(self, name: str) -> Tensor:
        """Tensor ``{case}/{name}``."""
        return self.file.tensors[f"{self.name}/{name}"]

    def indexed(self, name: str) -> dict[int, Tensor]:
        """The tensors ``{case}/{name}/{i}`` by their number i."""
        prefix = f"{self.name}/{name}/"
        keys = [key for key in self.file.tensors if key.startswith(prefix) and key[len(prefix) :].isdigit()]
        return {int(key[len(prefix) :]): self.file.tensors[key] for key in sorted(keys)}


def runners() -> list[ModuleType]:
    """Every ``runner_*`` module of this package."""
    package = __package__ or "tests.golden"
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return [importlib.import_module(f"{package}.{name}") for name in sorted(names) if name.startswith("runner_")]


def collect(folder: Path) -> Iterator[GoldenCase]:
    """All cases of all json documents in ``folder``."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"--golden-dir {folder}: no .json file in this folder")
    modules = runners()
    for path in paths:
        file = GoldenFile(path, json.loads(path.read_text(encoding="utf-8")))
        accepting = [module for module in modules if module.accepts(file.document)]
        known = {name for module in accepting for name in module.SECTIONS}
        strange = [name for name, part in file.document.items() if name not in known and holds_cases(part)]
        if not accepting or strange:
            yield GoldenCase(f"{path.stem}/not-understood", {"parts": strange}, file, None)
        for module in accepting:
            for name, fields in module.cases(file):
                yield GoldenCase(f"{path.stem}/{name}", fields, file, module)


def holds_cases(part: Any) -> bool:
    """Whether a part of a document has a list of objects in it, at any depth."""
    if isinstance(part, dict):
        return any(map(holds_cases, part.values()))
    return isinstance(part, list) and any(isinstance(entry, dict) for entry in part)


def run(case: GoldenCase):
    """Run one case; a document that no runner understands, or a part of it, fails."""
    parts = case.fields.get("parts")
    assert case.runner is not None, f"{case.file.path}: no runner understands {parts or 'this document'}"
    if not case.not_a_target:
        case.runner.run(case)
        return
    try:
        case.runner.run(case)
    except (Mismatch, OryxError) as difference:
        assert str(difference), "an error without a message"
        return
    pytest.fail(f"{case.id}: equals the reference's defect")


def seeded(*shape: int) -> Tensor:
    """Normal random numbers, the same every time: for cases that state a shape but store no tensor."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def assert_close(ours: Tensor, expected: Tensor, what: str, *, atol: float, rtol: float):
    """Same shape, finite, and within the tolerance; the message gives the largest difference."""
    assert torch.isfinite(ours).all(), f"{what}: not finite"
    assert_same(tuple(ours.shape), tuple(expected.shape), f"{what}: shape")
    if not torch.allclose(ours, expected, atol=atol, rtol=rtol):
        raise Mismatch(f"{what}: differs by {(ours - expected).abs().max().item():.3g}")


def assert_equal(ours: Tensor, expected: Tensor, what: str):
    """Same shape and exactly the same values (integers, bytes, masks of any dtype)."""
    assert_same(tuple(ours.shape), tuple(expected.shape), f"{what}: shape")
    if not torch.equal(ours.to(expected.dtype), expected):
        raise Mismatch(f"{what}: values differ")


def assert_same(ours: Any, expected: Any, what: str):
    """Equal values of the json: sizes, indices, ids, text."""
    if ours != expected:
        raise Mismatch(f"{what}: {ours!r} != {expected!r}")
