"""The code that is written beside weights: complete, relative, and in need of few packages."""

import ast
import json
import sys

from transformers import AutoModelForImageTextToText
from transformers.dynamic_module_utils import get_imports, get_relative_import_files

from oryx.model import OryxForConditionalGeneration
from oryx.processing.processor import OryxProcessor
from oryx.remote_code import ENTRY, add_code, sources

from ..tiny import save_tiny_model

NEEDED = {"torch", "transformers", "numpy", "PIL"}


def test_every_file_is_reached_and_needs_few_packages(tmp_path):
    add_code(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    reached = {path.rpartition("/")[2] for path in get_relative_import_files(tmp_path / f"{ENTRY}.py")}
    assert files == reached | {f"{ENTRY}.py"} == set(sources())
    for path in tmp_path.iterdir():
        assert set(get_imports(path)) <= NEEDED | sys.stdlib_module_names, path.name
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert (node.module is None and node.names[0].name.startswith("oryx_")) or f"{node.module}.py" in files


def test_code_is_written_where_it_is_asked_for_and_forgotten_where_not(tmp_path):
    folder, other = save_tiny_model(tmp_path / "a"), tmp_path / "b"
    assert not list(folder.glob("*.py")) and "auto_map" not in (folder / "config.json").read_text()
    model, processor = OryxForConditionalGeneration.from_pretrained(folder), OryxProcessor.from_pretrained(folder)
    model.save_pretrained(other, with_code=True)
    assert json.loads((other / "config.json").read_text())["auto_map"]["AutoConfig"] == f"{ENTRY}.OryxConfig"
    processor.save_pretrained(other, with_code=True)
    assert json.loads((other / "processor_config.json").read_text())["auto_map"]["AutoProcessor"]
    again = AutoModelForImageTextToText.from_pretrained(other)  # by this package, the code there is not looked at
    assert type(again) is OryxForConditionalGeneration
    again.save_pretrained(tmp_path / "c")
    assert "auto_map" not in (tmp_path / "c" / "config.json").read_text()
    assert OryxProcessor.from_pretrained(other).options == processor.options
