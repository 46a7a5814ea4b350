"""What tests of several studies share."""

import pytest

from tests.tiny import save_tiny_released


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """A complete tiny checkpoint in the authors' format, in the place of released weights."""
    return save_tiny_released(tmp_path_factory.mktemp("released"))


@pytest.fixture
def settings_of(request, released, copies, tmp_path):
    """Settings of the module's ``STUDY``: its ``SMALL`` values on ``released`` weights and its ``copies``."""
    fixed = {**request.module.SMALL, "checkpoint": str(released), "data": str(copies), "results": str(tmp_path)}
    return lambda **values: request.module.STUDY.settings({**fixed, **values})
