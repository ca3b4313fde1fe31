"""gymnax through `jaxrl.compat`: the same dynamics, limits outside, fixed dtypes, true spaces, one-line refusals."""

import importlib.metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import compat, envs, spaces
from jaxrl.envs.registry import GYMNAX
from jaxrl.errors import UsageError
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Environment

LIMITS = {
    "acrobot": 500,
    "asterix": 1000,
    "bandit": 100,
    "breakout": 1000,
    "cartpole": 500,
    "catch": 1000,
    "discounting_chain": 100,
    "freeway": 2500,
    "mountain_car": 200,
    "mountain_car_continuous": 999,
    "pendulum": 200,
    "seaquest": 1000,
    "space_invaders": 1000,
    "umbrella_chain": 100,
}


@pytest.fixture(scope="module")
def worlds() -> dict[str, Environment]:
    return {name: envs.make(name) for name in GYMNAX}


def play(env: Environment, length: int, num_rows: int) -> Any:
    """(terminated [N, T], bool: every observation lies in its space) of random actions that go on after an end."""

    def run(key: Any) -> Any:
        def body(state: Any, key: Any) -> Any:
            action_key, step_key = jax.random.split(key)
            action = spaces.sample(env.action_space, action_key)
            state, obs, _, terminated = env.step(step_key, state, action, env.params)
            return state, (terminated, env.observation_space.contains(obs))

        state, obs = env.reset(key, env.params)
        _, (terminated, inside) = jax.lax.scan(body, state, jax.random.split(key, length))
        return terminated, inside.all() & env.observation_space.contains(obs)

    terminated, inside = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), num_rows))
    return np.asarray(terminated), bool(inside.all())


def test_limits_are_given_as_max_steps(worlds: dict[str, Environment]) -> None:
    assert {name: env.max_steps for name, env in worlds.items()} == LIMITS


def test_a_state_keeps_its_shapes_and_dtypes(worlds: dict[str, Environment]) -> None:
    """A step's state has the reset's structure, strong dtypes included; observations and rewards are as declared."""
    for name, env in worlds.items():
        key, action = jax.random.key(0), jnp.zeros(env.action_space.shape, env.action_space.dtype)
        before, first = jax.eval_shape(env.reset, key, env.params)
        after, obs, reward, terminated = jax.eval_shape(env.step, key, before, action, env.params)
        assert jax.tree.structure(before) == jax.tree.structure(after), name
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
            assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, False), name
        assert obs.shape == first.shape == env.observation_space.shape and obs.dtype == first.dtype == np.float32, name
        assert (reward.shape, reward.dtype, terminated.shape, terminated.dtype) == ((), np.float32, (), np.bool_), name
        assert all(isinstance(leaf, np.ndarray) and not leaf.dtype.itemsize > 4 for leaf in jax.tree.leaves(env.params))
        assert isinstance(hash(env.observation_space), int) and isinstance(hash(env.action_space), int), name


def outputs_of_the_limit(env: Environment) -> list[bool]:
    """For obs, reward, terminated of a step: whether it can depend on gymnax's own time limit at all."""

    def step(limit: Any, key: Any, state: Any, action: Any) -> Any:
        return env.step(key, state, action, env.params.replace(max_steps_in_episode=limit))[1:]

    key, action = jax.random.key(0), jnp.zeros(env.action_space.shape, env.action_space.dtype)
    state = jax.eval_shape(env.reset, key, env.params)[0]
    program = jax.make_jaxpr(step)(np.int32(5), key, state, action).jaxpr
    reached = {program.invars[0]}
    for equation in program.eqns:
        if any(not hasattr(variable, "val") and variable in reached for variable in equation.invars):
            reached.update(equation.outvars)
    return [not hasattr(variable, "val") and variable in reached for variable in program.outvars]


def test_the_limit_never_terminates(worlds: dict[str, Environment]) -> None:
    """In the traced step nothing that is seen comes from the limit, but where the limit is the task's own end."""
    for name, env in worlds.items():
        expected = [True, False, True] if name == "discounting_chain" else [False] * 3
        assert outputs_of_the_limit(env) == expected, name


SHORT = [("catch", 9), ("umbrella_chain", 10)]


@pytest.mark.parametrize(("name", "length"), SHORT)
def test_short_tasks_end_by_their_own_rules(name: str, length: int, worlds: dict[str, Environment]) -> None:
    """And what they show on the way lies in their spaces, also where gymnax declares too narrow ones."""
    terminated, inside = play(worlds[name], length, num_rows=20)
    np.testing.assert_array_equal(terminated, np.tile(np.arange(length) == length - 1, (20, 1)))
    assert inside


def test_the_discounting_chain_ends_by_its_own_rules() -> None:
    env = envs.make("discounting_chain")
    state, obs = env.reset(jax.random.key(0), env.params)
    step, rewards, seen = jax.jit(env.step), [], [obs]
    for _ in range(100):
        state, obs, reward, terminated = step(jax.random.key(0), state, jnp.int32(4), env.params)
        rewards.append(float(reward))
        seen.append(obs)
        assert bool(terminated) == (len(rewards) == 100)
    assert np.flatnonzero(rewards).tolist() == [99] and rewards[99] == 1.0  # action 4 pays at step 100
    np.testing.assert_allclose(np.stack(seen)[:, 1], np.arange(101) / 100, rtol=1e-6)


