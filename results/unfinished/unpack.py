"""Put the seeds that are done into a folder of runs: ``python unpack.py results/runs``."""

import json
import lzma
import sys
import tarfile
from io import BytesIO
from itertools import groupby
from pathlib import Path

from pyarrow import parquet

HERE, STUDY = Path(__file__).parent, "pooling_vs_dynamic_compression"
NAME = f"{STUDY}-judged"


def main(runs: Path) -> None:
    """Unpack the small files, and write the rows of every arm beside them."""
    with tarfile.open(HERE / f"{NAME}.tar.xz") as packed:
        packed.extractall(runs / STUDY, filter="data")
    rows = parquet.read_table(BytesIO(lzma.decompress((HERE / f"{NAME}.parquet.xz").read_bytes()))).to_pylist()
    rows.sort(key=lambda row: (row["seed"], row["arm"]))
    for (seed, arm), own in groupby(rows, lambda row: (row["seed"], row["arm"])):
        (folder,) = runs.glob(f"{STUDY}/nano/*/seed-{seed}/arms/{arm}")
        (folder / "rows.jsonl").write_text("".join(json.dumps(whole(row)) + "\n" for row in own))


def whole(row: dict) -> dict:
    """A row as it was written: log-likelihoods are kept in thousandths, which take half of the space."""
    return row if row["logprob"] is None else row | {"logprob": row["logprob"] / 1000}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
