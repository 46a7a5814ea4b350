"""One self-contained HTML page over every published study: verdicts, figures, commands, rows. No torch."""

import base64
import html
import json
from pathlib import Path

from oryx.evidence.files import atomic_write_text
from oryx.report.tables import verdict_table

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #ffffff; --line: #d8d8d8; --soft: #f4f4f4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181b; --line: #3a3d42; --soft: #1f2226; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; } td, th { border-bottom: 1px solid var(--line);
  padding: .35rem .5rem; text-align: left; vertical-align: top; } th { background: var(--soft); }
img { max-width: 100%; background: #fff; border-radius: 4px; margin: .5rem 0; }
code { background: var(--soft); padding: .1rem .3rem; }
.table { overflow-x: auto; } figure { margin: 1rem 0; } figcaption { font-size: .85rem; opacity: .8; }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""


def build(results: Path, out: Path) -> Path:
    """Write the report over ``results`` to ``out`` and return it; says so where nothing is published."""
    folders = sorted(p.parent for p in results.glob("*/*/verdicts.json") if p.parts[-3] != "runs")
    body = "".join(_study(folder) for folder in folders) or "<p>Nothing is published yet.</p>"
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Oryx workbook: results</title><style>{STYLE}</style><h1>Oryx workbook: results</h1>{body}</html>\n"
    )
    atomic_write_text(out, page)
    return out


def _study(folder: Path) -> str:
    verdicts = json.loads((folder / "verdicts.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    first = next(iter(manifest["seeds"].values()))
    table = verdict_table(verdicts).to_html(index=False, border=0)
    figures = "".join(_figure(path) for path in sorted((folder / "figures").glob("*.png")))
    return (
        f"<h2>{html.escape(folder.parent.name.replace('_', ' '))}, scale {html.escape(folder.name)}</h2>"
        f"<p><code>{html.escape(first['reproduce'])}</code><br>commit {html.escape(str(first['commit']))}, "
        f"seeds {', '.join(manifest['seeds'])}; rows: {html.escape(str(folder / 'rows.columns.jsonl.xz'))}</p>"
        f"<div class='table'>{table}</div>{figures}"
    )


def _figure(path: Path) -> str:
    name = path.stem.replace("_", " ")
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<figure><img alt='{name}' src='data:image/png;base64,{data}'><figcaption>{name}</figcaption></figure>"
