"""What an installation brings, and what importing it costs."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout, built from a copy: building leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("jaxrl", "envs", "benchmarks", "scripts", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "out",
    ]
    subprocess.run([*command, "."], cwd=folder, check=True)
    (path,) = (folder / "out").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_installs_one_name(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"jaxrl"} and len(tops) == 2


def test_the_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    ours = {f"jaxrl/{path.relative_to(ROOT / 'jaxrl')}" for path in (ROOT / "jaxrl").rglob("*.py")}
    ours |= {f"jaxrl/envs/{path.relative_to(ROOT / 'envs')}" for path in (ROOT / "envs").rglob("*.py")}
    held = {name for name in wheel.namelist() if name.startswith("jaxrl/")}
    assert held == ours | {"jaxrl/py.typed"}


def test_the_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(name).decode()
    assert "License-Expression: Apache-2.0" in metadata and "Requires-Python: >=3.11" in metadata
    assert "jaxrl = jaxrl.command_line:main" in wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert any(name.endswith("LICENSE") for name in wheel.namelist())


def test_the_version_is_told_in_one_place() -> None:
    import jaxrl

    shown = subprocess.run([sys.executable, "-m", "jaxrl", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"jaxrl {jaxrl.__version__}\n"
    assert importlib.metadata.version("jaxrl") == jaxrl.__version__


def test_every_dependency_has_a_lower_bound_and_no_upper_one() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    for text in [*PROJECT["project"]["dependencies"], *(each for extra in extras for each in extra)]:
        assert {part.operator for part in Requirement(text).specifier} == {">="}, text


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_pins_every_dependency_within_its_bounds(python: str) -> None:
    lines = [line.partition(";") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    place = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    place |= {"platform_python_implementation": "CPython"}
    pins: dict[str, str] = {}
    for pin, _, marker in lines:
        if not marker or Marker(marker).evaluate(place):
            name, version = pin.strip().split("==")
            assert name not in pins, f"{name} is pinned twice for Python {python}"
            pins[name] = version
    texts = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["test"]]
    for requirement in map(Requirement, texts):
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        assert requirement.specifier.contains(pins[name], prereleases=True), f"{name} {pins.get(name)}"


def loaded_by(script: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a script."""
    script += "\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_jaxrl_brings_nothing() -> None:
    assert not {"jax", "numpy", "pydantic", "rich", "tyro"} & loaded_by("import jaxrl")


def test_importing_every_module_starts_no_backend_and_brings_nothing_heavy() -> None:
    script = """if True:
        import importlib, pkgutil, jaxrl, jaxrl.envs
        for module in pkgutil.walk_packages(jaxrl.__path__, "jaxrl."):
            if module.name != "jaxrl.__main__" and not module.name.startswith("jaxrl.for_"):  # for one library each
                importlib.import_module(module.name)
        for module in pkgutil.walk_packages(jaxrl.envs.__path__, "jaxrl.envs."):
            importlib.import_module(module.name)
        jaxrl.train
        from jax._src import xla_bridge
        assert not xla_bridge.backends_are_initialized()
    """
    heavy = {
        "matplotlib",
        "pandas",
        "tensorflow_probability",
        "distrax",
        "gymnax",
        "gymnasium",
        "pettingzoo",
        "seaborn",
        "scipy.stats",
    }
    loaded = loaded_by(script)
    assert "jaxrl.agents.ppo" in loaded and "jaxrl.envs.gridworld" in loaded and not heavy & loaded


def test_code_lines_are_counted_without_blanks_comments_and_docstrings(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text('''"""A docstring
of two lines."""

# a comment
x = [  # counts
    1,

    # does not count
    2,
]


def function():
    "Documentation."
    text = """three
# lines

of a string"""
    return text
''')
    script = str(ROOT / "scripts" / "count_lines.py")
    run = subprocess.run([sys.executable, script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1].split() == ["10", "total"]
    assert subprocess.run([sys.executable, script, str(tmp_path / "nothing")], capture_output=True).returncode != 0
