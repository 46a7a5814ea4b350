"""Put the seeds that are done into a folder of runs: ``python unpack.py results/runs``."""

import json
import sys
import tarfile
from itertools import groupby
from pathlib import Path

from pyarrow import parquet

HERE, STUDY = Path(__file__).parent, "pooling_vs_dynamic_compression"
NAME = f"{STUDY}-judged"


def main(runs: Path) -> None:
    """Unpack the small files, and write the rows of every arm beside them."""
    with tarfile.open(HERE / f"{NAME}.tar.xz") as packed:
        packed.extractall(runs / STUDY, filter="data")
    rows = parquet.read_table(HERE / f"{NAME}.parquet").to_pylist()
    rows.sort(key=lambda row: (row["seed"], row["arm"]))
    for (seed, arm), own in groupby(rows, lambda row: (row["seed"], row["arm"])):
        (folder,) = runs.glob(f"{STUDY}/nano/*/seed-{seed}/arms/{arm}")
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
