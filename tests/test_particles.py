"""The particle worlds: equal to mpe2 from injected states, true to both definitions of the reward, bounded in cost."""

import functools
import importlib
import itertools
from typing import Any, NamedTuple

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import envs
from jaxrl.envs.multi import particles
from jaxrl.envs.multi.particles import State
from jaxrl.errors import UsageError
from jaxrl.types import Environment
from jaxrl.vectorize import vectorize

DISCRETE, CONTINUOUS = 1024, 256  # injected pairs of each world
TOLERANCE = 2e-5  # float32 against their float64


class Case(NamedTuple):
    """A world here and there."""

    name: str
    module: str
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}


CASES = {
    "spread": Case("simple_spread", "simple_spread_v3"),
    "tag": Case("simple_tag", "simple_tag_v3"),
    "adversary": Case("simple_adversary", "simple_adversary_v3"),
    "push": Case("simple_push", "simple_push_v3"),
    "speaker_listener": Case("simple_speaker_listener", "simple_speaker_listener_v4"),
    "reference": Case("simple_reference", "simple_reference_v3"),
    "spread, 4": Case(
        "simple_spread", "simple_spread_v3", {"num_agents": 4, "local_ratio": 0.2}, {"N": 4, "local_ratio": 0.2}
    ),
    "tag, 2 good": Case(
        "simple_tag", "simple_tag_v3", *[{"num_good": 2, "num_adversaries": 2, "num_obstacles": 1}] * 2
    ),
    "adversary, 3 good": Case("simple_adversary", "simple_adversary_v3", {"num_good": 3}, {"N": 3}),
}
DEFAULTS = [name for name in CASES if "," not in name]
every = pytest.mark.parametrize("name", CASES)
default = pytest.mark.parametrize("name", DEFAULTS)


class Pairs(NamedTuple):
    """Injected states and actions, and what became of them. Leaves [M, ...] as numpy."""

    before: State
    action: np.ndarray  # int [M, A] or float [M, A, n]
    after: State
    obs: np.ndarray  # [M, A, n]
    reward: np.ndarray  # [M, A]


def absent(field: Any) -> bool:
    """Whether the world has no such thing as messages, or goals."""
    return isinstance(field, tuple)


def number_of(name: str, actions: str) -> int:
    most = DISCRETE if actions == "discrete" else CONTINUOUS
    return most if name in DEFAULTS else 256


@functools.cache
def ours(name: str, actions: str, reward: str = "mpe2") -> Environment:
    return envs.make(CASES[name].name, actions=actions, reward=reward, max_steps=None, **CASES[name].ours)


@functools.cache
def theirs(name: str, actions: str) -> Any:
    module = importlib.import_module(f"mpe2.{CASES[name].module}")
    env = module.parallel_env(continuous_actions=actions == "continuous", max_cycles=10**9, **CASES[name].theirs)
    env.reset(seed=0)
    return env


def world_of(name: str) -> Any:
    return theirs(name, "discrete").aec_env.unwrapped.world


