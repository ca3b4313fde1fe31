"""Imports point one way: every file has its place in the order, and imports only from below."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = [  # from the bottom up; files of one line do not import each other
    ["jaxrl", "jaxrl.errors", "jaxrl.types"],
    ["jaxrl.spaces", "jaxrl.trees", "jaxrl.keys", "jaxrl.backend"],
    ["jaxrl.buffers", "jaxrl.buffers.packing", "jaxrl.buffers.memory"],
    ["jaxrl.buffers.slots", "jaxrl.buffers.sum_tree"],
    ["jaxrl.buffers.storage"],
    ["jaxrl.buffers.uniform"],
    ["jaxrl.buffers.prioritized"],
    ["jaxrl.batch_norm", "jaxrl.initialisers", "jaxrl.network_transforms"],
    ["jaxrl.returns", "jaxrl.losses", "jaxrl.statistics", "jaxrl.distributions", "jaxrl.networks", "jaxrl.shuffle",
     "jaxrl.exact", "jaxrl.tiles", "jaxrl.transforms.carried", "jaxrl.transforms.features"],
    ["jaxrl.transforms.actions", "jaxrl.transforms.dynamics", "jaxrl.transforms.observations",
     "jaxrl.transforms.rewards"],
    ["jaxrl.transforms", "jaxrl.compat", "jaxrl.vectorize", "jaxrl.suites.shared", "jaxrl.value_networks",
     "jaxrl.action_networks", "jaxrl.mixers",
     "jaxrl.buffers.sequence", "jaxrl.buffers.hindsight", "jaxrl.buffers.sharded",
     "jaxrl.agents.value_heads", "jaxrl.agents.value_targets"],
    ["jaxrl.suites", "jaxrl.suites.brax", "jaxrl.suites.jaxmarl", "jaxrl.suites.jumanji", "jaxrl.suites.navix",
     "jaxrl.suites.pgx", "jaxrl.suites.playground"],
    ["jaxrl.envs.check_trace"],
    ["jaxrl.envs.check_walk"],
    ["jaxrl.agents.tabular.exploration", "jaxrl.agents.rollouts", "jaxrl.agents.exploration", "jaxrl.agents.visits",
     "jaxrl.agents.replay"],
    ["jaxrl.agents.tabular.core"],
    ["jaxrl.envs.check", "jaxrl.agents.normalisers", "jaxrl.agents.schedules", "jaxrl.envs.grid", "jaxrl.envs.tabular",
     "jaxrl.envs.render", "jaxrl.envs.goals"],
    ["jaxrl.agents.algorithm", "jaxrl.agents.auxiliary", "jaxrl.agents.off_policy", "jaxrl.agents.on_policy"],
    ["jaxrl.agents.curiosity", "jaxrl.agents.teams"],
    ["jaxrl.agents.ppo", "jaxrl.agents.reinforce", "jaxrl.agents.actor_critic", "jaxrl.agents.impala",
     "jaxrl.agents.trpo", "jaxrl.agents.pqn", "jaxrl.agents.dqn", "jaxrl.agents.r2d2", "jaxrl.agents.random",
     "jaxrl.agents.ddpg", "jaxrl.agents.sac",
     "jaxrl.envs.probes", "jaxrl.envs.cliff_walking", "jaxrl.envs.frozen_lake", "jaxrl.envs.gridworld",
     "jaxrl.envs.t_maze", "jaxrl.envs.taxi", "jaxrl.envs.access_control", "jaxrl.envs.bit_flipping",
     "jaxrl.envs.deep_sea", "jaxrl.envs.goal_grid", "jaxrl.envs.gymnax_pictures",
     "jaxrl.envs.maximisation_bias", "jaxrl.envs.memory_chain",
     "jaxrl.envs.random_walk", "jaxrl.envs.short_corridor", "jaxrl.envs.windy_gridworld"],
    ["jaxrl.agents.tabular.models", "jaxrl.agents.tabular.traces", "jaxrl.agents.tabular.windows",
     "jaxrl.agents.dqn_family", "jaxrl.agents.policy_family",
     "jaxrl.agents.continuous_family", "jaxrl.agents.maddpg", "jaxrl.agents.qmix", "jaxrl.agents.coma"],
    ["jaxrl.agents.team_family"],
    ["jaxrl.agents.tabular.differential_sarsa", "jaxrl.agents.tabular.double_q_learning",
     "jaxrl.agents.tabular.dyna_q", "jaxrl.agents.tabular.expected_sarsa", "jaxrl.agents.tabular.linear_sarsa",
     "jaxrl.agents.tabular.prioritised_sweeping",
     "jaxrl.agents.tabular.monte_carlo", "jaxrl.agents.tabular.n_step_sarsa", "jaxrl.agents.tabular.q_lambda",
     "jaxrl.agents.tabular.q_learning", "jaxrl.agents.tabular.sarsa_lambda", "jaxrl.agents.tabular.td_lambda",
     "jaxrl.agents.tabular.td_prediction", "jaxrl.agents.tabular.tree_backup"],
    ["jaxrl.agents.tabular"],
    ["jaxrl.envs.blocking_maze", "jaxrl.envs.dyna_maze", "jaxrl.envs.four_rooms"],
    ["jaxrl.envs.multi", "jaxrl.envs.multi.boards", "jaxrl.envs.multi.bodies", "jaxrl.envs.multi.crowd"],
    ["jaxrl.envs.multi.particles"],
    ["jaxrl.envs.multi.coin_game", "jaxrl.envs.multi.commons", "jaxrl.envs.multi.connect_four",
     "jaxrl.envs.multi.level_based_foraging", "jaxrl.envs.multi.matrix_games", "jaxrl.envs.multi.pursuit",
     "jaxrl.envs.multi.switch", "jaxrl.envs.multi.switch_riddle", "jaxrl.envs.multi.tic_tac_toe",
     "jaxrl.envs.multi.coordination", "jaxrl.envs.multi.simple_adversary", "jaxrl.envs.multi.simple_push",
     "jaxrl.envs.multi.simple_reference", "jaxrl.envs.multi.simple_speaker_listener",
     "jaxrl.envs.multi.simple_spread", "jaxrl.envs.multi.simple_tag"],
    ["jaxrl.envs.minigrid", "jaxrl.envs.minigrid.cells"],
    ["jaxrl.envs.minigrid.rules", "jaxrl.envs.minigrid.levels"],
    ["jaxrl.envs.minigrid.pictures", "jaxrl.envs.minigrid.rooms", "jaxrl.envs.minigrid.views"],
    ["jaxrl.envs.minigrid.world"],
    ["jaxrl.envs.minigrid.crossing", "jaxrl.envs.minigrid.door_key", "jaxrl.envs.minigrid.dynamic_obstacles",
     "jaxrl.envs.minigrid.empty", "jaxrl.envs.minigrid.four_rooms", "jaxrl.envs.minigrid.go_to_door",
     "jaxrl.envs.minigrid.lava_gap", "jaxrl.envs.minigrid.memory", "jaxrl.envs.minigrid.multi_room",
     "jaxrl.envs.minigrid.red_blue_doors", "jaxrl.envs.minigrid.unlock"],
    ["jaxrl.envs.minigrid.key_corridor"],
    ["jaxrl.envs.minigrid.worlds"],
    ["jaxrl.agents", "jaxrl.envs.registry"],
    ["jaxrl.envs"],
    ["jaxrl.loop", "jaxrl.export"],
    ["jaxrl.run", "jaxrl.evaluate", "jaxrl.checkpoint", "jaxrl.for_gymnasium", "jaxrl.host_spaces"],
    ["jaxrl.for_gymnasium_vector", "jaxrl.for_pettingzoo", "jaxrl.host_rows"],
    ["jaxrl.presets.preset"],
    ["jaxrl.presets.policies", "jaxrl.presets.continuous", "jaxrl.presets.exploring", "jaxrl.presets.tabular",
     "jaxrl.presets.values", "jaxrl.presets.teams"],
    ["jaxrl.datasets", "jaxrl.policy", "jaxrl.presets", "jaxrl.settings", "jaxrl.host_parallel"],
    ["jaxrl.host", "jaxrl.for_minari"],
    ["jaxrl.overrides", "jaxrl.run_folder", "jaxrl.plots", "jaxrl.progress"],
    ["jaxrl.record"],
    ["jaxrl.experiment"],
    ["jaxrl.analyse_values", "jaxrl.reports", "jaxrl.films"],
    ["jaxrl.analyse_states"],
    ["jaxrl.analyse"],
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
    [
        ("flax", {"networks", "value_networks", "action_networks", "mixers"}),
        ("distrax", {"distributions"}),
        ("gymnax", {"compat"}),
        ("tyro", {"command_line"}),
        ("gymnasium", {"for_gymnasium", "for_gymnasium_vector", "export"}),
        ("minari", {"for_minari"}),
        ("pettingzoo", {"for_pettingzoo", "export"}),
    ],
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
