"""``python -m oryx``: see :mod:`oryx.runs.cli`."""

import sys

from oryx.runs.cli import main

sys.exit(main())
