"""How a run's jobs share the cores, and in which order they start."""

import pytest

from oryx.runs.seeds import longest_first, seeds_of
from tests.toy import ToyStudy


@pytest.mark.parametrize(("seeds", "jobs", "threads"), [((0,), 2, 2), ((0, 1), 2, 1), ((0,), 5, 5), ((0, 1, 2), 2, 1)])
def test_a_job_that_others_wait_for_shares_the_cores_with_its_like_only(tmp_path, seeds, jobs, threads):
    study = ToyStudy()
    settings = study.settings({"seeds": seeds, "jobs": jobs, "from_scratch": True, "results": str(tmp_path)})
    for seed in seeds_of(study, settings):
        assert [[job.threads for job in wave] for wave in seed.first] == [[threads]]
        assert [job.threads for job in seed.jobs] == [1, 1]


def test_long_arms_start_first_and_the_others_keep_their_order(tmp_path):
    class Long(ToyStudy):
        long_arms = ("area_1",)

    study = Long()
    jobs = seeds_of(study, study.settings({"results": str(tmp_path)}))[0].jobs
    assert [job.arm for job in jobs] == ["native", "area_1"]
    assert [job.arm for job in longest_first(study, jobs)] == ["area_1", "native"]