def injected(name: str, actions: str) -> tuple[State, np.ndarray]:
    """Float32 states in three families (anywhere, in one heap, at the borders) with every goal, and their actions."""
    env, world, generator = ours(name, actions), world_of(name), np.random.default_rng(len(name) + len(actions))
    num, num_bodies, num_agents = number_of(name, actions), len(world.entities), len(world.agents)
    anywhere = generator.uniform(-1, 1, (num, num_bodies, 2))
    heap = generator.uniform(-0.5, 0.5, (num, 1, 2)) + generator.uniform(-0.13, 0.13, (num, num_bodies, 2))
    border = generator.uniform(0.8, 1.05, (num, num_bodies, 2)) * generator.choice([-1, 1, 2.4], (num, num_bodies, 2))
    family = np.arange(num)[:, None, None] % 3
    position = np.select([family == 0, family == 1], [anywhere, heap], border)
    if sum(body.collide for body in world.entities) > 1:  # a quarter: 0 and 1 within 3 margins of their contact
        angle, away = generator.uniform(0, 2 * np.pi, num), generator.uniform(-3e-3, 3e-3, num)
        apart = (world.entities[0].size + world.entities[1].size + away)[:, None]
        touch = position[:, 0] + apart * np.stack([np.cos(angle), np.sin(angle)], -1)
        position[:, 1] = np.where(np.arange(num)[:, None] % 4 == 0, touch, position[:, 1])
    movable = np.array([agent.movable for agent in world.agents])[:, None]
    velocity = generator.normal(size=(num, num_agents, 2)) * movable * generator.choice([0, 0.5, 2], (num, 1, 1))
    example = jax.eval_shape(env.reset, jax.random.key(0), env.params)[0]
    message, goal = (), ()
    if not absent(example.message):
        speaks = np.array([not agent.silent for agent in world.agents])[:, None]
        message = (generator.uniform(size=(num, *example.message.shape)) * speaks).astype(np.float32)
    if not absent(example.goal):
        num_landmarks = len(world.landmarks)
        goal = (np.arange(num)[:, None] // num_landmarks ** np.arange(example.goal.shape[0])) % num_landmarks
        goal = goal.astype(np.int32)
    state = State(position.astype(np.float32), velocity.astype(np.float32), message, goal)
    return state, some_actions(name, actions, generator)


def some_actions(name: str, actions: str, generator: np.random.Generator) -> np.ndarray:
    env, num = ours(name, actions), number_of(name, actions)
    if actions == "continuous":
        uniform = generator.uniform(size=(num, env.num_agents, *env.action_space.shape))
        return np.where(generator.uniform(size=uniform.shape) < 0.2, uniform > 0.5, uniform).astype(np.float32)
    reference = theirs(name, actions)
    sizes = np.array([reference.action_space(agent).n for agent in reference.possible_agents])
    count = np.repeat(np.arange(num)[:, None], len(sizes), axis=1)
    return (generator.permuted(count, axis=0) % sizes).astype(np.int32)


def set_goals(name: str, world: Any, goal: Any) -> None:
    """Tell mpe2's world which landmarks are the goals, with all that follows from it."""
    agents, landmarks = world.agents, world.landmarks
    if name.startswith(("adversary", "push")):
        for agent in agents:
            agent.goal_a = landmarks[goal[0]]
    if name == "push":
        agents[1].color = np.array([0.25, 0.25, 0.25])
        agents[1].color[goal[0] + 1] += 0.5
    if name in ("speaker_listener", "reference"):
        for i, each in enumerate(goal):
            agents[i].goal_a, agents[i].goal_b = agents[1 - i], landmarks[each]


def step_theirs(name: str, actions: str, state: State, action: np.ndarray, width: int) -> Pairs:
    """One step of mpe2's parallel environment from each of the states."""
    env = theirs(name, actions)
    world, names = env.aec_env.unwrapped.world, env.possible_agents
    rows = []
    for i in range(len(action)):
        for body, place in zip(world.entities, state.position[i], strict=True):
            body.state.p_pos = place.astype(np.float64)
        for k, agent in enumerate(world.agents):
            agent.state.p_vel = state.velocity[i, k].astype(np.float64)
            agent.state.c = np.zeros(world.dim_c) if absent(state.message) else state.message[i, k].astype(np.float64)
        if not absent(state.goal):
            set_goals(name, world, state.goal[i])
        sizes = [env.action_space(agent).shape for agent in names]
        acts = [a[: size[0]] if size else int(a) for a, size in zip(action[i], sizes, strict=True)]
        obs, reward, terminated, *_ = env.step(dict(zip(names, acts, strict=True)))
        assert not any(terminated.values())
        rows.append(
            (
                np.stack([body.state.p_pos for body in world.entities]),
                np.stack([agent.state.p_vel for agent in world.agents]),
                np.stack([agent.state.c for agent in world.agents]),
                np.stack([np.pad(obs[agent], (0, width - len(obs[agent]))) for agent in names]),
                np.array([reward[agent] for agent in names]),
            )
        )
    position, velocity, message, seen, rewards = (np.stack(column) for column in zip(*rows, strict=True))
    after = State(position, velocity, () if absent(state.message) else message, state.goal)
    return Pairs(state, action, after, seen, rewards)


@functools.cache
def both(name: str, actions: str) -> tuple[Pairs, Pairs]:
    """(ours, theirs): the same pairs stepped in both."""
    env = ours(name, actions)
    state, action = injected(name, actions)
    step = contracts.quick(jax.vmap(lambda s, a: env.step(jax.random.key(0), s, a, env.params)))
    after, obs, reward, terminated = jax.tree.map(np.asarray, step(state, action))
    assert not terminated.any()
    mine = Pairs(state, action, after, obs, reward)
    return mine, step_theirs(name, actions, state, action, env.observation_space.shape[0])


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
@every
def test_every_injected_pair_steps_as_in_mpe2(name: str, actions: str) -> None:
    mine, expected = both(name, actions)
    assert len(mine.reward) == number_of(name, actions)
    parts = {"obs": (mine.obs, expected.obs), "reward": (mine.reward, expected.reward)}
    for field in ("position", "velocity", "message"):
        if not absent(getattr(expected.after, field)):
            parts[field] = (getattr(mine.after, field), getattr(expected.after, field))
    assert len(parts) == 4 + (name in ("speaker_listener", "reference"))
    for part, (found, wanted) in parts.items():
        assert found.shape == wanted.shape and found.dtype == np.float32, part
        close = np.isclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE).reshape(len(found), -1).all(1)
        mismatches = np.flatnonzero(~close)
        assert mismatches.size == 0, (part, mismatches[:5], found[mismatches[:1]], wanted[mismatches[:1]])
    np.testing.assert_array_equal(mine.after.position[:, ours(name, actions).num_agents :], mine.before.position[
        :, ours(name, actions).num_agents :
    ])  # fmt: skip


