"""Shared by the worlds whose observation tells a goal (Schaul et al. 2015): what is seen, and what it earns."""

import jax.numpy as jnp

from jaxrl.types import Array, Observation


def observe(achieved: Array, goal: Array) -> Observation:
    """What is seen where features [n] are what is achieved: all three parts are float [n]."""
    seen = achieved.astype(jnp.float32)
    return Observation(seen, goal=goal.astype(jnp.float32), achieved=seen)


def reached(achieved: Array, goal: Array) -> Array:
    """bool [...]: achieved [..., n] is the goal [..., n]."""
    return jnp.all(achieved == goal, axis=-1)


def outcome(achieved: Array, goal: Array, step_reward: float = -1.0, goal_reward: float = 0.0) -> tuple[Array, Array]:
    """(reward, terminated) [...] of a step to achieved [..., n] under a goal [..., n], its own or one of hindsight.

    By default 0 where it is the goal, else -1 (Andrychowicz et al. 2017).
    """
    found = reached(achieved, goal)
    return jnp.where(found, goal_reward, step_reward).astype(jnp.float32), found
