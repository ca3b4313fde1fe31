"""Transforms of environments: what they change, and that they change nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from test_vectorize import play, script, team

from jaxrl import envs, spaces, transforms
from jaxrl.envs.check import check_env
from jaxrl.errors import UsageError
from jaxrl.types import Environment, Observation


def echo(space, obs):
    """A world of one observation, whose state is the last action."""

    def reset(key, params):
        return jnp.int32(0), obs

    def step(key, state, action, params):
        return action, obs, action.astype(jnp.float32), jnp.bool_(False)

    return Environment(
        reset, step, space, spaces.Discrete(3), measure=lambda state, params: {"last": state},
        legal_actions=lambda state, params: jnp.arange(3) != state, render=lambda state, params: state,
    )  # fmt: skip


def reset_and_step(env):
    state, obs = env.reset(jax.random.key(0), env.params)
    return obs, env.step(jax.random.key(1), state, jnp.int32(1), env.params)[1]


def test_one_hot():
    """An index is one vector, a vector of choices several in a row; the space says so."""
    env = transforms.one_hot(echo(spaces.Discrete(4), jnp.int32(2)))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [0, 0, 1, 0])
        assert obs.dtype == jnp.float32 and bool(env.observation_space.contains(obs))
    env = transforms.one_hot(echo(spaces.MultiDiscrete((2, 3)), jnp.array([1, 0])))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [0, 1, 1, 0, 0])
        assert bool(env.observation_space.contains(obs))
    with pytest.raises(UsageError, match="discrete"):
        transforms.one_hot(envs.make("ring"))


def test_flatten():
    """Boxes of any nesting become one vector, with the bounds in the same order."""
    space = {"a": spaces.Box(0.0, 1.0, (2, 2)), "b": spaces.Box(0, 9, (1,), np.uint8)}
    features = {"a": jnp.arange(4.0).reshape(2, 2) / 4, "b": jnp.array([7], jnp.uint8)}
    env = transforms.flatten(echo(space, features))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [0, 0.25, 0.5, 0.75, 7])
        assert obs.dtype == jnp.float32 and bool(env.observation_space.contains(obs))
    assert env.observation_space.high == (1.0, 1.0, 1.0, 1.0, 9.0)
    with pytest.raises(UsageError, match="one_hot"):
        transforms.flatten(envs.make("taxi"))
    space = {"a": spaces.Discrete(3), "b": spaces.Box(-1.0, 1.0, (1,)), "c": spaces.MultiDiscrete((2, 2))}
    env = transforms.flatten(echo(space, {"a": jnp.int32(1), "b": jnp.array([0.5]), "c": jnp.array([1, 0])}))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [0, 1, 0, 0.5, 0, 1, 1, 0])
        assert obs.dtype == jnp.float32 and bool(env.observation_space.contains(obs))


def test_rescale():
    """Bounded features go from their bounds to +-1; unbounded ones, or ones of a single value, stay as they are."""
    low, high = (-2.0, 0.0, -np.inf, 3.0, -3.4e38), (2.0, 10.0, 1.0, 3.0, 3.4e38)
    env = transforms.rescale(echo(spaces.Box(low, high, (5,)), jnp.array([1.0, 0.0, -7.0, 3.0, 5.0])))
    for obs in reset_and_step(env):
        np.testing.assert_allclose(obs, [0.5, -1.0, -7.0, 3.0, 5.0])
        assert obs.dtype == jnp.float32 and bool(env.observation_space.contains(obs))
    np.testing.assert_allclose(env.observation_space.low, (-1.0, -1.0, -np.inf, 3.0, -3.4e38))
    np.testing.assert_allclose(env.observation_space.high, (1.0, 1.0, 1.0, 3.0, 3.4e38))
    pixels = transforms.rescale(echo(spaces.Box(0, 255, (2, 1), np.uint8), jnp.array([[0], [255]], jnp.uint8)), 3.0)
    np.testing.assert_allclose(reset_and_step(pixels)[0], [[-3.0], [3.0]])
    assert bool(pixels.observation_space.contains(reset_and_step(pixels)[0]))
    with pytest.raises(UsageError, match="flatten"):
        transforms.rescale(envs.make("taxi"))


def test_observations_keep_their_other_fields():
    obs = Observation(jnp.int32(1), goal=jnp.ones(2))
    for seen in reset_and_step(transforms.one_hot(echo(spaces.Discrete(2), obs))):
        np.testing.assert_array_equal(seen.features, [0, 1])
        np.testing.assert_array_equal(seen.goal, [1, 1])


def test_the_rest_of_a_world_stays():
    """Limit, mask, measures and picture are those of the world itself."""
    inner = echo(spaces.Discrete(4), jnp.int32(2))._replace(max_steps=9)
    env = transforms.one_hot(inner)
    state = env.step(jax.random.key(1), env.reset(jax.random.key(0), ())[0], jnp.int32(2), ())[0]
    assert env.max_steps == 9 and env.action_space == inner.action_space
    np.testing.assert_array_equal(env.legal_actions(state, ()), [True, True, False])
    assert int(env.measure(state, ())["last"]) == 2 and int(env.render(state, ())) == 2


def plain_echo():
    """A vector world with every optional function, whose state is the last action."""
    obs = Observation(jnp.array([0.25, 0.75]), goal=jnp.ones(2), achieved=jnp.zeros(2))
    return echo(spaces.Box(0.0, 1.0, (2,)), obs)._replace(max_steps=9, params=np.float32(3))


def half(key, params):
    return params * jax.random.uniform(key)


ALL = {
    "frame_stack": lambda env: transforms.frame_stack(env, 2),
    "flicker": lambda env: transforms.flicker(env, 0.5),
    "noisy": lambda env: transforms.noisy(env, 0.5),
    "time_aware": transforms.time_aware,
    "sticky": lambda env: transforms.sticky(env, 0.5),
    "action_repeat": lambda env: transforms.action_repeat(env, 2),
    "scale_reward": lambda env: transforms.scale_reward(env, 0.5),
    "shape_reward": lambda env: transforms.shape_reward(env, lambda state, params: jnp.float32(2), 0.9),
    "randomise": lambda env: transforms.randomise(env, half),
    "endless": transforms.endless,
}
every = pytest.mark.parametrize("name", ALL)


@every
def test_masks_measures_pictures_and_goals_are_those_of_the_world_inside(name):
    env = ALL[name](plain_echo())
    state, first = env.reset(jax.random.key(0), env.params)
    state, obs, _, terminated = env.step(jax.random.key(1), state, jnp.int32(2), env.params)
    last = int(env.measure(state, env.params)["last"])
    assert last == int(env.render(state, env.params)) and last in ((0, 2) if name == "sticky" else (2,))
    np.testing.assert_array_equal(env.legal_actions(state, env.params), np.arange(3) != last)
    for seen in (first, obs):
        assert bool(spaces.contains(env.observation_space, seen.features))
        np.testing.assert_array_equal(seen.goal, [1, 1])
        np.testing.assert_array_equal(seen.achieved, [0, 0])
    assert env.max_steps == {"action_repeat": 4, "endless": None}.get(name, 9) and not bool(terminated)


@every
def test_every_transform_gives_a_world_that_keeps_its_promises(name):
    """Structure, spaces, purity and keys, on a world with masks, draws and terminations."""
    inner = envs.make("masked_walk")

    def step(key, state, action, params):
        return inner.step(jax.random.split(key)[0], state, action, params)

    def reset(key, params):
        return inner.reset(jax.random.split(key)[0], params)

    world = inner._replace(reset=reset, step=step, params=np.float32(3), max_steps=20)
    check_env(ALL[name](world), name, num_steps=20, num_rows=2)


@pytest.mark.parametrize("name", ["frame_stack", "flicker", "noisy", "sticky", "action_repeat", "scale_reward"])
def test_several_agents(name):
    """Of which each dies at its own time and shows NaN from then on."""
    check_env(ALL[name](team(max_steps=6)), name, num_steps=20, num_rows=2)


def play_lengths(transform):
    """20 steps of 4 rows, limit 3; each episode of a row would terminate after 1 to 5 steps."""
    return play(
        transform(script(max_steps=3)), 20, num_envs=4, draw=lambda key, task: jax.random.randint(key, (), 1, 6)
    )


@pytest.fixture(scope="module")
def plainly():
    return play_lengths(lambda env: env)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("action_repeat", "endless", "randomise")])
def test_ends_are_neither_added_nor_moved(name, plainly):
    """Terminations and the limit, also both at once, fall where they fell without the transform."""
    assert sum((t.terminated & t.truncated).sum() for t in plainly) > 3
    for ours, plain in zip(play_lengths(ALL[name]), plainly, strict=True):
        for field in ("first", "terminated", "truncated", "valid"):
            np.testing.assert_array_equal(getattr(ours, field), getattr(plain, field))


def frames_of_episodes(timesteps, row, n):
    """The last n frames [n, ...] that each timestep's obs and final_obs stand for, by going through the episode."""
    frames, expected = [], []
    for timestep in timesteps:
        final = [] if timestep.first[row] and not frames else frames + [timestep.final_obs.features[row]]
        frames = [timestep.obs.features[row]] if timestep.first[row] else final
        expected.append(tuple(([each[0]] * n + each)[-n:] for each in (frames, final or frames)))
    return expected