@default
def test_injected_pairs_cover_the_rules(name: str) -> None:
    """Counts over the discrete pairs: contacts, speed limits, borders, goals, every action of every agent."""
    pairs, world = both(name, "discrete")[1], world_of(name)
    before, reference = pairs.before, theirs(name, "discrete")
    spaces = [reference.action_space(agent) for agent in reference.possible_agents]
    for agent, space in enumerate(spaces):
        assert np.bincount(pairs.action[:, agent], minlength=space.n).min() >= DISCRETE // space.n - 1
    if not absent(before.goal):
        combinations = before.goal @ len(world.landmarks) ** np.arange(before.goal.shape[1])
        assert np.bincount(combinations).min() >= 100
    bodies = world.entities
    colliding = [i for i, body in enumerate(bodies) if body.collide]
    for i, j in itertools.combinations(colliding, 2):
        gap = np.linalg.norm(before.position[:, i] - before.position[:, j], axis=-1) - bodies[i].size - bodies[j].size
        assert np.sum(gap < -1e-2) >= 50, (bodies[i].name, bodies[j].name)
        if (i, j) == (0, 1):
            assert np.sum((gap > 0) & (gap < 2e-3)) >= 50 and np.sum((gap < 0) & (gap > -2e-3)) >= 50
    for i, agent in enumerate(world.agents):
        if agent.max_speed is not None:
            at_limit = np.isclose(np.linalg.norm(pairs.after.velocity[:, i], axis=-1), agent.max_speed)
            assert 100 < at_limit.sum() < DISCRETE - 100
    if name == "tag":
        x = np.abs(pairs.after.position[:, 3])
        for low, high in ((0, 0.9), (0.9, 1), (1, 2.1), (2.2, np.inf)):  # no fine, a line, the exponential, its cap
            assert np.sum((x > low) & (x < high)) >= 50
        assert np.bincount((pairs.reward[:, 0] / 10).astype(int), minlength=4)[:3].min() >= 10  # 0, 1, 2 tags


def openai_reward(name: str, position: np.ndarray, goal: Any) -> list[float]:
    """OpenAI's rewards of the state after a step (multiagent-particle-envs), body by body; shared ones are summed."""

    def apart(a: int, b: int) -> float:
        return float(np.sqrt(((position[a] - position[b]) ** 2).sum()))

    if name.startswith("spread"):
        num = len(position) // 2
        own = []
        for agent in range(num):
            reward = -sum(min(apart(other, num + mark) for other in range(num)) for mark in range(num))
            own.append(reward - sum(apart(agent, other) < 0.3 for other in range(num)))  # itself is among them
        return [sum(own)] * num
    if name.startswith("adversary"):
        num = len(position) // 2 + 1
        target = num + goal[0]
        best = min(apart(agent, target) for agent in range(1, num))
        return [-(apart(0, target) ** 2)] + [apart(0, target) - best] * (num - 1)
    if name == "push":
        ours, theirs = apart(1, 2 + goal[0]), apart(0, 2 + goal[0])
        return [ours - theirs, -ours]
    if name == "speaker_listener":
        return [2 * -(apart(1, 2 + goal[0]) ** 2)] * 2
    if name == "reference":
        return [-(apart(1, 2 + goal[0]) ** 2) - apart(0, 2 + goal[1]) ** 2] * 2
    hunters, good = {"tag": ([0, 1, 2], [3]), "tag, 2 good": ([0, 1], [2, 3])}[name]
    reach = 0.075 + 0.05
    tags = [[apart(a, g) < reach for a in hunters] for g in good]
    fines = [sum(0 if x < 0.9 else (x - 0.9) * 10 if x < 1 else min(np.exp(2 * x - 2), 10) for x in abs(position[g]))
             for g in good]  # fmt: skip
    rewards = [10.0 * np.sum(tags)] * len(hunters)
    return rewards + [-10.0 * sum(tag) - fine for tag, fine in zip(tags, fines, strict=True)]


