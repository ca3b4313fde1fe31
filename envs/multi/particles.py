"""Shared by the particle worlds: round bodies in the plane that accelerate, drag, push one another apart and speak.

Rules of OpenAI's multi-agent particle environments (Mordatch & Abbeel 2018; Lowe et al. 2017) as the package `mpe2`
has them now: positions move by the old velocity, then velocities change. Bodies are an array axis, agents first.

Observation: what all agents observe together tells the whole state, but for the place of the origin.
Action: discrete or continuous, see `bodies`.
Termination: never. Start: everybody at rest and silent, uniform in [-1, 1] (a body's own `spread`); goals uniform.
Params: `Physics`.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.envs.multi.bodies import Body, decoder
from jaxrl.errors import UsageError, at_least
from jaxrl.spaces import Box
from jaxrl.types import Array, Environment, Key


class Physics(NamedTuple):
    time_step: float = 0.1
    damping: float = 0.25  # share of the velocity that is lost per step
    contact_force: float = 100.0  # per unit of depth
    contact_margin: float = 1e-3  # how soft contacts are


class State(NamedTuple):
    position: Array  # float [A + L, 2] agents, then landmarks
    velocity: Array  # float [A, 2]
    message: Any  # float [A, W] what each agent said in the last step, 0 if nothing; () in silent worlds
    goal: Any  # int32 [G] the landmark that each goal is; () in worlds without goals


class Scene(NamedTuple):
    """A world: its bodies, and functions of its state."""

    agents: tuple[Body, ...]
    landmarks: tuple[Body, ...]
    observe: Callable[[State], Array]  # float [A, n], shorter ones padded with zeros
    reward: Callable[[State], Array]  # float [A], of the state after the step
    measure: Callable[[State], dict[str, Array]]
    seekers: tuple[int, ...] = ()  # for each goal, the agent that is to reach it
    num_words: int = 0


def environment(scene: Scene, actions: str, max_steps: int | None) -> Environment:
    """The world of a scene; `actions` is "discrete" or "continuous"."""
    at_least("max_steps", max_steps, 1)
    num_agents, bodies = len(scene.agents), scene.agents + scene.landmarks
    spread = np.array([body.spread for body in bodies], np.float32)[:, None]
    decode, space, legal = decoder(scene.agents, scene.num_words, actions)

    def reset(key: Key, params: Physics) -> tuple[State, Array]:
        places, num_goals = 2 * len(bodies), len(scene.seekers)
        uniform = jax.random.uniform(key, (places + num_goals,))
        position = jnp.asarray(spread) * (2 * uniform[:places].reshape(-1, 2) - 1)
        goal = jnp.floor(len(scene.landmarks) * uniform[places:]).astype(jnp.int32) if num_goals else ()
        message = jnp.zeros((num_agents, scene.num_words)) if scene.num_words else ()
        state = State(position, jnp.zeros((num_agents, 2)), message, goal)
        return state, scene.observe(state)

    def step(key: Key, state: State, action: Array, params: Physics) -> tuple[State, Array, Array, Array]:
        push, message = decode(action)
        position, velocity = _move(scene, state, push, params)
        state = State(position, velocity, message, state.goal)
        return state, scene.observe(state), scene.reward(state), jnp.zeros(num_agents, bool)

    width = jax.eval_shape(lambda: reset(jax.random.key(0), Physics())[1]).shape[1]
    return Environment(
        reset, step, Box(-np.inf, np.inf, (width,)), space, Physics(), max_steps, num_agents,
        legal_actions=None if legal is None else lambda state, params: jnp.asarray(legal),
        measure=lambda state, params: scene.measure(state),
        render=lambda state, params: _picture(scene, state),
    )  # fmt: skip


# --- what the worlds observe and reward ------------------------------------------------------------------------------


def others(values: Array) -> Array:
    """[A, k] -> [A, A - 1, k]: for every agent the values of all others, in order."""
    agent, place = np.arange(len(values))[:, None, None], np.arange(len(values) - 1)[:, None]
    return jnp.where(place < agent, values[None, :-1], values[None, 1:])


def others_seen(position: Array) -> Array:
    """[A, 2] -> [A, 2 * (A - 1)]: for every agent the way to each of the others."""
    return (others(position) - position[:, None]).reshape(len(position), -1)


def seen(position: Array, agents: Array) -> Array:
    """[M, 2], [A, 2] -> [A, 2 * M]: for every agent the way to each of the positions."""
    return (position - agents[:, None]).reshape(len(agents), -1)


def goals(state: State, num_agents: int) -> Array:
    """float [G, 2]: where the landmarks are that are goals."""
    return jnp.take(state.position[num_agents:], state.goal, axis=0, mode="clip")


def rows(*blocks: Array) -> Array:
    """Blocks of agents [a, n] one after the other, each padded with zeros to the widest."""
    width = max(block.shape[1] for block in blocks)
    return jnp.concatenate([jnp.pad(block, ((0, 0), (0, width - block.shape[1]))) for block in blocks])


def squared(apart: Array) -> Array:
    """Squared lengths [..., 2] -> [...]."""
    apart = jnp.square(apart)
    return apart[..., 0] + apart[..., 1]


def length(apart: Array) -> Array:
    return jnp.sqrt(squared(apart))


def nearest(places: Array, bodies: Array) -> Array:
    """[M, 2], [B, 2] -> [M]: the distance from each place to the nearest body."""
    return jnp.sqrt(functools.reduce(jnp.minimum, [squared(body - places) for body in bodies]))


def touching(bodies: Array, size: float) -> Array:
    """[B, 2] -> float [B]: how many of the other bodies each one touches, where all have one size."""
    count = jnp.zeros(len(bodies))
    for k, apart in _pairs(bodies):
        touch = (squared(apart) < (2 * size) ** 2).astype(jnp.float32)
        count += _both(touch, k)
    return count


def of_openai(reward: str) -> bool:
    """Which definition of the reward is asked for: that of `mpe2`, or OpenAI's original one."""
    if reward not in ("mpe2", "openai"):
        raise UsageError(f"reward is {reward!r}: expected 'mpe2' or 'openai', whose definition of the reward it is")
    return reward == "openai"