@pytest.mark.parametrize(("length", "limit"), [(4, None), (None, 4)])
def test_frame_stack_shows_the_last_frames_of_the_episode_alone(length, limit):
    """Also in final_obs; the start of the next episode fills the stack anew."""
    ours, plain = (play(env, 10) for env in (transforms.frame_stack(script(length, limit), 3), script(length, limit)))
    for row in range(2):
        for timestep, (frames, final) in zip(ours, frames_of_episodes(plain, row, 3), strict=True):
            np.testing.assert_array_equal(timestep.obs.features[row], frames)
            np.testing.assert_array_equal(timestep.final_obs.features[row], final)
    assert sum(timestep.first[0] for timestep in ours) > 2


def test_frame_stack_of_indices_and_of_agents():
    env = transforms.frame_stack(echo(spaces.Discrete(4), jnp.int32(2)), 3)
    assert env.observation_space == spaces.MultiDiscrete((4, 4, 4))
    assert transforms.one_hot(env).observation_space.shape == (12,)
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [2, 2, 2])
    env = transforms.frame_stack(echo(spaces.MultiDiscrete((3, 5)), jnp.array([1, 4])), 2)
    assert env.observation_space == spaces.MultiDiscrete((3, 5, 3, 5))
    for obs in reset_and_step(env):
        np.testing.assert_array_equal(obs, [1, 4, 1, 4])
    timesteps = play(transforms.frame_stack(team(), 2), 2)
    np.testing.assert_array_equal(timesteps[0].obs.features[0], np.zeros((3, 2, 1)))
    np.testing.assert_array_equal(timesteps[1].obs.features[0], [[[0], [1]]] * 3)
    np.testing.assert_array_equal(timesteps[2].obs.features[0, 1:], [[[1], [2]]] * 2)