@pytest.mark.parametrize("name", ["cartpole", "acrobot", "mountain_car_continuous", "breakout", "umbrella_chain"])
def test_steps_equal_gymnax(name: str, worlds: dict[str, Environment]) -> None:
    """From the same key, state and action both step alike, along a random episode."""
    import gymnax

    env, (raw, params) = worlds[name], gymnax.make(GYMNAX[name])
    (obs, state), key = raw.reset_env(jax.random.key(3), params), jax.random.key(4)
    mine, first = env.reset(jax.random.key(3), env.params)
    np.testing.assert_allclose(first, obs, rtol=1e-6)
    theirs_step, our_step = jax.jit(raw.step_env), jax.jit(env.step)
    for _ in range(12):
        key, action_key, step_key = jax.random.split(key, 3)
        action = spaces.sample(env.action_space, action_key)
        obs, state, reward, terminated, _ = theirs_step(step_key, state, action, params)
        mine, my_obs, my_reward, my_terminated = our_step(step_key, mine, action, env.params)
        np.testing.assert_allclose(my_obs, obs, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(my_reward, reward, rtol=1e-5)
        assert bool(my_terminated) == bool(terminated)
        if terminated:
            break


@pytest.mark.parametrize("name", ["pendulum", "mountain_car"])
def test_endless_tasks_never_terminate_and_stay_in_their_space(name: str, worlds: dict[str, Environment]) -> None:
    terminated, inside = play(worlds[name], 300, num_rows=8)
    assert not terminated.any() and inside


def test_spaces_are_ours(worlds: dict[str, Environment]) -> None:
    assert worlds["cartpole"].action_space == Discrete(2)
    low, high = worlds["cartpole"].observation_space.bounds()
    np.testing.assert_allclose(high, [4.8, np.inf, 0.41887903, np.inf])
    np.testing.assert_array_equal(low, -high)
    assert worlds["pendulum"].action_space == Box(-2.0, 2.0, (1,))
    assert worlds["breakout"].observation_space == Box(0.0, 1.0, (10, 10, 4))
    assert worlds["catch"].observation_space == Box(0.0, 1.0, (10, 5))


def test_parameters_may_be_mapped(worlds: dict[str, Environment]) -> None:
    env = worlds["pendulum"]
    gravity = jnp.array([5.0, 10.0, 20.0])
    params = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (3,)), env.params).replace(g=gravity)
    keys, action = jnp.stack([jax.random.key(0)] * 3), jnp.zeros((3, 1))
    state, obs = jax.jit(jax.vmap(env.reset))(keys, params)
    after = jax.jit(jax.vmap(env.step))(keys, state, action, params)[1]
    speed_gained = (after - obs)[:, 2]
    np.testing.assert_allclose(speed_gained, 1.5 * gravity * obs[:, 1] * 0.05, rtol=1e-4)


def test_options_are_the_constructors_and_the_parameters() -> None:
    env = envs.make("catch", rows=6, columns=4)
    assert (env.max_steps, env.observation_space.shape) == (1000, (6, 4))
    env = compat.gymnax("MemoryChain-bsuite", {"num_bits": 3, "memory_length": 9, "max_steps": 50})
    assert (env.max_steps, env.observation_space.shape) == (50, (5,))
    assert int(env.params.memory_length) == 9 and env.params.memory_length.dtype == np.int32
    assert int(env.params.max_steps_in_episode) == 50
    env = envs.make("cartpole", max_steps=None, gravity=1)
    assert env.max_steps is None and float(env.params.gravity) == 1.0 and env.params.gravity.dtype == np.float32
    assert envs.make("CartPole-v1").max_steps == 500 and envs.make("Breakout-MinAtar").action_space.n == 3
    assert compat.gymnax("FourRooms-misc").max_steps == 500


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cartpole", {"gravty": 1.0}, "unknown option of CartPole-v1 'gravty': did you mean gravity?"),
        ("cartpole", {"gravity": "g"}, "option gravity of CartPole-v1 is 'g': expected float, like its default 9.8"),
        ("cartpole", {"max_steps": 0}, "max_steps is 0: expected at least 1"),
        ("catch", {"rows": 4.5}, "option rows of Catch-bsuite is 4.5: expected int, like its default 10"),
        ("catch", {"max_steps_in_episode": 9}, "unknown option of Catch-bsuite 'max_steps_in_episode': "),
    ],
)
def test_bad_options_are_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError) as error:
        envs.make(name, **options)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_an_unknown_gymnax_id_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        compat.gymnax("CartPole-v7")
    assert str(error.value).startswith("unknown gymnax environment 'CartPole-v7': did you mean CartPole-v1")


@pytest.mark.parametrize("version", ["0.0.9", "1.0.0", "0.9.10"])
def test_an_old_gymnax_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    with pytest.raises(UsageError) as error:
        envs.make("cartpole")
    complaint, advice = str(error.value).split("; ")
    assert complaint == f"gymnax {version} mixes time limits into terminations"
    assert advice == 'expected gymnax 1.0.1 or later: pip install "gymnax>=1.0.1"'


@pytest.mark.parametrize("version", ["1.0.1", "1.0.10", "1.1", "2.0.0rc1"])
def test_a_newer_gymnax_is_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    assert envs.make("cartpole").max_steps == 500


def test_a_missing_gymnax_gives_an_install_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(UsageError) as error:
        envs.make("cartpole")
    assert str(error.value) == 'gymnax is not installed; expected gymnax 1.0.1 or later: pip install "gymnax>=1.0.1"'