@every
def test_the_reward_of_openai(name: str) -> None:
    """An independent statement of it, from the states that mpe2 reached."""
    mine, expected = both(name, "discrete")
    env = ours(name, "discrete", "openai")
    step = contracts.quick(jax.vmap(lambda s, a: env.step(jax.random.key(0), s, a, env.params)[2]))
    found = np.asarray(step(mine.before, mine.action))
    goals = [()] * len(found) if absent(mine.before.goal) else mine.before.goal
    wanted = np.array([openai_reward(name, *each) for each in zip(expected.after.position, goals, strict=True)])
    np.testing.assert_allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)
    same = name.startswith(("tag", "push"))  # where nobody ever changed it
    assert np.allclose(found, expected.reward, rtol=TOLERANCE, atol=TOLERANCE) == same


@default
def test_spaces_are_those_of_mpe2(name: str) -> None:
    """The widest of theirs, and what is legal below it."""
    reference = theirs(name, "discrete")
    env, free = ours(name, "discrete"), ours(name, "continuous")
    sizes = [reference.action_space(agent).n for agent in reference.possible_agents]
    entries = [theirs(name, "continuous").action_space(agent).shape[0] for agent in reference.possible_agents]
    widths = [reference.observation_space(agent).shape[0] for agent in reference.possible_agents]
    assert (env.action_space.n, free.action_space.shape) == (max(sizes), (max(entries),))
    assert env.observation_space.shape == free.observation_space.shape == (max(widths),)
    assert envs.make(CASES[name].name).max_steps == 25 and free.legal_actions is None
    obs = both(name, "discrete")[0].obs
    for agent, width in enumerate(widths):
        assert not obs[:, agent, width:].any()
        # silent agents' messages, 0 in mpe2 as well, end the observation of spread
        assert np.any(obs[:, agent, : width - 4 if name == "spread" else width] != 0, axis=0).all()
    assert (env.legal_actions is None) == (min(sizes) == max(sizes))
    if env.legal_actions is not None:
        legal = env.legal_actions(jax.tree.map(lambda x: x[0], both(name, "discrete")[0].before), env.params)
        np.testing.assert_array_equal(legal, np.arange(max(sizes)) < np.array(sizes)[:, None])


@default
def test_starts_are_uniform_at_rest_and_silent(name: str) -> None:
    env, num = ours(name, "discrete"), 4000
    state, obs = contracts.quick(jax.vmap(env.reset, (0, None)))(jax.random.split(jax.random.key(3), num), env.params)
    assert not np.any(state.velocity) and not np.any(jax.tree.leaves(state.message))
    spread = np.ones(state.position.shape[1])
    if name == "tag":
        spread[4:] = 0.9
    scaled = np.asarray(state.position) / spread[:, None]
    assert np.abs(scaled).max() <= 1
    assert np.abs(scaled.mean(0)).max() < 4.5 * np.sqrt(1 / 3 / num)
    assert np.abs((scaled**2).mean(0) - 1 / 3).max() < 4.5 * np.sqrt(4 / 45 / num)
    correlation = np.corrcoef(scaled.reshape(num, -1).T) - np.eye(scaled[0].size)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(num)
    for goal in [] if absent(state.goal) else np.asarray(state.goal).T:
        share = np.bincount(goal) / num
        assert np.abs(share - 1 / len(share)).max() < 4.5 * np.sqrt(0.25 / num)
        assert len(share) == len(world_of(name).landmarks)
    if not absent(state.goal) and state.goal.shape[1] == 2:
        together = np.asarray(state.goal) @ np.array([3, 1])
        assert np.abs(np.bincount(together) / num - 1 / 9).max() < 4.5 * np.sqrt(8 / 81 / num)
    expected = contracts.quick(jax.vmap(lambda s: env.step(jax.random.key(0), s, jnp.zeros(env.num_agents, int),
                                                           env.params._replace(contact_force=0.0))[1]))  # fmt: skip
    if name not in ("speaker_listener", "reference"):  # there action 0 says something
        np.testing.assert_allclose(obs, expected(state), atol=1e-6)  # who rests and is not pushed sees the same again


