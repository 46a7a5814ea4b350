"""The model's code in a saved folder, so that it loads where this package is not installed (``trust_remote_code``).

transformers copies single files whose imports are relative. Here every module that the model and its processor need is
written beside the weights, flat, its imports of others made relative; one more file names the classes for all Auto
classes, so that they come from one place. The code needs torch, transformers, numpy and Pillow; PyAV for videos.
"""

import importlib.util
import re
from pathlib import Path

from oryx.files import atomic_write_json, atomic_write_text, read_json

ENTRY = "oryx_workbook"
CONFIG, MODEL, PROCESSOR = "OryxConfig", "OryxForConditionalGeneration", "OryxProcessor"
MODULES = {CONFIG: "oryx.model.config", MODEL: "oryx.model.modeling", PROCESSOR: "oryx.processing.processor"}
MODELS = dict.fromkeys(("AutoModel", "AutoModelForCausalLM", "AutoModelForImageTextToText"), MODEL)
AUTO = {"AutoConfig": CONFIG, "AutoProcessor": PROCESSOR, **MODELS}
"""Auto class -> the class that it stands for."""
IS_REMOTE = not __name__.startswith("oryx.")
"""Whether this is the code beside saved weights, not this package: it is then handed on with every save."""
_IMPORT = re.compile(r"^( *)from (oryx(?:\.\w+)*) import (.*)$", re.MULTILINE)


def add_code(folder: str | Path) -> None:
    """Write the code into a saved folder, and ``auto_map`` into its config.json and processor_config.json."""
    folder = Path(folder)
    for name, text in sources().items():
        atomic_write_text(folder / name, text)
    auto_map = {auto: f"{ENTRY}.{name}" for auto, name in AUTO.items()}
    for file in ("config.json", "processor_config.json"):
        if (folder / file).is_file():
            atomic_write_json(folder / file, {**read_json(folder / file), "auto_map": auto_map})


def sources() -> dict[str, str]:
    """File name -> text of all files of code."""
    if IS_REMOTE:
        return {path.name: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("oryx_*.py")}
    entry = "".join(f"from {module} import {name}\n" for name, module in MODULES.items())
    found, waiting = {f"{ENTRY}.py": _relative(entry, [])}, list(MODULES.values())
    while waiting:
        module = waiting.pop()
        if f"{_flat(module)}.py" not in found:
            text = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
            found[f"{_flat(module)}.py"] = _relative(text, waiting)
    return found


def _flat(module: str) -> str:
    return module.replace(".", "_")


def _relative(text: str, needed: list[str]) -> str:
    """``text`` with imports from modules of this package made relative; adds those modules to ``needed``."""

    def rewrite(match: re.Match) -> str:
        indent, module, names = match.groups()
        if importlib.util.find_spec(module).submodule_search_locations is None:
            needed.append(module)
            return f"{indent}from .{_flat(module)} import {names}"
        needed.append(f"{module}.{names}")  # a module, of a package
        flat = _flat(needed[-1])
        # transformers follows imports of the first form only
        return f"{indent}from .{flat} import __name__ as _\n{indent}from . import {flat} as {names}"

    return _IMPORT.sub(rewrite, text)
