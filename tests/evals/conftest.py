"""The harness in this process, offline: local copies of benchmarks, and a checkpoint in the authors' format."""

import os
from pathlib import Path

import pytest

from oryx.processing.tokenizers import byte_tokenizer
from tests.benchmark_copies import COPIES
from tests.unit.model.builders import tiny_model, write_released

VISION = {"patch_size": 16, "position_grid": 8}
TEXT = {
    "vocab_size": 259,
    "max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
}
SAYS = "ABCDE .()"
"""Letters of its answers: others have logits of zero. Control characters do not fit into the harness's tables."""
TOKENS = 3000
"""``tokenizer_model_max_length`` of the checkpoint."""


def pytest_itemcollected(item: pytest.Item):
    item.add_marker("evals")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A complete tiny checkpoint as the authors publish them, its tower in the shards, with a tokenizer."""
    folder, model = tmp_path_factory.mktemp("checkpoint"), tiny_model(text=TEXT, vision=VISION)
    output = model.language_model.lm_head.weight.data
    output[[token for token in range(len(output)) if token not in set(SAYS.encode())]] = 0
    write_released(folder, model, tokenizer_model_max_length=TOKENS)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def copies(tmp_path_factory) -> Path:
    """Six-item copies under one folder, with a task for each. The harness looks for videos below HF_HOME, which it
    reads when it is imported."""
    folder = tmp_path_factory.mktemp("copies")
    os.environ |= {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    for name, write in COPIES.items():
        write(folder / name)
    from workbook.evals.items import write_local_tasks

    assert write_local_tasks(folder) == [f"{name}_local" for name in COPIES]
    return folder
