"""The probe environments and the T-maze: each has the answer that it was made for."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import envs, exact
from jaxrl.envs import probes
from jaxrl.types import Environment, Model
from jaxrl.vectorize import vectorize


def table_of(env: Environment) -> Model:
    assert env.model is not None
    return env.model(env.params)


def rollout(env: Environment, num_envs: int, length: int) -> Any:
    """(first timestep [N], timesteps [T, N]) of action 0, as numpy arrays."""
    venv = vectorize(env, num_envs)

    @jax.jit
    def run(key: Any) -> Any:
        start_key, step_key = jax.random.split(key)
        state, first = venv.reset(start_key, env.params)
        action = jnp.zeros((num_envs, *env.action_space.shape), env.action_space.dtype)

        def body(state: Any, key: Any) -> Any:
            return venv.step(key, state, action, env.params)

        return first, jax.lax.scan(body, state, jax.random.split(step_key, length))[1]

    return jax.device_get(run(jax.random.key(3)))


def test_a_chain_ends_exactly_at_its_limit() -> None:
    _, steps = rollout(probes.chain(length=4, max_steps=4), 3, 12)
    expected = np.tile([False, False, False, True], 3)
    for flags in (steps.terminated, steps.truncated, steps.first):
        np.testing.assert_array_equal(flags, np.repeat(expected[:, None], 3, axis=1))
    np.testing.assert_array_equal(steps.info["episode_return"][3], [4, 4, 4])
    _, steps = rollout(probes.chain(), 2, 6)
    assert not steps.truncated.any() and steps.terminated[:, 0].tolist() == [False, False, True] * 2


def test_two_lengths_have_returns_0_and_10() -> None:
    _, steps = rollout(probes.two_lengths(), 64, 40)
    pairs = set(zip(*(steps.info[k][steps.first].tolist() for k in ("episode_length", "episode_return")), strict=True))
    assert pairs == {(1, 0.0), (10, 10.0)}
    model = table_of(probes.two_lengths())
    assert exact.start_value(model, exact.policy_value(model, np.zeros(12, int))) == 5.0


def test_random_starts_are_64_fair_bits() -> None:
    env = probes.random_start()
    obs = one_step(env, jax.random.split(jax.random.key(0), 2000))[1]
    assert obs.shape == (2000, 64) and np.unique(obs, axis=0).shape[0] == 2000
    assert set(np.unique(obs)) == {0.0, 1.0} and abs(float(obs.mean()) - 0.5) < 4 * 0.5 / np.sqrt(obs.size)
    _, steps = rollout(env, 4, 6)
    assert steps.terminated[:, 0].tolist() == [False, False, True] * 2
    changed = (steps.final_obs.features != np.roll(steps.final_obs.features, 1, axis=0)).any(-1)[1:]
    np.testing.assert_array_equal(changed[:, 0], [False, False, True, False, False])


def test_the_counter_tells_episode_and_step() -> None:
    first, steps = rollout(probes.counter(length=5), 4, 10)
    seen = np.concatenate([first.obs.features[None], steps.obs.features])
    np.testing.assert_array_equal(seen[:-1, :, 1], np.tile(np.arange(5), 2)[:, None].repeat(4, 1))
    np.testing.assert_array_equal(steps.reward, seen[:-1, :, 1])
    np.testing.assert_array_equal(steps.final_obs.features[..., 1], seen[:-1, :, 1] + 1)
    np.testing.assert_array_equal(seen[:5, :, 0], np.tile(seen[0, :, 0], (5, 1)))
    assert len(np.unique(seen[[0, 5], :, 0])) == 8 and (seen == np.round(seen)).all()
    _, steps = rollout(probes.counter(length=None, max_steps=3), 2, 6)
    assert not steps.terminated.any() and steps.truncated[:, 0].tolist() == [False, False, True] * 2


def test_the_masked_walk_has_states_with_one_legal_arm_and_a_bait() -> None:
    env = probes.masked_walk()
    legal = np.asarray(jax.vmap(lambda state: env.legal_actions(state, ()))(jnp.arange(6)))
    assert legal.tolist() == [[True, True], [True, False], [False, True]] * 2
    model = table_of(env)
    assert [model.reward[1, 1, 0], model.reward[2, 0, 0], model.reward[0, 1, 0]] == [100.0, 100.0, 1.0]
    legal = np.vstack([legal, [True, True]])
    best = exact.value_iteration(model, 1.0, legal)
    assert exact.start_value(model, best.max(-1)) == 4.0 and (best[:6] == -np.inf).sum() == 4


def test_one_step_probes_reward_the_answer_only() -> None:
    env, keys = probes.quadratic(3), jax.random.split(jax.random.key(0), 200)
    context, obs, step = one_step(env, keys)
    reward, terminated = step(context, 0.5 * obs)
    assert np.abs(reward).max() == 0.0 and terminated.all()
    np.testing.assert_allclose(step(context, 0.5 * obs + np.float32([0, 1, 2]))[0], -5.0, rtol=1e-5)
    wanted, obs, step = one_step(probes.multi_discrete((3, 2, 4)), keys)
    assert obs.shape == (200, 9) and (obs.sum(-1) == 3).all()
    answer = np.stack([part.argmax(-1) for part in np.split(obs, [3, 5], axis=-1)], axis=-1).astype(np.int32)
    reward, terminated = step(wanted, answer)
    assert (reward == 1.0).all() and terminated.all()
    np.testing.assert_allclose(step(wanted, (answer + np.int32([1, 0, 0])) % np.int32([3, 2, 4]))[0], 2 / 3, rtol=1e-6)


def one_step(env: Environment, keys: Any) -> tuple[Any, np.ndarray, Any]:
    """(states, observations, step: (states, actions) -> (rewards, terminated)) of one episode per key."""
    states, obs = jax.device_get(jax.jit(jax.vmap(lambda key: env.reset(key, ())))(keys))
    step = jax.jit(jax.vmap(lambda state, action: env.step(jax.random.key(0), state, action, ())[2:]))
    return states, obs, lambda state, action: jax.device_get(step(state, action))


def test_random_mdps_differ_by_seed_only() -> None:
    first, again, other = (table_of(probes.random_mdp(seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.reward, other.reward)


def test_the_t_maze_shows_its_cue_once() -> None:
    env = envs.make("t_maze", length=3)
    assert (env.max_steps, env.observation_space.shape) == (8, (4,))
    step = jax.jit(env.step)
    for start, turn, cue in ((0, 0, [1, 0, 1, 0]), (1, 2, [0, 1, 1, 0])):
        state, rewards, seen = jnp.int32(start), [], []
        for action in (0, 1, 3, 1, 1, 1, 1, turn):
            state, obs, reward, terminated = step(jax.random.key(0), state, jnp.int32(action), ())
            rewards.append(round(float(reward), 6))
            seen.append(obs.tolist())
        assert rewards == [-0.1, 0, 0, 0, 0, 0, -0.1, 1.0] and bool(terminated)
        assert seen == [[0, 0, 1, 0]] * 4 + [[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
        assert float(env.measure(state, ())["success"]) == 1.0
        shown = {tuple(env.reset(jax.random.key(i), ())[1].tolist()) for i in range(20)}
        assert tuple(cue) in shown and len(shown) == 2
        wrong, _, reward, terminated = step(jax.random.key(0), jnp.int32(2 + 4 * start + 3), jnp.int32(2 - turn), ())
        assert round(float(reward), 6) == -0.1 and bool(terminated)
        assert float(env.measure(wrong, ())["success"]) == 0.0


def test_without_memory_half_of_the_t_mazes_fail() -> None:
    """Every deterministic policy of the observation succeeds in at most half of the episodes; memory in all."""
    env = envs.make("t_maze", length=3, penalty=0.0)
    model = table_of(env)
    kinds = np.array([0, 1] + [2, 2, 2, 3] * 2 + [3, 3])  # cue up, cue down, corridor, junction (and the two ends)
    success = [
        exact.start_value(model, exact.policy_value(model, np.array(policy)[kinds], env.max_steps))
        for policy in itertools.product(range(4), repeat=4)
    ]
    assert max(success) == 0.5 and len(success) == 256
    best = exact.value_iteration(model, 0.99).argmax(-1)
    assert exact.start_value(model, exact.policy_value(model, best, env.max_steps)) == 1.0
