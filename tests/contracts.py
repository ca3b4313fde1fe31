"""The tables that every registered part is held to, and what compares, counts and compiles for them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import agents, distributions, envs, loop, networks, transforms
from jaxrl.envs.check import QUICK
from jaxrl.envs.check_walk import Walk, wander
from jaxrl.networks import Settings
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize


def quick(function: Callable[..., Any]) -> Callable[..., Any]:
    """The tables ask what a program computes, not how fast: without optimisation it compiles in half of the time."""
    return jax.jit(function, compiler_options=QUICK)


class Counted:
    """A function that counts how often Python runs it: once per trace when it is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.count = function, 0

    def __call__(self, *args: Any) -> Any:
        self.count += 1
        return self.function(*args)


def kinds(tree: Any) -> Any:
    """Structure, shapes, dtypes and weak types of a tree (of arrays, or of their shapes)."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda x: x, tree))
    return structure, [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in leaves]


def plain(tree: Any) -> list[np.ndarray]:
    """The leaves as numpy arrays; keys as their bits."""
    leaves = jax.tree.leaves(tree)
    is_key = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    return [np.asarray(jax.random.key_data(x) if key else x) for x, key in zip(leaves, is_key, strict=True)]


def assert_equal(a: Any, b: Any) -> None:
    """Bit for bit (NaN equals NaN)."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(plain(a), plain(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def assert_close(a: Any, b: Any, tolerance: float) -> None:
    """Numbers within tolerance (absolute, or relative where they exceed 1); integers and flags exactly."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(plain(a), plain(b), strict=True):
        assert x.dtype == y.dtype
        loose = tolerance if np.issubdtype(x.dtype, np.floating) else 0
        np.testing.assert_allclose(x, y, rtol=loose, atol=loose)


def differs(a: Any, b: Any) -> bool:
    return any(not np.array_equal(x, y) for x, y in zip(plain(a), plain(b), strict=True))


def checks_keys(function: Callable[..., Any], *args: Any) -> None:
    """Raise where the function uses a key twice (found while it is traced)."""
    with jax.debug_key_reuse(True):
        jax.jit(lambda *args: function(*args)).trace(*args)


# --- environments --------------------------------------------------------------------------------------------------

VARIANTS: dict[str, Callable[[], Environment]] = {
    "frozen_lake, slippery": lambda: envs.make("frozen_lake", slippery=True),
    "cliff_walking, slippery": lambda: envs.make("cliff_walking", slippery=True),
    "taxi, rainy, fickle, masked": lambda: envs.make("taxi", rainy=True, fickle=True, masked=True),
    "gridworld, own map": lambda: envs.make("gridworld", layout="S.G/.#./S.."),
    "four_rooms, random goals": lambda: envs.make("four_rooms", goals="random"),
    "windy_gridworld, king's moves, stochastic": lambda: envs.make("windy_gridworld", moves="king", stochastic=True),
    "simple_reference, continuous": lambda: envs.make("simple_reference", actions="continuous", reward="openai"),
    "minigrid_unlock_pickup, original": lambda: envs.make("minigrid_unlock_pickup", view="original"),
    "minigrid_lava_gap, symbolic": lambda: envs.make("minigrid_lava_gap", view="symbolic", size=5),
    "commons, with a river": lambda: envs.make("commons", layout="WR../Wa.A/.#aA", num_agents=2, regrowth=(0.3,) * 4),
    "one_hot(taxi)": lambda: transforms.one_hot(envs.make("taxi")),
    "flatten(catch)": lambda: transforms.flatten(envs.make("catch")),
}
WORLDS = {name: functools.partial(envs.make, name) for name in envs.names()} | VARIANTS


# gymnax gives these a limit, although they end by their own rules: after one step, and at the limit itself.
ENDS_LIKE_A_LIMIT = ("bandit", "discounting_chain")


@functools.cache
def world(name: str) -> Environment:
    return WORLDS[name]()


@functools.cache
def walk(name: str) -> Walk:
    """150 random steps of 8 rows of a world that keeps its promises."""
    skip = ("ends",) if name in ENDS_LIKE_A_LIMIT else ()
    return envs.check_env(world(name), name, num_steps=150, num_rows=8, skip=skip)


def random_walk(env: Environment, key: Any, num_steps: int, num_rows: int) -> Walk:
    return wander(env, key, env.params, num_steps, num_rows)


# --- agents --------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """An algorithm in one of its forms, as small as it can be."""

    algorithm: str
    make: Callable[[], Environment]
    config: dict[str, Any] = {}
    network: Settings = Settings(hidden=(8,))
    num_envs: int = 4
    rollout_length: int = 6


def _world(name: str, **options: Any) -> Callable[[], Environment]:
    return lambda: envs.make(name, **options)


_DQN = {"buffer_size": 96, "batch_size": 16, "learning_starts": 48, "gradient_steps": 0.1, "learning_rate": 0.01}
_R2D2 = _DQN | {"batch_size": 8, "length": 4, "stride": 2, "backup_steps": 2}
_PPO = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}
_PQN = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}
_NORMALISED = _PPO | {"normalise_observations": True, "normalise_rewards": True}

ROWS = {
    "random": Row("random", _world("multi_discrete")),
    "random, masked": Row("random", _world("masked_walk")),
    "q_learning": Row("q_learning", _world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "q_learning, masked": Row("q_learning", _world("taxi", masked=True, max_steps=4), {"initial_value": 1.0}),
    "double_q_learning": Row("double_q_learning", _world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "double_q_learning, masked, ties": Row(
        "double_q_learning", _world("taxi", masked=True, max_steps=4), {"exploration": "ucb", "ties": "random"}
    ),
    "expected_sarsa": Row("expected_sarsa", _world("random_mdp", max_steps=5), {"exploration_decay": 0.1}),
    "expected_sarsa, masked": Row(
        "expected_sarsa", _world("taxi", masked=True, max_steps=4), {"exploration": "boltzmann"}
    ),
    "sarsa": Row("sarsa", _world("random_mdp"), {"backup_steps": 1, "epsilon": 0.5, "exploration": "count_bonus"}),
    "n_step_sarsa": Row("n_step_sarsa", _world("random_mdp", max_steps=5), {"backup_steps": 3, "epsilon": 0.5}),
    "tree_backup": Row("tree_backup", _world("random_mdp", max_steps=5), {"backup_steps": 3, "epsilon": 0.5}),
    "tree_backup, masked": Row("tree_backup", _world("taxi", masked=True, max_steps=4), {"backup_steps": 2}),
    "sarsa_lambda": Row("sarsa_lambda", _world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "q_lambda": Row("q_lambda", _world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "q_lambda, masked": Row("q_lambda", _world("taxi", masked=True, max_steps=4), {"traces": "replacing"}),
    "monte_carlo": Row("monte_carlo", _world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "monte_carlo, masked": Row("monte_carlo", _world("taxi", masked=True, max_steps=4), {"visits": "every"}),
    "td_prediction": Row("td_prediction", _world("random_mdp", max_steps=5), {"backup_steps": 3}),
    "td_prediction, masked": Row("td_prediction", _world("taxi", masked=True, max_steps=4)),
    "td_lambda": Row("td_lambda", _world("random_mdp", max_steps=5), {"traces": "replacing"}),
    "dyna_q": Row("dyna_q", _world("random_mdp", max_steps=5), {"planning_steps": 3, "epsilon": 0.5}),
    "dyna_q, masked": Row("dyna_q", _world("taxi", masked=True, max_steps=4), {"planning_steps": 2}),
    "dyna_q_plus": Row("dyna_q_plus", _world("random_mdp", max_steps=5), {"planning_steps": 3}),
    "dyna_q_plus, masked": Row("dyna_q_plus", _world("taxi", masked=True, max_steps=4), {"planning_steps": 2}),
    "prioritised_sweeping": Row("prioritised_sweeping", _world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "prioritised_sweeping, masked": Row(
        "prioritised_sweeping", _world("taxi", masked=True, max_steps=4), {"planning_steps": 2}
    ),
    "differential_sarsa": Row("differential_sarsa", _world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "differential_sarsa, masked": Row(
        "differential_sarsa", _world("taxi", masked=True, max_steps=4), {"learning_rate": 0.1}
    ),
    "linear_sarsa": Row("linear_sarsa", _world("counter", length=4), {"epsilon": 0.5}),
    "linear_sarsa, masked, true online": Row(
        "linear_sarsa", _world("masked_walk", length=4), {"tiles": 1, "tilings": 2, "true_online": True}
    ),
    "dqn": Row("dqn", _world("random_mdp", max_steps=5), _DQN),
    "dqn, masked": Row("dqn", _world("masked_walk"), _DQN | {"target_period": 2, "target_rate": 1.0}),
    "dqn, normalised": Row("dqn", _world("counter", length=4), _DQN | {"normalise_observations": True}),
    "double_dqn": Row("double_dqn", _world("random_mdp", max_steps=5), _DQN),
    "dueling_dqn": Row("dueling_dqn", _world("random_mdp", max_steps=5), _DQN),
    "c51": Row("c51", _world("random_mdp", max_steps=5), _DQN | {"num_atoms": 5}),
    "c51, double, dueling, masked": Row(
        "c51", _world("masked_walk"),
        _DQN | {"num_atoms": 5, "double": True, "dueling": True, "aggregation": "max", "backup_steps": 2},
    ),
    "prioritized_dqn": Row("prioritized_dqn", _world("random_mdp", max_steps=5), _DQN),
    "rainbow": Row("rainbow", _world("random_mdp", max_steps=5), _DQN | {"num_atoms": 5}),
    "rainbow, masked": Row("rainbow", _world("masked_walk"), _DQN | {"num_atoms": 5}),
    "qr_dqn": Row("qr_dqn", _world("random_mdp", max_steps=5), _DQN | {"num_quantiles": 3}),
    "iqn": Row("iqn", _world("random_mdp", max_steps=5), _DQN | {"num_quantiles": 3}),
    "iqn, soft, noisy, dueling, masked": Row(
        "iqn", _world("masked_walk"), _DQN | {"num_quantiles": 3, "soft": True, "noisy": True, "dueling": True}
    ),
    "munchausen_dqn": Row("munchausen_dqn", _world("random_mdp", max_steps=5), _DQN),
    "her": Row("her", _world("bit_flipping", num_bits=3), _DQN),
    "r2d2": Row(
        "r2d2", _world("t_maze", length=1), _R2D2 | {"burn_in": 2}, Settings((8,), cell="gru", cell_size=4)
    ),
    "r2d2, lstm, masked": Row(
        "r2d2", _world("masked_walk"),
        _R2D2 | {"burn_in": 0, "double": False, "dueling": False, "rescaled": False, "prioritized": False},
        Settings((8,), cell="lstm", cell_size=4, cell_memory=6),
    ),
    "ppo": Row("ppo", _world("random_mdp", max_steps=5), _PPO),
    "ppo, one row": Row("ppo", _world("chain"), _PPO | {"num_minibatches": 1}, num_envs=1, rollout_length=1),
    "ppo, normalised": Row("ppo", _world("counter", length=4), _NORMALISED),
    "ppo, continuous": Row("ppo", _world("quadratic"), _PPO | {"normalise_observations": True}),
    "ppo, multi-discrete": Row("ppo", _world("multi_discrete"), _PPO),
    "ppo, masked": Row("ppo", _world("masked_walk", length=4), _PPO),
    "ppo, gru": Row(
        "ppo", _world("t_maze", length=1), _PPO | {"chunk_length": 3}, Settings((8,), cell="gru", cell_size=4)
    ),
    "pqn": Row("pqn", _world("random_mdp", max_steps=5), _PQN, Settings((8,), "relu", layer_norm=True)),
    "pqn, masked": Row("pqn", _world("masked_walk", length=4), _PQN | {"epsilon_start": 0.5}),
    "pqn, gru": Row(
        "pqn", _world("t_maze", length=1), _PQN | {"chunk_length": 3},
        Settings((8,), cell="gru", cell_size=4, layer_norm=True),
    ),
    "ppo, lstm, masked, normalised": Row(
        "ppo", _world("masked_walk", length=4), _NORMALISED | {"chunk_length": 2},
        Settings((8,), cell="lstm", cell_size=4),
    ),
}  # fmt: skip
LEARNERS = [name for name, row in ROWS.items() if row.algorithm != "random"]


class Case:
    """A row of the table with its compiled functions, which all of its tests share."""

    def __init__(self, name: str) -> None:
        row = ROWS[name]
        self.env = agents.adapt(row.algorithm, row.make())
        self.config = agents.default_config(row.algorithm)._replace(**row.config)
        self.agent = agents.make(row.algorithm, self.env, row.network, self.config)
        self.head = distributions.head(self.env.action_space)
        self.network = networks.actor_critic(row.network, self.head.num_outputs, self.head.num_free)
        self.venv = vectorize(self.env, row.num_envs)
        self.trainer = loop.make_trainer(self.agent, self.venv, row.rollout_length)
        self.counted = Counted(self.trainer.step)
        self.init, self.step = quick(self.trainer.init), quick(self.counted)
        self.init_many, self.step_many = quick(jax.vmap(self.trainer.init)), quick(jax.vmap(self.trainer.step))
        self.act = quick(self.agent.act)
        self.act_greedy = quick(lambda *args: self.agent.act(*args, explore=False))
        self.learn = quick(self.agent.learn)
        roll = loop.collect(self.agent, self.venv, row.rollout_length)
        self.roll = quick(lambda key, s: roll(key, s.agent, s.env, s.timestep, s.carry, s.task))

    @functools.cached_property
    def history(self) -> list[Any]:
        """[TrainState]: after 0, 1, 2 and 3 updates of one seed."""
        states = [self.init(jax.random.key(0))]
        for _ in range(3):
            states.append(self.step(states[-1])[0])
        return states

    @functools.cached_property
    def rollout(self) -> Any:
        return self.roll(jax.random.key(5), self.history[1])[3]

    @functools.cached_property
    def many(self) -> Any:
        """TrainState [3, ...]: the starts of three seeds, the first of which is that of `history`."""
        return self.init_many(jnp.stack([jax.random.key(0), jax.random.key(1), jax.random.key(2)]))


# Tests run row by row (`scope="module"`), and the programs of a row that is done are dropped: a process that keeps all
# of them runs out of memory maps.
@functools.lru_cache(maxsize=4)
def case(name: str) -> Case:
    return Case(name)


def lane(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda x: x[i], tree)


def without_memory(state: Any) -> Any:
    """The agent's state but for its buffer."""
    return state._replace(buffer=()) if "buffer" in getattr(state, "_fields", ()) else state
