"""Small tables with a free licence of their own, from the Vega project's collection."""

import csv
import io
import json
from pathlib import Path

from .packages import Packages
from .store import write_corpus

GOVERNMENT, ATTRIBUTION = "US-Government-Work", "CC-BY-4.0"

# resource of datapackage.json -> title, columns to keep (all if empty), licence identifier, words of the stated one
TABLES = {
    "penguins": ("Penguins of the Palmer Archipelago", (), "CC0-1.0", "CC0 1.0"),
    "wheat": ("Price of wheat and weekly wages in England", (), "public-domain", "Public Domain"),
    "gapminder": (
        "Life expectancy and fertility by country and year",
        ("country", "year", "life_expect", "fertility", "pop"),
        ATTRIBUTION,
        "Attribution 4.0",
    ),
    "gapminder_health_income": ("Income, health and population by country", (), ATTRIBUTION, "Attribution 4.0"),
    "co2_concentration": ("Carbon dioxide in the air at Mauna Loa", (), ATTRIBUTION, "Attribution 4.0"),
    "seattle_weather": ("Daily weather in Seattle", (), GOVERNMENT, "U.S. Government"),
    "global_temp": ("Global temperature anomaly by year", (), GOVERNMENT, "U.S. Government"),
    "iowa_electricity": ("Electricity generated in Iowa by source", (), GOVERNMENT, "U.S. Government"),
    "us_employment": (
        "Employees in the United States by month, in thousands",
        ("month", "construction", "manufacturing", "retail_trade", "information", "government"),
        GOVERNMENT,
        "U.S. Government",
    ),
    "population_engineers_hurricanes": (
        "Population, engineers and hurricanes by state",
        ("state", "population", "engineers", "hurricanes"),
        GOVERNMENT,
        "U.S. Government",
    ),
    "us_state_capitals": ("Capitals of the states", ("state", "city", "lat", "lon"), GOVERNMENT, "U.S. Public Domain"),
}


def build(packages: Packages, folder: Path) -> None:
    """Write ``tables.zip`` and ``tables.jsonl``; a resource whose stated licence has changed stops the build."""
    files = packages.read("vega-datasets", lambda p: p.endswith((".csv", ".json")))
    resources = {entry["name"]: entry for entry in json.loads(files["package/datapackage.json"])["resources"]}
    entries, tables = [], {}
    for name, (title, columns, licence, stated) in TABLES.items():
        resource = resources[name]
        found = " ".join(v for entry in resource["licenses"] for k, v in entry.items() if k in ("name", "title"))
        if stated not in found:
            raise SystemExit(f"table {name}: expected a licence with {stated!r}, the package says {found!r}")
        content = files[f"package/data/{resource['path']}"].decode("utf-8-sig")
        if resource["path"].endswith(".json"):
            records = json.loads(content)
        else:
            records = list(csv.DictReader(io.StringIO(content)))
        columns = columns or tuple(records[0])
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        rows = [["" if record.get(column) is None else record[column] for column in columns] for record in records]
        writer.writerows(row for row in rows if all(str(cell).strip() not in ("", ".") for cell in row))
        tables[f"{name}.csv"] = buffer.getvalue().encode("utf-8")
        source = resource["sources"][0]
        page = resource["licenses"][0]["path"] if "gapminder" in name else source["path"]
        entries.append(
            {
                "id": name,
                "title": title,
                "file": f"{name}.csv",
                "licence": licence,
                "author": source["title"],
                "source": page.split("#")[0],
            }
        )
    write_corpus(folder, "tables", entries, tables)
