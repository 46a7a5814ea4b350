"""What tests of several studies share."""

import pytest

from tests.tiny import save_tiny_released


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """A complete tiny checkpoint in the authors' format, in the place of released weights."""
    return save_tiny_released(tmp_path_factory.mktemp("released"))
