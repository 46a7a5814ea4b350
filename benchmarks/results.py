"""What a benchmark does with its results: print the table, keep the numbers, renew its block in a Markdown file."""

import json
import re
from pathlib import Path
from typing import Any


def deliver(found: Any, text: str, numbers: Path | None, docs: Path | None, block: str) -> None:
    """Print ``text``; write ``found`` as JSON to ``numbers`` and ``text`` between ``<!-- block -->`` and the next end.

    Either file may be None.
    """
    print(text)
    if numbers:
        numbers.write_text(json.dumps(found, indent=1) + "\n")
    if docs:
        marks = rf"(<!-- {block} -->\n).*?(<!-- end -->)"
        docs.write_text(re.sub(marks, lambda match: f"{match[1]}{text}\n{match[2]}", docs.read_text(), flags=re.DOTALL))
