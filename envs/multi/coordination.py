"""Coordination: agents anywhere in a square meet in its centre; continuous actions, one reward for all.

Observation: float [2 * num_agents]: own position 2, then the ways to the other agents 2 * (num_agents - 1).
Action: float [2] in [-1, 1], the velocity; the walls of the square [-1, 1] ** 2 hold.
Reward: for everybody minus the mean distance of the agents from the centre.
Termination: never. Limit: `max_steps`. Start: uniform in the square. Params: the way of one step at full speed.
Measures: distance, the largest one from the centre; success, 1 where it is below 0.1.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.envs.multi import particles
from jaxrl.errors import UsageError, at_least
from jaxrl.spaces import Box
from jaxrl.types import Array, Environment, Key


def coordination(num_agents: int = 3, speed: float = 0.1, max_steps: int | None = 25) -> Environment:
    """The state is the positions float [num_agents, 2]."""
    at_least("num_agents", num_agents, 1)
    at_least("max_steps", max_steps, 1)
    if not 0 < speed <= 1:
        raise UsageError(f"speed is {speed}: expected a number above 0, at most 1")

    def observe(state: Array) -> Array:
        return jnp.concatenate([state, particles.others_seen(state)], axis=1)

    def reset(key: Key, params: Array) -> tuple[Array, Array]:
        state = jax.random.uniform(key, (num_agents, 2), minval=-1.0)
        return state, observe(state)

    def step(key: Key, state: Array, action: Array, params: Array) -> tuple[Array, Array, Array, Array]:
        state = jnp.clip(state + params * action, -1.0, 1.0)
        reward = -jnp.mean(particles.length(state))
        return state, observe(state), jnp.broadcast_to(reward, (num_agents,)), jnp.zeros(num_agents, bool)

    def measure(state: Array, params: Array) -> dict[str, Array]:
        distance = jnp.max(particles.length(state))
        return {"distance": distance, "success": (distance < 0.1).astype(jnp.float32)}

    def picture(state: Array, params: Array) -> Array:
        centres = jnp.concatenate([jnp.zeros((2, 2)), state])  # the centre is a ring
        colours = [render.rgb(name) for name in ("green", "white", *["blue"] * num_agents)]
        return render.circles(centres, [0.1, 0.08] + [0.05] * num_agents, np.stack(colours), -1.1, 1.1)

    space = Box(-2.0, 2.0, (2 * num_agents,))
    return Environment(
        reset, step, space, Box(-1.0, 1.0, (2,)), np.float32(speed), max_steps, num_agents, measure=measure,
        render=picture,
    )  # fmt: skip