def seen_often(env, count=4000):
    """Features [count, ...] of many resets, and of a step after each."""

    def one(key):
        state, first = env.reset(jax.random.fold_in(key, 0), env.params)
        return first, env.step(jax.random.fold_in(key, 1), state, jnp.int32(1), env.params)[1]

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(7), count))


def test_flicker_hides_whole_frames_as_often_as_asked():
    space = {"a": spaces.Box(1.0, 2.0, (2, 2)), "b": spaces.Box(-1.0, 5.0, (3,))}
    env = transforms.flicker(echo(space, {"a": jnp.ones((2, 2)), "b": jnp.arange(3.0) + 1}), 0.3)
    assert env.observation_space == {"a": spaces.Box(0, 2.0, (2, 2)), "b": space["b"]}
    hidden = []
    for obs in seen_often(env):
        rows = np.hstack([np.asarray(x).reshape(4000, -1) for x in obs.values()])
        hidden.append((rows == 0).all(1))
        np.testing.assert_array_equal(rows[~hidden[-1]], np.tile([1, 1, 1, 1, 1, 2, 3], ((~hidden[-1]).sum(), 1)))
        assert stats.binomtest(int(hidden[-1].sum()), 4000, 0.3).pvalue > 0.001
    both = int((hidden[0] & hidden[1]).sum())
    assert stats.binomtest(both, 4000, 0.09).pvalue > 0.001  # the start and the step are hidden independently


