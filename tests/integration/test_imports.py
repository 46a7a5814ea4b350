"""What a process loads: pages and verbs start at once, because torch and pandas are loaded only where they work."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration


def test_reports_and_verdicts_need_no_torch():
    code = (
        "import sys; import oryx, workbook.runs.compare, oryx.evidence.rows, oryx.evidence.verdicts, "
        "tools.docs.readme, workbook.cli, workbook.report.page, workbook.report.plots, workbook.runs.difference, "
        "workbook.runs.rerun, workbook.studies.base, workbook.studies.encoders.figures; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_is_light_and_registers_when_it_is_asked_or_a_class_is_touched():
    light = "import sys, time; began = time.perf_counter(); import oryx; took = time.perf_counter() - began; "
    config = "from transformers import AutoConfig; AutoConfig.for_model('oryx_workbook')"
    done = subprocess.run(
        [sys.executable, "-c", f"{light}print(took, {{'torch', 'transformers', 'numpy'}} & {{*sys.modules}})"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    took, heavy = done.stdout.split(" ", 1)
    assert float(took) < 0.3 and heavy.strip() == "set()"
    for touch in ("oryx.register()", "oryx.OryxProcessor"):
        subprocess.run([sys.executable, "-c", f"import oryx; {touch}; {config}"], check=True)
    without = subprocess.run([sys.executable, "-c", f"import oryx; {config}"], capture_output=True, text=True)
    assert without.returncode and "oryx_workbook" in without.stderr


def test_a_run_without_notebook_loads_neither_torch_nor_notebook_packages(tmp_path):
    code = (
        "import sys\nfrom workbook import cli\n"
        f"code = cli.main(['run', 'tests.toy:ToyStudy', '--no-notebook', '--results', {str(tmp_path)!r}])\n"
        "heavy = {'torch', 'transformers', 'papermill', 'nbclient', 'nbformat', 'decord', 'psutil'} & {*sys.modules}\n"
        "sys.exit(str(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_worker_loads_no_more_than_its_study_needs():
    code = "import sys, workbook.runs.worker, tests.toy; sys.exit(str({'pandas', 'numpy', 'torch'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "set()\n"


def test_studies_and_what_they_read_are_named_without_frames_and_torch():
    code = (
        "import sys\nfrom workbook import cli\nfor study in map(cli.find_study, cli.STUDIES):\n"
        "    study.hashes(study.settings({}))\n"
        "sys.exit(str({'pandas', 'torch', 'matplotlib', 'scipy'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "set()\n"
