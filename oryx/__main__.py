"""``python -m oryx``: the command line of :mod:`workbook.cli`.

With :mod:`oryx.train.__main__` the only place in ``oryx`` that knows the workbook.
"""

import sys

from workbook.cli import main

sys.exit(main())