def test_noise_is_normal_independent_and_of_the_scale_asked_for():
    space = {"a": spaces.Box(0.0, 1.0, (2,)), "b": spaces.Box(0.0, 1.0, ())}
    env = transforms.noisy(echo(space, {"a": jnp.array([0.0, 1.0]), "b": jnp.float32(0.5)}), 0.2)
    assert all(not box.bounded for box in env.observation_space.values())
    columns = [np.c_[obs["a"] - np.array([0, 1]), obs["b"] - 0.5] / 0.2 for obs in seen_often(env)]
    noise = np.hstack(columns)
    assert all(stats.kstest(column, "norm").pvalue > 0.001 for column in noise.T)
    apart = np.abs(np.corrcoef(noise.T) - np.eye(6)).max()
    assert apart < 4 / np.sqrt(4000)


def test_what_disturbs_nothing_draws_nothing():
    env = plain_echo()
    for same in (transforms.flicker(env, 0), transforms.noisy(env, 0), transforms.sticky(env, 0)):
        assert same is env
    assert transforms.action_repeat(env, 1) is env


def test_time_awareness_shows_the_share_of_the_limit_that_is_left():
    env = transforms.time_aware(script(length=3, max_steps=4))
    assert env.observation_space == spaces.Box((0.0, 0.0, 0.0), (2.0**24, 2.0**24, 1.0), (3,)) and env.max_steps == 4
    ended = [timestep.final_obs.features[0, 2] for timestep in play(env, 6)]
    np.testing.assert_allclose(ended, [1, 0.75, 0.5, 0.25, 0.75, 0.5, 0.25])
    limited = play(transforms.time_aware(script(max_steps=4)), 5)
    np.testing.assert_allclose(
        [timestep.final_obs.features[0, 2] for timestep in limited], [1, 0.75, 0.5, 0.25, 0, 0.75]
    )
    np.testing.assert_allclose([timestep.obs.features[0, 2] for timestep in limited], [1, 0.75, 0.5, 0.25, 1, 0.75])
    agents = transforms.time_aware(team(max_steps=2))
    np.testing.assert_allclose(play(agents, 1)[1].obs.features[0], [[1, 0.5]] * 3)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda: transforms.frame_stack(envs.make("ring"), 0), "n is 0: expected at least 1"),
        (lambda: transforms.flicker(envs.make("ring"), 1.5), "probability is 1.5: expected a number from 0 to 1"),
        (lambda: transforms.flicker(envs.make("taxi"), 0.5), "flicker needs Box observations, got Discrete"),
        (lambda: transforms.noisy(envs.make("taxi"), 0.5), "noisy needs Box observations, got Discrete"),
        (lambda: transforms.noisy(echo(spaces.Box(0, 9, (2,), np.uint8), jnp.zeros(2)), 1), "noisy needs float obs"),
        (lambda: transforms.noisy(envs.make("ring"), -1), "scale is -1: expected at least 0"),
        (lambda: transforms.time_aware(envs.make("chain")), "time_aware needs a time limit: the world's max_steps is"),
        (lambda: transforms.time_aware(envs.make("taxi")), "time_aware needs a vector of features, got Discrete"),
        (lambda: transforms.sticky(envs.make("taxi"), -0.1), "probability is -0.1: expected a number from 0 to 1"),
        (lambda: transforms.action_repeat(envs.make("ring"), 4), "n is 4: expected a number from 1 to 3"),
        (lambda: transforms.action_repeat(envs.make("chain"), 0), "n is 0: expected a number from 1 to inf"),
        (lambda: transforms.shape_reward(envs.make("ring"), lambda s, p: s, 0.9), "the potential is [((), dtype('int"),
        (lambda: transforms.shape_reward(envs.make("ring"), lambda s, p: 0.0, 2), "discount is 2: expected a number "),
        (lambda: transforms.randomise(envs.make("ring"), half), "randomise needs a world with params to draw: this"),
        (lambda: transforms.randomise(script(), half), "draw gives params float32[]: expected int32[], like the"),
        (lambda: transforms.endless(team()), "endless needs a world of one agent, not 3: they need not end together"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(transform, message):
    with pytest.raises(UsageError) as error:
        transform()
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
