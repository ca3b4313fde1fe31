"""Transforms of what is done and earned, and of the dynamics: against plain statements, through `vectorize`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from test_vectorize import play, script, team

from jaxrl import envs, exact, spaces, transforms
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize


def last_action(num_agents=None, max_steps=None, legal=None):
    """A world whose state is the action that was done last, -1 at the start."""
    shape = () if num_agents is None else (num_agents,)
    unseen = jnp.zeros((*shape, 1))

    def reset(key, params):
        return -jnp.ones(shape, jnp.int32), unseen

    def step(key, state, action, params):
        return action, unseen, jnp.zeros(shape), jnp.zeros(shape, bool)

    return Environment(
        reset, step, spaces.Box(0.0, 0.0, (1,)), spaces.Discrete(5), max_steps=max_steps, num_agents=num_agents,
        legal_actions=legal, measure=lambda state, params: {"done": state.astype(float).sum()},
    )  # fmt: skip


def do(env, num_steps=3000):
    """(chosen, done) [T, ...]: random actions, and what the world inside was made to do."""

    def step(state, key):
        act_key, step_key = jax.random.split(key)
        shape = () if env.num_agents is None else (env.num_agents,)
        chosen = jax.random.randint(act_key, shape, 0, 5)
        state = env.step(step_key, state, chosen, env.params)[0]
        return state, (chosen, state.inner)

    state = env.reset(jax.random.key(3), env.params)[0]
    keys = jax.random.split(jax.random.key(4), num_steps)
    return (np.asarray(each) for each in jax.jit(functools.partial(jax.lax.scan, step))(state, keys)[1])


def test_sticky_actions_repeat_what_was_done_as_often_as_asked():
    chosen, done = do(transforms.sticky(last_action(), 0.25))
    assert done[0] == chosen[0]
    assert ((done[1:] == chosen[1:]) | (done[1:] == done[:-1])).all()
    told = chosen[1:] != done[:-1]
    stuck = (done[1:] == done[:-1])[told]
    assert stats.binomtest(int(stuck.sum()), int(told.sum()), 0.25).pvalue > 0.001


def test_agents_stick_each_on_its_own():
    chosen, done = do(transforms.sticky(last_action(num_agents=2), 0.5))
    told = (chosen[1:] != done[:-1]).all(1)
    stuck = (done[1:] == done[:-1])[told]
    assert stats.binomtest(int((stuck[:, 0] != stuck[:, 1]).sum()), int(told.sum()), 0.5).pvalue > 0.001


def test_an_episode_begins_with_a_free_action():
    """Where every later action sticks, each episode is its first action, again and again."""
    env = transforms.sticky(last_action(max_steps=3), 1.0)
    venv = vectorize(env, 2)
    (state, _), step = venv.reset(jax.random.key(0), ()), jax.jit(venv.step)
    done = []
    for t in range(9):
        action = jnp.full(2, t % 5, jnp.int32)
        state, timestep = step(jax.random.key(t), state, action, ())
        done.append(timestep.info["done"].tolist())
    assert done == [[0, 0]] * 3 + [[3, 3]] * 3 + [[1, 1]] * 3


def test_an_action_that_is_no_longer_legal_does_not_stick():
    env = last_action(legal=lambda state, params: (jnp.arange(5) != state) | (state == 2))
    chosen, done = do(transforms.sticky(env, 1.0))
    caught = int(np.argmax(done == 2))
    assert (done[: caught + 1] == chosen[: caught + 1]).all() and (done[caught:] == 2).all()


def test_action_repeat_adds_up_and_stops_at_a_termination():
    env = transforms.action_repeat(script(length=5, max_steps=9), 3)
    assert env.max_steps == 3 and env.model is None
    timesteps = play(env, 4)[1:]
    assert [timestep.reward.tolist() for timestep in timesteps] == [[111, 111], [11000, 11000]] * 2
    assert [timestep.terminated[0] for timestep in timesteps] == [False, True] * 2
    assert [timestep.final_obs.features[0, 1] for timestep in timesteps] == [3, 5] * 2
    assert [timestep.info["time"][0] for timestep in timesteps] == [3, 5] * 2  # the world itself stands still
    assert [timestep.obs.features[0, 1] for timestep in timesteps] == [3, 0] * 2
    assert [timestep.info["episode_return"][0] for timestep in timesteps] == [111, 11111] * 2
    limited = play(transforms.action_repeat(script(max_steps=7), 3), 4)[1:]
    assert [timestep.truncated[0] for timestep in limited] == [False, True] * 2
    assert [timestep.final_obs.features[0, 1] for timestep in limited] == [3, 6] * 2


def test_action_repeat_goes_on_while_one_agent_lives():
    """Agents earn 1, 2 and 3 per step and die after 1, 2 and 3 of them; a dead one earns NaN."""
    first, second = play(transforms.action_repeat(team(), 2), 2)[1:]
    np.testing.assert_array_equal(first.reward, [[1, 4, 6]] * 2)
    np.testing.assert_array_equal(first.terminated, [[True, True, False]] * 2)
    np.testing.assert_array_equal(second.valid, [[False, False, True]] * 2)
    np.testing.assert_array_equal(second.reward[:, 2], 3)  # and no step more
    np.testing.assert_array_equal(second.final_obs.features[:, 2], 3)
    assert second.first.all() and second.info["episode_return"][0].tolist() == [1, 4, 9]


@pytest.mark.parametrize(("arm", "steps"), [(1, 1), (0, 2)])
def test_action_repeat_stops_where_the_action_is_no_longer_legal(arm, steps):
    """The walk allows both arms, then arm 0 alone, then arm 1 alone."""
    env = transforms.action_repeat(envs.make("masked_walk"), 3)
    state = env.reset(jax.random.key(0), ())[0]
    state, _, reward, _ = jax.jit(env.step)(jax.random.key(1), state, jnp.int32(arm), ())
    assert float(env.measure(state, ())["step"]) == steps and float(reward) == arm * steps


def test_scale_reward_scales_the_model_too():
    inner = envs.make("random_mdp")
    env = transforms.scale_reward(inner, 0.5)
    np.testing.assert_allclose(env.model(()).reward, inner.model(()).reward * 0.5)
    args = jax.random.key(0), jnp.int32(3), jnp.int32(1), ()
    assert float(env.step(*args)[2]) == pytest.approx(0.5 * float(inner.step(*args)[2]))


def test_shaping_leaves_the_best_policy_as_it_is():
    """On a random MDP, exactly: the shaped optimum is the old one minus the potential, for every action alike.

    The control: were the potential of an end not 0, other actions would be best in some state.
    """
    discount, world = 0.9, envs.make("random_mdp", seed=3, end_probability=0.3)
    model, phi = world.model(()), np.random.default_rng(0).normal(0, 3, 10)
    env = transforms.shape_reward(world, lambda state, params: jnp.asarray(phi, jnp.float32)[state], discount)
    after = np.where(model.terminated, 0, phi[model.next_state])
    shaped = model._replace(reward=model.reward + discount * after - phi[:, None, None])

    states, actions = (np.tile(axis.ravel(), 40) for axis in np.indices((10, 3)))
    step = jax.jit(jax.vmap(env.step, (0, 0, 0, None)))
    reached, _, reward, ended = step(jax.random.split(jax.random.key(1), states.size), states, actions, ())
    told = (shaped.next_state[states, actions] == np.asarray(reached)[:, None]) & (
        shaped.terminated[states, actions] == np.asarray(ended)[:, None]
    )
    told &= np.abs(shaped.reward[states, actions] - np.asarray(reward)[:, None]) < 1e-4
    assert told.any(-1).all() and np.asarray(ended).sum() > 100 and env.model is None

    plain, ours = (exact.value_iteration(each, discount) for each in (model, shaped))
    np.testing.assert_allclose(ours, plain - phi[:, None], atol=1e-7)
    wrong = model._replace(reward=model.reward + discount * phi[model.next_state] - phi[:, None, None])
    assert (exact.value_iteration(wrong, discount).argmax(-1) != plain.argmax(-1)).any()


@pytest.mark.parametrize(("length", "limit", "last"), [(2, None, 10 - 4), (None, 2, 10 + 0.5 * 7 - 4)])
def test_shaping_counts_nothing_after_a_termination_but_all_at_a_limit(length, limit, last):
    """The potential is 1 + 3 t: the rewards 1 and 10 become 1 + 0.5 * 4 - 1 and, if it goes on, 10 + 0.5 * 7 - 4."""
    env = transforms.shape_reward(script(length, limit), lambda state, params: 1.0 + 3 * state[1], 0.5)
    timesteps = play(env, 4)[1:]
    assert [timestep.reward.tolist() for timestep in timesteps] == [[2, 2], [last, last]] * 2


def test_agents_are_shaped_each_by_its_own_potential():
    env = transforms.shape_reward(team(), lambda state, params: jnp.arange(3.0), 0.5)
    np.testing.assert_allclose(play(env, 1)[1].reward, [[1, 2 + 0.5 - 1, 3 + 1 - 2]] * 2)


def draw(key, params):
    return jax.random.randint(key, (), 1, 6)


def test_randomise_is_the_draw_of_vectorize_inside_of_the_world():
    """Bit for bit; the length of an episode is what its start drew."""
    inside = play(transforms.randomise(script(), draw), 40, num_envs=4)
    outside = play(script(), 40, num_envs=4, draw=draw)
    for a, b in zip(jax.tree.leaves(inside), jax.tree.leaves(outside), strict=True):
        np.testing.assert_array_equal(a, b)
    lengths = [length for t in inside[1:] for length in t.info["episode_length"][t.first]]
    assert set(lengths) == {1, 2, 3, 4, 5}


def test_what_is_asked_of_a_randomised_world_is_answered_with_its_own_params():
    world = script()._replace(
        measure=lambda state, params: {"drawn": params}, render=lambda state, params: params,
        legal_actions=lambda state, params: jnp.arange(2) < params,
    )  # fmt: skip
    env = transforms.randomise(world, lambda key, params: params + 1)
    state = env.reset(jax.random.key(0), jnp.int32(0))[0]
    state = env.step(jax.random.key(0), state, jnp.int32(0), jnp.int32(77))[0]
    assert int(env.measure(state, 77)["drawn"]) == int(env.render(state, 77)) == 1
    np.testing.assert_array_equal(env.legal_actions(state, 77), [True, False])


def test_an_endless_world_starts_anew_within_the_step():
    env = transforms.endless(script(length=3, max_steps=2), restart_reward=-5.0)
    assert env.max_steps is None and env.model is None
    timesteps = play(env, 7)
    assert [timestep.reward[0] for timestep in timesteps] == [0, 1, 10, 95, 1, 10, 95, 1]
    assert [timestep.obs.features[0, 1] for timestep in timesteps] == [0, 1, 2, 0, 1, 2, 0, 1]
    episodes = [int(timestep.obs.features[0, 0]) for timestep in timesteps]
    assert episodes[:3] == episodes[:1] * 3 and episodes[3:6] == episodes[3:4] * 3 and len(set(episodes)) == 3
    assert not any(t.terminated.any() | t.truncated.any() | t.first.any() for t in timesteps[1:])
    assert timesteps[-1].info["episode_length"][0] == 7


def test_transforms_compose():
    """Sticky actions, each done twice, seen as two frames with the time that is left; the ends are the world's own."""
    env = transforms.action_repeat(transforms.sticky(script(length=5, max_steps=8), 0.5), 2)
    env = transforms.frame_stack(transforms.time_aware(env), 2)
    timesteps = play(env, 4)
    assert env.max_steps == 4 and env.observation_space.shape == (2, 3)
    np.testing.assert_allclose(timesteps[1].obs.features[0, :, 1:], [[0, 1], [2, 0.75]])
    np.testing.assert_allclose(timesteps[3].final_obs.features[0, :, 1:], [[4, 0.5], [5, 0.25]])
    np.testing.assert_allclose(timesteps[3].obs.features[0, :, 1:], [[0, 1], [0, 1]])
    assert [bool(timestep.terminated[0]) for timestep in timesteps] == [False, False, False, True, False]
