"""Imports point one way: every file has its place in the order, and imports only from below."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = [  # from the bottom up; files of one line do not import each other
    ["jaxrl", "jaxrl.errors", "jaxrl.types"],
    ["jaxrl.spaces", "jaxrl.trees", "jaxrl.keys"],
    ["jaxrl.returns", "jaxrl.losses", "jaxrl.statistics", "jaxrl.distributions", "jaxrl.networks", "jaxrl.shuffle",
     "jaxrl.exact", "jaxrl.buffers", "jaxrl.buffers.uniform"],
    ["jaxrl.transforms", "jaxrl.compat", "jaxrl.vectorize"],
    ["jaxrl.agents.on_policy", "jaxrl.agents.rollouts", "jaxrl.envs.grid", "jaxrl.envs.tabular"],
    ["jaxrl.agents.ppo", "jaxrl.agents.dqn", "jaxrl.agents.q_learning", "jaxrl.agents.random", "jaxrl.envs.probes",
     "jaxrl.envs.cliff_walking", "jaxrl.envs.frozen_lake", "jaxrl.envs.gridworld", "jaxrl.envs.t_maze",
     "jaxrl.envs.taxi"],
    ["jaxrl.agents", "jaxrl.envs.registry"],
    ["jaxrl.envs"],
    ["jaxrl.loop"],
    ["jaxrl.run", "jaxrl.evaluate", "jaxrl.checkpoint", "jaxrl.backend"],
    ["jaxrl.policy", "jaxrl.presets", "jaxrl.settings"],
    ["jaxrl.overrides", "jaxrl.run_folder", "jaxrl.plots", "jaxrl.progress"],
    ["jaxrl.record"],
    ["jaxrl.experiment"],
    ["jaxrl.reports"],
    ["jaxrl.command_line"],
    ["jaxrl.__main__", "scripts", "benchmarks"],
]  # fmt: skip
RANK = {name: rank for rank, line in enumerate(ORDER) for name in line}
NEVER = {"jaxrl.agents": "jaxrl.envs", "jaxrl.envs": "jaxrl.agents"}  # each of the two knows nothing of the other


def modules():
    """{module: file} of everything that is shipped or launched."""
    found = {}
    for folder, package in (
        ("jaxrl", "jaxrl"),
        ("envs", "jaxrl.envs"),
        ("scripts", "scripts"),
        ("benchmarks", "benchmarks"),
    ):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def imported(module):
    """The project's modules that a file imports anywhere, other than for type checkers."""
    tree = ast.parse(MODULES[module].read_text())
    hidden = {
        id(node)
        for block in ast.walk(tree) if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }  # fmt: skip
    names = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names |= {
                f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in MODULES else node.module for a in node.names
            }
    return {name for name in names if name in MODULES and name != module}


def rank(module):
    """Its own, or that of its folder where that is in the order as a whole."""
    return RANK[module] if module in RANK else RANK[module.split(".")[0]] if module.split(".")[0] != "jaxrl" else None


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    assert rank(module) is not None, f"{module} has no place in the order"
    outside = module.split(".")[0]
    for name in imported(module):
        if outside in ("scripts", "benchmarks") and name.split(".")[0] == outside:
            continue
        assert rank(name) < rank(module), f"{module} imports {name}"
    for part, other in NEVER.items():
        if module == part or module.startswith(f"{part}."):
            assert not any(name == other or name.startswith(f"{other}.") for name in imported(module))


def test_the_order_lists_what_is_there():
    """No place in the order is left over from a file that is gone."""
    assert [name for name in RANK if name not in MODULES and name not in ("scripts", "benchmarks")] == []


@pytest.mark.parametrize(
    ("library", "files"),
    [("flax", {"networks"}), ("distrax", {"distributions"}), ("gymnax", {"compat"}), ("tyro", {"command_line"})],
)
def test_heavy_libraries_are_imported_in_one_file(library, files):
    """So that what they drag in is loaded when it is needed, and one file knows them."""
    users = set()
    for module, path in MODULES.items():
        if module.split(".")[0] != "jaxrl":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            if any(name.split(".")[0] == library for name in names):
                users.add(module.removeprefix("jaxrl."))
    assert users <= files
