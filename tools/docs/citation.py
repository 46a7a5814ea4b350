"""The BibTeX entries of README.md, made of CITATION.cff."""

import yaml

from tools.docs.footprint import ROOT


def bibtex() -> str:
    """The paper's entry and the workbook's."""
    own = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    paper = own["preferred-citation"]
    authors = " and ".join(f"{each['family-names']}, {each['given-names']}" for each in paper["authors"])
    article = {"title": paper["title"], "author": authors} | {name: paper[name] for name in ("journal", "year", "url")}
    software = {"title": own["title"], "author": f"{{{own['authors'][0]['name']}}}", "note": own["license"]}
    entries = [_entry("article{liu2024oryx", article), _entry("software{oryx_workbook", software)]
    return "\n".join(["```bibtex", *entries, "```"])


def _entry(head: str, fields: dict[str, object]) -> str:
    return "\n".join([f"@{head},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])