def test_a_standing_team_returns_what_is_published() -> None:
    """simple_spread at a start: E[S] = 1.928, so OpenAI's return of 25 such steps is -219.6 before collisions."""
    env, num = ours("spread", "discrete"), 20_000
    starts = contracts.quick(
        lambda keys: jax.vmap(lambda key: env.measure(env.reset(key, env.params)[0], env.params))(keys)
    )
    found = jax.tree.map(np.asarray, starts(jax.random.split(jax.random.key(0), num)))
    assert set(found) == {"distance", "collisions", "covered"}
    published = -25 * 3 * (found["distance"] + 1)
    assert abs(published.mean() - -219.6) < 4 * published.std() / np.sqrt(num) + 0.04
    reach = 0.3 / 2  # two points of the unit square are nearer than r with probability pi r^2 - 8/3 r^3 + r^4 / 2
    expected = 6 * (np.pi * reach**2 - 8 / 3 * reach**3 + reach**4 / 2)
    assert abs(found["collisions"].mean() - expected) < 4 * found["collisions"].std() / np.sqrt(num)


@default
def test_measures_tell_what_happened(name: str) -> None:
    mine = both(name, "discrete")[0]
    env, position = ours(name, "discrete"), mine.after.position.astype(np.float64)
    found = contracts.quick(jax.vmap(lambda s: env.measure(s, env.params)))(mine.after)
    found = {key: np.asarray(value) for key, value in found.items()}
    rows = np.arange(len(position))

    def apart(a: Any, b: Any) -> np.ndarray:
        return np.linalg.norm(position[rows, a] - position[rows, b], axis=-1)

    if name == "spread":
        each = np.array([np.min([apart(a, 3 + m) for a in range(3)], axis=0) for m in range(3)])
        wanted = {"distance": each.sum(0), "covered": (each < 0.1).sum(0)}
        wanted["collisions"] = sum((apart(a, b) < 0.3).astype(int) for a in range(3) for b in range(3) if a != b)
    elif name == "tag":
        wanted = {"tags": sum((apart(a, 3) < 0.125).astype(int) for a in range(3))}
        wanted["distance"] = np.min([apart(a, 3) for a in range(3)], axis=0)
    elif name == "adversary":
        goal = 3 + mine.before.goal[:, 0]
        wanted = {"distance": np.minimum(apart(1, goal), apart(2, goal)), "adversary_distance": apart(0, goal)}
    elif name == "push":
        goal = 2 + mine.before.goal[:, 0]
        wanted = {"distance": apart(1, goal), "adversary_distance": apart(0, goal)}
    else:
        ways = [apart(1, 2 + mine.before.goal[:, 0])]
        ways += [apart(0, 2 + mine.before.goal[:, 1])] if name == "reference" else []
        wanted = {"distance": np.mean(ways, axis=0), "success": np.max(ways, axis=0) < 0.1}
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["spread", "tag", "reference"])
def test_a_picture_shows_every_body(name: str) -> None:
    """Landmarks, goals and agents in the plane, y up, agents on top."""
    env = ours(name, "discrete")
    state, _ = contracts.quick(env.reset)(jax.random.key(1), env.params)
    line = jnp.linspace(-1, 1, state.position.shape[0])
    spaced = state._replace(position=jnp.stack([line, line], -1))
    draw = contracts.quick(env.render)
    picture = np.asarray(draw(spaced, env.params))
    assert (picture.shape, picture.dtype) == ((256, 256, 3), np.uint8)
    pixels = np.round((np.asarray(line) + 1.4) / 2.8 * 256).astype(int)
    colours = {tuple(picture[255 - y, x]) for x, y in zip(pixels, pixels, strict=True)}
    assert (255, 255, 255) not in colours and len(colours) >= 2
    assert (picture[0] == 255).all()  # nothing is up there
    if not absent(state.goal):
        other = (spaced.goal + 1) % (state.position.shape[0] - env.num_agents)
        assert contracts.differs(picture, draw(spaced._replace(goal=other), env.params))


