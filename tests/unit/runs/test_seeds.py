"""How a run's jobs share the cores, and in which order they start."""

from oryx.files import atomic_write_json
from tests.toy import ToyStudy
from workbook.runs.seeds import seeds_of


class Looking(ToyStudy):
    """Also looks at something, for which no arm waits."""

    def further_jobs(self, settings):
        return ["looks"]

    def run_job(self, settings, arm, seed, folder, progress):
        if arm == "looks":
            assert (folder.parent / "shared" / "done").exists()
            atomic_write_json(folder / "looks.json", seed)
        else:
            super().run_job(settings, arm, seed, folder, progress)


def test_what_no_arm_waits_for_is_done_with_them_and_the_seed_is_not_finished_without_it(tmp_path):
    study = Looking()
    settings = study.settings({"from_scratch": True, "results": str(tmp_path)})
    [seed] = seeds_of(study, settings)
    assert [job.arm for job in seed.all_jobs] == ["shared", "native", "area_1", "looks"]
    assert set(study.run(settings).rows["arm"]) == {"native", "area_1"} and seed.finished
    (seed.folder / "arms" / "looks" / "done").unlink()
    assert not seed.finished
    study.run(settings)
    assert seed.finished


def test_long_arms_start_first_and_the_others_keep_their_order(tmp_path):
    class Long(ToyStudy):
        long_arms = ("area_1",)

    study = Long()
    [seed] = seeds_of(study, study.settings({"results": str(tmp_path)}))
    assert [job.arm for job in seed.jobs] == ["native", "area_1"]
    assert [job.arm for job in seed.all_jobs] == ["area_1", "native"]
