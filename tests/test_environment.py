"""The three lists of dependencies, for pip, for conda and the pinned one, tell the same."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import BuildString, MatchSpec, PackageRecord
from rattler.exceptions import InvalidMatchSpecError

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PINNED = (ROOT / "constraints.txt").read_text(encoding="utf-8")
EXTRAS = PROJECT["project"]["optional-dependencies"]
SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: What conda calls otherwise than pip does, by the name on PyPI.
CONDA_NAMES = {
    "duckdb": "python-duckdb",
    "jupyter-client": "jupyter_client",
    "msgpack": "msgpack-python",
    "prometheus-client": "prometheus_client",
}
#: Belongs to the interpreter that is measured, where one asks for its tests.
OF_THE_MEASURED = {"pytest"}
STDLIB = {canonicalize_name(name) for name in sys.stdlib_module_names}
#: Where the name to import is not the name to install.
IMPORT_NAMES = {
    **{"bs4": "beautifulsoup4", "google": "protobuf", "rattler": "py-rattler"},
    "xdist": "pytest-xdist",
    "markdown_it": "markdown-it-py",
    "yaml": "pyyaml",
}


def requirements(texts: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(text) for text in texts]
    return {canonicalize_name(one.name): one for one in parsed if one.name != "resleak"}


def runtime() -> dict[str, Requirement]:
    extras = itertools.chain.from_iterable(EXTRAS.values())
    return requirements([*PROJECT["project"]["dependencies"], *extras])


def everything() -> dict[str, Requirement]:
    return runtime() | requirements(PROJECT["dependency-groups"]["dev"])


def conda_specs() -> dict[str, MatchSpec]:
    texts = [text for text in CONDA["dependencies"] if isinstance(text, str)]
    specs = [MatchSpec(text, strict=True) for text in texts]
    return {spec.name.normalized: spec for spec in specs}


def pins() -> list[Requirement]:
    return [Requirement(line) for line in PINNED.splitlines() if line and line[0] != "#"]


def test_conda_has_the_same_names():
    """environment.yml names what pyproject.toml and its extras name, besides python and pip."""
    wanted = {CONDA_NAMES.get(name, name) for name in runtime()}
    assert set(conda_specs()) == wanted | {"python", "pip"}


@pytest.mark.parametrize("name", sorted(runtime()))
def test_conda_has_the_same_bounds(name):
    """A dependency's bounds are the same for conda as for pip."""
    spec = conda_specs()[CONDA_NAMES.get(name, name)]
    assert SpecifierSet(str(spec.version)) == runtime()[name].specifier


def test_conda_has_the_same_python():
    """environment.yml asks for the Python that pyproject.toml requires."""
    required = SpecifierSet(PROJECT["project"]["requires-python"])
    assert SpecifierSet(str(conda_specs()["python"].version)) == required


@pytest.mark.parametrize("name", sorted(runtime()))
def test_conda_admits_what_the_tests_run_with(name):
    """The version installed here satisfies the conda spec, by conda's own rules."""
    version, spec = importlib.metadata.version(name), conda_specs()[CONDA_NAMES.get(name, name)]
    record = PackageRecord(
        name=CONDA_NAMES.get(name, name),
        version=version,
        build=BuildString("0"),
        build_number=0,
        subdir="noarch",
    )
    assert spec.matches(record)


def test_conda_installs_the_package_itself_with_pip():
    """The conda environment gets resleak from this folder, with nothing else from pip."""
    pip = [part["pip"] for part in CONDA["dependencies"] if isinstance(part, dict)]
    assert pip == [["-e ."]]
    assert CONDA["channels"] == ["conda-forge"]


@pytest.mark.parametrize("spec", ["pandas=>3", "pandas >=", "pandas >=2 <"])
def test_a_malformed_spec_would_be_noticed(spec):
    """The parser these tests rest on refuses what conda would refuse."""
    with pytest.raises(InvalidMatchSpecError):
        MatchSpec(spec, strict=True)


def test_the_pins_name_no_address():
    """constraints.txt holds no address, no option, no path and no hash."""
    assert not re.search(r"://|^-|--hash|file:|^\.{0,2}/|@", code_of(PINNED), re.MULTILINE)


def code_of(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_pins_are_complete(python, system):
    """On every supported Python and system each dependency has one pin, within its bounds."""
    here = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": system,
        "platform_system": SYSTEMS[system],
        "os_name": "nt" if system == "win32" else "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    chosen = [pin for pin in pins() if pin.marker is None or pin.marker.evaluate(here)]
    by_name = {canonicalize_name(pin.name): pin for pin in chosen}
    assert len(by_name) == len(chosen)
    for name, wanted in everything().items():
        if wanted.marker is None or wanted.marker.evaluate(here):
            (pinned,) = by_name[name].specifier
            assert pinned.operator == "=="
            assert wanted.specifier.contains(pinned.version), name


def test_one_extra_for_each_system():
    """Each system of scenarios has its extra, as reports and a load have; `all` is all of them."""
    systems = {path.parent.name for path in (ROOT / "resleak/scenarios").glob("[!_]*/*.py")}
    systems -= {"control"}
    assert set(EXTRAS) - {"all"} == systems | {"cluster", "lab", "live", "load"}
    named = {extra for text in EXTRAS["all"] for extra in Requirement(text).extras}
    assert named == systems | {"cluster", "lab", "live", "load"}


@pytest.mark.parametrize("folder", ["resleak", "tests"])
def test_what_is_imported_is_declared(folder):
    """Every package that the code imports is declared, rather than there by luck."""
    declared = set(runtime()) if folder == "resleak" else set(everything())
    imported = {
        IMPORT_NAMES.get(name, canonicalize_name(name))
        for path in (ROOT / folder).rglob("*.py")
        for name in imports(path)
    }
    files = [*(ROOT / "tests").glob("*.py"), *(ROOT / "benchmarks").glob("*")]
    local = {"helpers", *(canonicalize_name(path.stem) for path in files)}
    assert imported - declared - local - OF_THE_MEASURED - {"resleak", *STDLIB} == set()


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    taken = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in plain | taken}