def test_params_are_the_physics() -> None:
    """Each constant does what its name says, and may differ between rows."""
    env = ours("spread", "discrete")
    base = env.params
    assert base == particles.Physics(0.1, 0.25, 100.0, 1e-3)
    far = np.array([[-1, -1], [0, 0], [0.25, 0], [1, 1], [1, 0], [0, 1]], np.float32)
    state = State(far, np.full((3, 2), 0.4, np.float32), (), ())
    kinds = [base, base._replace(damping=1.0), base._replace(time_step=0.2), base._replace(contact_force=0.0),
             base._replace(contact_margin=0.1)]  # fmt: skip
    stacked = jax.tree.map(lambda *x: jnp.array(x), *kinds)
    step = contracts.quick(jax.vmap(lambda p: env.step(jax.random.key(0), state, jnp.array([2, 0, 0]), p)[0]))
    after = jax.tree.map(np.asarray, step(stacked))
    velocity = after.velocity[:, 0, 0]  # 0 is alone and accelerates to the right by 5
    np.testing.assert_allclose(velocity[[0, 1, 2, 3]], [0.8, 0.5, 1.3, 0.8], rtol=1e-6)
    np.testing.assert_allclose(after.position[:, 0, 0], [-0.96, -0.96, -0.92, -0.96, -0.96], rtol=1e-6)
    pushed = 0.3 - after.velocity[:, 1, 0]  # 1 is pushed to the left by 2, 0.05 deep: 0.1 * 100 * 0.05
    soft = 0.1 * 100 * 0.1 * np.log1p(np.exp(0.05 / 0.1))
    np.testing.assert_allclose(pushed[[0, 3]], [0.5, 0.0], atol=1e-5)
    assert abs(pushed[4] - soft) < 1e-3


def test_bodies_in_one_place_stay_finite() -> None:
    env = ours("tag", "discrete")
    together = State(jnp.full((6, 2), 0.3), jnp.zeros((4, 2)), (), ())
    after = contracts.quick(env.step)(jax.random.key(0), together, jnp.zeros(4, int), env.params)
    after = jax.tree.map(np.asarray, after)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))


def test_episodes_end_together_at_the_limit() -> None:
    env = envs.make("simple_speaker_listener")
    venv = vectorize(env, 3)
    step = contracts.quick(venv.step)
    state, timestep = contracts.quick(venv.reset)(jax.random.key(0), env.params)
    starts = [np.asarray(state.state.position)]
    for t in range(1, 51):
        assert timestep.obs.legal.shape == (3, 2, 5)
        state, timestep = step(jax.random.key(t), state, jnp.zeros((3, 2), jnp.int32), env.params)
        assert timestep.reward.shape == (3, 2) and not timestep.terminated.any() and timestep.valid.all()
        assert timestep.truncated.all() == timestep.first.all() == (t % 25 == 0)
        assert timestep.truncated.any() == timestep.first.any() == (t % 25 == 0)
        if t % 25 == 0:
            assert (np.asarray(timestep.info["episode_length"]) == 25).all()
            starts.append(np.asarray(state.state.position))
    assert len(np.unique(np.concatenate(starts)[:, 1, 0])) == 9


# --- coordination ----------------------------------------------------------------------------------------------------


def test_coordination_follows_its_rules() -> None:
    """Positions, walls, observations and the shared reward, in numpy from 1000 injected pairs."""
    env, generator = envs.make("coordination", num_agents=3), np.random.default_rng(0)
    position = generator.uniform(-1, 1, (1000, 3, 2)).astype(np.float32)
    action = generator.uniform(-1, 1, (1000, 3, 2)).astype(np.float32)
    step = contracts.quick(jax.vmap(lambda s, a: env.step(jax.random.key(0), s, a, env.params)))
    after, obs, reward, terminated = jax.tree.map(np.asarray, step(position, action))
    wanted = np.clip(position.astype(np.float64) + 0.1 * action, -1, 1)
    assert 100 < np.any(np.abs(wanted) == 1, axis=(1, 2)).sum() < 900  # at a wall
    np.testing.assert_allclose(after, wanted, atol=1e-6)
    distance = np.linalg.norm(wanted, axis=-1)
    np.testing.assert_allclose(reward, np.repeat(-distance.mean(1)[:, None], 3, axis=1), atol=1e-6)
    others = np.stack([np.concatenate([wanted[:, j] - wanted[:, i] for j in range(3) if j != i], -1) for i in range(3)])
    np.testing.assert_allclose(obs, np.concatenate([wanted, others.swapaxes(0, 1)], -1), atol=1e-6)
    assert not terminated.any()
    near = wanted * generator.uniform(0, 0.2, (1000, 1, 1))
    found = contracts.quick(jax.vmap(lambda s: env.measure(s, env.params)))(near.astype(np.float32))
    farthest = np.linalg.norm(near, axis=-1).max(1)
    np.testing.assert_allclose(found["distance"], farthest, atol=1e-6)
    np.testing.assert_array_equal(found["success"], farthest < 0.1)
    assert 100 < (farthest < 0.1).sum() < 900


