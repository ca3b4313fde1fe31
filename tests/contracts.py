"""The tables that every registered part is held to, and what compares, counts and compiles for them."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rows_policies
import rows_tabular
import rows_teams
import rows_values

from jaxrl import agents, distributions, envs, loop, networks, transforms
from jaxrl.backend import jit_once as quick  # the tables ask what a program computes, not how fast
from jaxrl.envs.check_walk import Walk, wander
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize


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


ROWS = rows_tabular.ROWS | rows_values.ROWS | rows_policies.ROWS | rows_teams.ROWS
LEARNERS = [name for name, row in ROWS.items() if row.algorithm != "random"]


def marked(names: Iterable[str]) -> list[Any]:
    """Rows as parameters of a test."""
    return [pytest.param(name, marks=pytest.mark.slow if ROWS[name].slow else ()) for name in names]


class Case:
    """A row of the table with its compiled functions, which all of its tests share."""

    def __init__(self, name: str) -> None:
        row = ROWS[name]
        self.env = agents.adapt(row.algorithm, row.make())
        self.config = agents.default_config(row.algorithm)._replace(**row.config)
        self.agent = agents.make(row.algorithm, self.env, row.network, self.config, row.curiosity, row.team)
        self.head = distributions.head(self.env.action_space)
        self.network = networks.actor_critic(row.network, self.head.num_outputs, self.head.num_free)
        self.venv = vectorize(self.env, row.num_envs)
        self.trainer = loop.make_trainer(self.agent, self.venv, row.rollout_length)
        # Independent agents see what is their own each, a team that is one agent sees whole steps of the world.
        apart = row.team.learning == "independent" or agents.algorithm(row.algorithm).team
        self.transitions_per_update = (row.num_envs if apart else self.venv.num_rows) * row.rollout_length
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


def inner(state: Any) -> Any:
    """The state of the agent inside of what is wrapped around it."""
    return inner(state.agent) if "agent" in getattr(state, "_fields", ()) else state


def without(part: str, state: Any) -> Any:
    """The agent's state but for a field, also of the agent inside."""
    fields = getattr(state, "_fields", ())
    state = state._replace(agent=without(part, state.agent)) if "agent" in fields else state
    return state._replace(**{part: ()}) if part in fields else state


def without_memory(state: Any) -> Any:
    """The agent's state but for its buffer."""
    return without("buffer", state)
