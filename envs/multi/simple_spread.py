"""Simple spread (Lowe et al. 2017): N agents cover N landmarks without bumping into each other.

Observation: float [6 * N]: own velocity 2, own position 2, ways to the landmarks 2 * N and to the other agents
    2 * (N - 1), then the others' messages, always 0, 2 * (N - 1).
Action: see `bodies`; everybody moves.
Reward: with S the sum over landmarks of the distance to the nearest agent,
    "mpe2": local_ratio * -(agents that touch the agent) - (1 - local_ratio) * S;
    "openai": for everybody the sum over agents of -S - (agents that touch it, itself included: never above -N a step).
Start: see `particles`. Measures: distance, S; collisions, ordered pairs of agents that touch; covered, the landmarks
    with an agent within 0.1. (25 equal steps return -25 * (N * (S + 1) + collisions) by OpenAI's definition.)
"""

import jax.numpy as jnp

from jaxrl.envs.multi import particles
from jaxrl.envs.multi.particles import Body, Scene, State
from jaxrl.errors import at_least, within
from jaxrl.types import Array, Environment

SIZE = 0.15


def simple_spread(
    num_agents: int = 3,
    local_ratio: float = 0.5,
    actions: str = "discrete",
    reward: str = "mpe2",
    max_steps: int | None = 25,
) -> Environment:
    """As many landmarks as agents; `local_ratio` is the weight of an agent's own collisions."""
    at_least("num_agents", num_agents, 1)
    within("local_ratio", local_ratio, 0, 1)
    openai = particles.of_openai(reward)

    def observe(state: State) -> Array:
        agents, landmarks = state.position[:num_agents], state.position[num_agents:]
        ways = [particles.seen(landmarks, agents), particles.others_seen(agents)]
        return jnp.concatenate([state.velocity, agents, *ways, jnp.zeros((num_agents, 2 * num_agents - 2))], axis=1)

    def nearest(state: State) -> Array:  # float [N] from each landmark to an agent
        return particles.nearest(state.position[num_agents:], state.position[:num_agents])

    def rewards(state: State) -> Array:
        distance, touching = sum(nearest(state)), particles.touching(state.position[:num_agents], SIZE)
        if openai:
            return jnp.broadcast_to(-num_agents * (distance + 1) - jnp.sum(touching), (num_agents,))
        return -local_ratio * touching - (1 - local_ratio) * distance

    def measure(state: State) -> dict[str, Array]:
        collisions = jnp.sum(particles.touching(state.position[:num_agents], SIZE))
        covered = jnp.sum(nearest(state) < 0.1, dtype=jnp.float32)
        return {"distance": jnp.sum(nearest(state)), "collisions": collisions, "covered": covered}

    agents = (Body("blue", SIZE, collides=True),) * num_agents
    scene = Scene(agents, (Body("grey"),) * num_agents, observe, rewards, measure)
    return particles.environment(scene, actions, max_steps)