@pytest.mark.parametrize(("num_agents", "direction", "success"), [(4, -10.0, 1.0), (3, 10.0, 0.0)])
def test_coordination_is_solved_by_going_to_the_centre(num_agents: int, direction: float, success: float) -> None:
    """Straight to the centre all are there in every episode; away from it, never."""
    env = envs.make("coordination", num_agents=num_agents)
    venv = vectorize(env, 16)

    def step(carry: Any, key: Any) -> Any:
        state, timestep = carry
        after = venv.step(key, state, direction * timestep.obs.features[..., :2], env.params)
        return after, (after[1].info["success"], after[1].truncated)

    keys = jax.random.split(jax.random.key(0), 50)
    roll = contracts.quick(lambda key: jax.lax.scan(step, venv.reset(key, env.params), keys)[1])
    reached, ended = roll(jax.random.key(1))
    assert np.asarray(ended).sum() == 2 * 16 * num_agents
    assert (np.asarray(reached)[np.asarray(ended)[..., 0]] == success).all()


@pytest.mark.parametrize(
    ("world", "options", "message"),
    [
        ("simple_spread", {"actions": "both"}, "actions is 'both': expected 'discrete' or 'continuous'"),
        ("simple_spread", {"reward": "shared"}, "reward is 'shared': expected 'mpe2' or 'openai'"),
        ("simple_tag", {"reward": ""}, "reward is ''"),
        ("simple_push", {"reward": "gym"}, "reward is 'gym'"),
        ("simple_spread", {"num_agents": 0}, "num_agents is 0: expected at least 1"),
        ("simple_spread", {"local_ratio": 1.5}, "local_ratio is 1.5: expected a number from 0 to 1"),
        ("simple_reference", {"local_ratio": -0.5}, "local_ratio is -0.5"),
        ("simple_tag", {"num_good": 0}, "num_good is 0"),
        ("simple_tag", {"num_adversaries": 0}, "num_adversaries is 0"),
        ("simple_tag", {"num_obstacles": -1}, "num_obstacles is -1"),
        ("simple_adversary", {"num_good": 0}, "num_good is 0"),
        ("simple_push", {"max_steps": 0}, "max_steps is 0"),
        ("coordination", {"num_agents": 0}, "num_agents is 0"),
        ("coordination", {"max_steps": 0}, "max_steps is 0"),
        ("coordination", {"speed": 0.0}, "speed is 0.0: expected a number above 0, at most 1"),
    ],
)
def test_bad_options_are_refused(world: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        envs.make(world, **options)


@pytest.mark.parametrize(
    ("world", "options"),
    [
        ("simple_spread", {"num_agents": 1}),
        ("simple_spread", {"num_agents": 5}),
        ("simple_tag", {"num_good": 3, "num_adversaries": 1, "num_obstacles": 0}),
        ("simple_adversary", {"num_good": 1}),
        ("coordination", {"num_agents": 1}),
    ],
)
def test_other_numbers_of_bodies(world: str, options: dict[str, Any]) -> None:
    """Shapes follow the numbers of bodies, down to one."""
    env = envs.make(world, **options)

    def reset_and_step(key: Any) -> Any:
        before = env.reset(key, env.params)
        action = jnp.broadcast_to(env.action_space.sample(key), (env.num_agents, *env.action_space.shape))
        return before, env.step(key, before[0], action, env.params)

    (state, obs), (after, seen, reward, _) = contracts.quick(reset_and_step)(jax.random.key(0))
    assert obs.shape == seen.shape == (env.num_agents, *env.observation_space.shape)
    assert reward.shape == (env.num_agents,) and np.isfinite(np.asarray(reward)).all()
    assert contracts.kinds(after) == contracts.kinds(state)
