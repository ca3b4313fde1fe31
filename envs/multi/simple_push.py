"""Simple push, keep away (Lowe et al. 2017): an agent wants to be at one of two landmarks, which it knows; an adversary
wants to be there instead and has to find out which it is. The two collide.

Agents: the adversary, then the good one.
Observation: float [19]: the good agent: own velocity 2, way to the goal 2, own colour 3 (it tells the goal), ways to
    the landmarks 4, their colours 6, way to the adversary 2. The adversary: own velocity 2, ways to the landmarks 4 and
    to the good agent 2; its last 11 entries are 0.
Action: see `bodies`; both move.
Reward (both definitions): the good agent minus its distance from the goal; the adversary that distance less its own.
Start: see `particles`. Measures: distance, of the good agent from the goal; adversary_distance.
"""

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.multi import particles
from jaxrl.envs.multi.particles import Body, Scene, State
from jaxrl.types import Array, Environment

LANDMARKS = ((0.1, 0.9, 0.1), (0.1, 0.1, 0.9))  # colours as they are observed
AGENT = ((0.25, 0.75, 0.25), (0.25, 0.25, 0.75))  # of the good agent, by its goal


def simple_push(actions: str = "discrete", reward: str = "mpe2", max_steps: int | None = 25) -> Environment:
    """One adversary, one good agent, two landmarks."""
    particles.of_openai(reward)

    def observe(state: State) -> Array:
        agents, goal = state.position[:2], particles.goals(state, 2)[0]
        ways, other = particles.seen(state.position[2:], agents), particles.others_seen(agents)
        adversary = jnp.concatenate([state.velocity[0], ways[0], other[0]])
        colour, colours = jnp.asarray(AGENT)[state.goal[0]], np.ravel(LANDMARKS).astype(np.float32)
        good = jnp.concatenate([state.velocity[1], goal - agents[1], colour, ways[1], colours, other[1]])
        return particles.rows(adversary[None], good[None])

    def distances(state: State) -> Array:  # float [2]: from the goal to the adversary and to the good agent
        return particles.length(state.position[:2] - particles.goals(state, 2))

    def rewards(state: State) -> Array:
        theirs, ours = distances(state)
        return jnp.stack([ours - theirs, -ours])

    def measure(state: State) -> dict[str, Array]:
        theirs, ours = distances(state)
        return {"distance": ours, "adversary_distance": theirs}

    agents = (Body("red", collides=True), Body("blue", collides=True))
    landmarks = (Body("green"), Body("blue"))
    scene = Scene(agents, landmarks, observe, rewards, measure, seekers=(1,))
    return particles.environment(scene, actions, max_steps)