# --- physics ---------------------------------------------------------------------------------------------------------


def _move(scene: Scene, state: State, push: Array, params: Physics) -> tuple[Array, Array]:
    """(position [A + L, 2], velocity [A, 2]) after one step under the agents' own forces [A, 2]."""
    num_agents, bodies = len(scene.agents), scene.agents + scene.landmarks
    num_colliding = sum(body.collides for body in bodies)
    assert all(body.collides for body in bodies[:num_colliding]), "bodies that collide come first"
    movable = np.array([body.acceleration > 0 for body in scene.agents])[:, None]
    force = push
    if num_colliding > 1:
        size = np.array([body.size for body in bodies[:num_colliding]], np.float32)
        contact = _contacts(state.position[:num_colliding], size, params)
        still = jnp.zeros((max(num_agents - num_colliding, 0), 2))
        force = push + jnp.concatenate([contact[:num_agents], still])
    position = state.position[:num_agents] + params.time_step * state.velocity
    velocity = jnp.where(movable, (1 - params.damping) * state.velocity + params.time_step * force, 0.0)
    limit = np.array([body.max_speed for body in scene.agents], np.float32)[:, None]
    if np.isfinite(limit).any():
        speed = length(velocity)[:, None]
        velocity = jnp.where(speed > limit, velocity / speed * limit, velocity)
    return jnp.concatenate([position, state.position[num_agents:]]), velocity


def _contacts(position: Array, size: np.ndarray, params: Physics) -> Array:
    """Forces float [n, 2] that push apart every two of n bodies in contact."""
    force = jnp.zeros_like(position)
    for k, apart in _pairs(position):
        distance = jnp.sqrt(jnp.maximum(squared(apart), 1e-20))  # bodies in one place do not push
        depth = (size + np.roll(size, -k) - distance) / params.contact_margin
        depth = jnp.maximum(depth, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(depth)))  # log(1 + exp(depth)), never overflowing
        push = params.contact_force * params.contact_margin * depth / distance
        force += _both(push[:, None] * apart, k, -1)
    return force


def _pairs(values: Array) -> Iterator[tuple[int, Array]]:
    """(k, [n, ...]): each body's value less that of the one k places on, for every k that makes new pairs.

    So all pairs take few operations on whole arrays, which compile and run faster than pairs one by one or [n, n].
    """
    return ((k, values - jnp.roll(values, -k, axis=0)) for k in range(1, len(values) // 2 + 1))


def _both(values: Array, k: int, sign: int = 1) -> Array:
    """What each body gets from the one k places on, plus sign times what the one k places back gets from it."""
    there_and_back = 2 * k == len(values)  # then the values hold every pair in both orders
    return values if there_and_back else values + sign * jnp.roll(values, k, axis=0)


# --- pictures ---------------------------------------------------------------------------------------------------------


def _picture(scene: Scene, state: State) -> Array:
    """uint8 [256, 256, 3]: landmarks, a dot in the seeker's colour on each goal, agents on top."""
    num_agents = len(scene.agents)
    agents, landmarks = state.position[:num_agents], state.position[num_agents:]
    marks = [goals(state, num_agents)] if scene.seekers else []
    seekers = [scene.agents[i] for i in scene.seekers]
    radii = [body.size for body in scene.landmarks] + [0.02] * len(seekers) + [body.size for body in scene.agents]
    colours = [render.rgb(body.colour) for body in (*scene.landmarks, *seekers, *scene.agents)]
    return render.circles(jnp.concatenate([landmarks, *marks, agents]), radii, np.stack(colours), -1.4, 1.4)
