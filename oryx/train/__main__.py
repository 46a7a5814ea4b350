"""``python -m oryx.train NAME``: a door to the trainings of :mod:`workbook.stages.registry`."""

from workbook.stages.registry import main

if __name__ == "__main__":
    main()
