"""What two processes train in the tests, one after the other, so that both load torch once.

accelerate launch --num_processes 2 -m tests.integration.two_processes FOLDER
"""

import sys
from pathlib import Path

from oryx.training import encoders
from tests.integration import unequal_parts


def main(folder: Path) -> None:
    """The encoders of smoke, and steps in which the processes have different numbers of parts."""
    encoders.main(["--scale", "smoke", "--folder", str(folder)])
    unequal_parts.main(folder / "parts.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
