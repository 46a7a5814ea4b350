"""A saved folder loads where only torch, transformers, numpy and Pillow are installed, and is saved from there."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from oryx import convert

from ..tiny import save_tiny_model

pytestmark = pytest.mark.integration
ABSENT = ("oryx", "workbook", "__editable__", "pydantic", "pandas", "accelerate", "scipy", "matplotlib", "av", "decord",
          "torchcodec", "pyarrow", "peft", "trl", "bitsandbytes", "datasets")  # fmt: skip
CODE = """
import sys
for name in ("oryx", "workbook", "pydantic", "pandas", "accelerate", "av", "decord"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(name + " is there")
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
source, target = sys.argv[1:]
processor = AutoProcessor.from_pretrained(source, trust_remote_code=True)
model = AutoModelForImageTextToText.from_pretrained(source, trust_remote_code=True)
content = [{"type": "image", "image": Image.new("RGB", (64, 64), "red")}, {"type": "text", "text": "What is it?"}]
inputs = processor.apply_chat_template(
    [{"role": "user", "content": content}],
    add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
)
out = model.generate(**inputs, max_new_tokens=6, do_sample=False)
print(out[0].tolist())
model.save_pretrained(target)
processor.save_pretrained(target)
"""


def test_a_folder_is_all_that_is_needed(tmp_path):
    convert(save_tiny_model(tmp_path / "tiny"), tmp_path / "first")
    packages = tmp_path / "packages"
    packages.mkdir()
    for path in Path(site.getsitepackages()[0]).iterdir():
        if not path.name.startswith(ABSENT) and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "HF_HUB_OFFLINE": "1"}
    environment["HF_HOME"] = str(tmp_path / "hub")
    answers = []
    for source, target in (("first", "second"), ("second", "third")):
        command = [sys.executable, "-S", "-c", CODE, source, target]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout)
    assert answers[0] == answers[1]
    names = [{path.name for path in (tmp_path / folder).iterdir()} for folder in ("first", "third")]
    assert names[0] == names[1]
