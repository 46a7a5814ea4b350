"""What two processes train in the tests, one after the other, so that both load torch once.

accelerate launch --num_processes 2 -m tests.integration.two_processes FOLDER
"""

import sys
from pathlib import Path


def main(folder: Path) -> None:
    """The encoders of smoke, steps with different numbers of parts, plain sums, and the benchmark."""
    # imported here: the helpers of these processes load this module too
    from benchmarks import training_together
    from tests.integration import exchanges, unequal_parts
    from workbook.stages import encoders

    encoders.main(["--scale", "smoke", "--folder", str(folder)])
    unequal_parts.main(folder / "parts.safetensors")
    exchanges.main(folder / "exchanges.json")
    training_together.measure_as_one("smoke", 1, 2, folder / "seconds.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
