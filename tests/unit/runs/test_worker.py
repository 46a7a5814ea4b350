"""What a worker does before its job."""

import gc

from workbook.runs.worker import load_packages


def test_packages_are_spared_the_garbage_collector_which_goes_on_working():
    try:
        load_packages()
        assert gc.get_freeze_count() > 100_000 and gc.isenabled()
    finally:
        gc.unfreeze()
