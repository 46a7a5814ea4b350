"""One list of pins for pip, conda and make; the rules of the repository."""

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in (ROOT / "requirements/constraints.txt").read_text().split() if "==" in line)


def normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def test_every_requirement_is_pinned_within_its_range():
    pins = {normal(name): version for name, version in PINS.items()}
    wanted = [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]
    for text in wanted:
        requirement = Requirement(text)
        assert normal(requirement.name) in pins, f"{requirement.name} has no pin"
        assert requirement.specifier.contains(pins[normal(requirement.name)]), text
    assert not any("+" in version for version in pins.values()), "no local versions: GPU machines use the same pins"


def test_conda_users_get_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [part for part in environment["dependencies"] if isinstance(part, str)]
    assert [part.split("=")[0] for part in conda] == ["python", "pip"]
    python = next(part.split("=")[1] for part in conda if part.startswith("python"))
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python}.0")
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    assert pip == ["-c requirements/constraints.txt", "-e .[lab,dev]"]


def test_make_lab_listens_on_this_machine_alone():
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "/jupyter lab" in line]
    assert line.split()[-2:] == ["--ip=127.0.0.1", "$(LAB)"]


def test_python_files_stay_readable():
    tracked = [path for folder in ("oryx", "tests", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert not [str(path) for path in tracked if len(path.read_text().splitlines()) > 500]
