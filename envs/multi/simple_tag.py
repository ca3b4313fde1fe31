"""Simple tag (Lowe et al. 2017): slow adversaries hunt fast good agents among obstacles; everything collides.

Agents: the adversaries, then the good ones.
Observation: float [4 + 2 * obstacles + 2 * (A - 1) + 2 * num_good]: own velocity 2, own position 2, ways to the
    obstacles and to the other agents, velocities of the (other) good agents. A good agent sees one velocity less: its
    last 2 entries are 0.
Action: see `bodies`; everybody moves.
Reward (both definitions): an adversary 10 for each touch between any adversary and any good agent; a good agent -10
    for each adversary that touches it, and per axis, with x its distance from the origin along it, 0 up to 0.9,
    -10 (x - 0.9) up to 1, then -min(exp(2 x - 2), 10).
Start: see `particles`; obstacles within 0.9. Measures: tags, touches between adversaries and good agents; distance,
    from the good agents to their nearest adversary on average.
"""

import functools

import jax.numpy as jnp

from jaxrl.envs.multi import particles
from jaxrl.envs.multi.particles import Body, Scene, State
from jaxrl.errors import at_least
from jaxrl.types import Array, Environment

ADVERSARY = Body("red", 0.075, collides=True, acceleration=3.0, max_speed=1.0)
GOOD = Body("green", 0.05, collides=True, acceleration=4.0, max_speed=1.3)
OBSTACLE = Body("grey", 0.2, collides=True, spread=0.9)


def simple_tag(
    num_good: int = 1,
    num_adversaries: int = 3,
    num_obstacles: int = 2,
    actions: str = "discrete",
    reward: str = "mpe2",
    max_steps: int | None = 25,
) -> Environment:
    """`num_adversaries` hunt `num_good` agents among `num_obstacles`."""
    for name, value in (("num_good", num_good), ("num_adversaries", num_adversaries)):
        at_least(name, value, 1)
    at_least("num_obstacles", num_obstacles, 0)
    particles.of_openai(reward)
    num_agents = num_adversaries + num_good

    def observe(state: State) -> Array:
        agents, obstacles = state.position[:num_agents], state.position[num_agents:]
        fleeing = state.velocity[num_adversaries:]
        common = [state.velocity, agents, particles.seen(obstacles, agents), particles.others_seen(agents)]
        hunters_see = jnp.broadcast_to(fleeing.ravel(), (num_adversaries, 2 * num_good))
        good_see = particles.others(fleeing).reshape(num_good, 2 * num_good - 2)
        return jnp.concatenate([*common, particles.rows(hunters_see, good_see)], axis=1)

    def touches(state: State) -> Array:  # float [num_good] adversaries that touch each good agent
        hunters, good = state.position[:num_adversaries], state.position[num_adversaries:num_agents]
        reach = (ADVERSARY.size + GOOD.size) ** 2
        near = [(particles.squared(good - hunter) < reach).astype(jnp.float32) for hunter in hunters]
        return functools.reduce(jnp.add, near)

    def rewards(state: State) -> Array:
        caught, x = touches(state), jnp.abs(state.position[num_adversaries:num_agents])
        out = jnp.where(x < 0.9, 0.0, jnp.where(x < 1, 10 * (x - 0.9), jnp.minimum(jnp.exp(2 * x - 2), 10)))
        hunters = jnp.broadcast_to(10 * jnp.sum(caught), (num_adversaries,))
        return jnp.concatenate([hunters, -10 * caught - out[:, 0] - out[:, 1]])

    def measure(state: State) -> dict[str, Array]:
        hunters, good = state.position[:num_adversaries], state.position[num_adversaries:num_agents]
        return {"tags": jnp.sum(touches(state)), "distance": jnp.mean(particles.nearest(good, hunters))}

    agents = (ADVERSARY,) * num_adversaries + (GOOD,) * num_good
    scene = Scene(agents, (OBSTACLE,) * num_obstacles, observe, rewards, measure)
    return particles.environment(scene, actions, max_steps)
