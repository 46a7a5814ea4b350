"""A toy run of three seeds, made once: tests that change it work on a copy."""

import shutil

import pytest

from tests.toy import ToyStudy


@pytest.fixture(scope="session")
def three_seeds(tmp_path_factory):
    results = tmp_path_factory.mktemp("three_seeds")
    study = ToyStudy()
    settings = study.settings({"results": str(results), "seeds": [0, 1, 2], "jobs": 2})
    return study, settings, study.run(settings)


@pytest.fixture
def finished(three_seeds, tmp_path):
    """(study, settings, run folder) of a copy of the finished run."""
    study, settings, _ = three_seeds
    shutil.copytree(settings.results, tmp_path / "results")
    settings = study.settings({**settings.to_dict(), "results": str(tmp_path / "results")})
    return study, settings, study.run_folder(settings)
