"""Pictures need no video decoder: neither to import the model nor to ask about one."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

SCRIPT = """
import sys

sys.modules["av"] = sys.modules["decord"] = None  # an import of either raises ImportError

import numpy as np

import oryx
import oryx.model
from oryx import Video
from oryx.errors import MissingResource

model = oryx.load("nano")
answer = model.ask(np.full((40, 40, 3), 200, np.uint8), "read", max_new_tokens=4)
assert answer.visual_tokens > 0
assert model.ask(Video(np.full((4, 32, 32, 3), 200, np.uint8)), "read", max_new_tokens=4).frames == 4
try:
    model.ask(Video(sys.argv[1]), "read")
except MissingResource as error:
    assert "PyAV" in str(error)
else:
    raise AssertionError("a video was read without a decoder")
"""


def test_a_picture_is_answered_without_decoders(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"not looked at")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
