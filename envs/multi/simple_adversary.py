"""Simple adversary, physical deception (Lowe et al. 2017): good agents know which landmark is the goal; one adversary
does not and follows them, so they had better cover all landmarks. Nothing collides.

Agents: the adversary, then the good ones, as many as landmarks.
Observation: float [4 * num_good + 2]: a good agent: way to the goal 2, ways to the landmarks 2 * num_good and to the
    other agents 2 * num_good. The adversary: ways to the landmarks and to the other agents; its last 2 entries are 0.
Action: see `bodies`; everybody moves.
Reward: a good agent the adversary's distance from the goal less that of the good agent nearest to it; the adversary
    minus its own distance ("mpe2") or minus the square of it ("openai").
Start: see `particles`. Measures: distance, from the goal to the nearest good agent; adversary_distance.
"""

import jax.numpy as jnp

from jaxrl.envs.multi import particles
from jaxrl.envs.multi.particles import Body, Scene, State
from jaxrl.errors import at_least
from jaxrl.types import Array, Environment


def simple_adversary(
    num_good: int = 2, actions: str = "discrete", reward: str = "mpe2", max_steps: int | None = 25
) -> Environment:
    """`num_good` agents and landmarks, and one adversary."""
    at_least("num_good", num_good, 1)
    openai, num_agents = particles.of_openai(reward), num_good + 1

    def goal(state: State) -> Array:  # float [1, 2]
        return particles.goals(state, num_agents)

    def observe(state: State) -> Array:
        agents, landmarks = state.position[:num_agents], state.position[num_agents:]
        common = jnp.concatenate([particles.seen(landmarks, agents), particles.others_seen(agents)], axis=1)
        return particles.rows(common[:1], jnp.concatenate([goal(state) - agents[1:], common[1:]], axis=1))

    def distances(state: State) -> tuple[Array, Array]:  # float [1]: of the adversary, of the nearest good agent
        adversary, good = state.position[:1], state.position[1:num_agents]
        return particles.nearest(goal(state), adversary), particles.nearest(goal(state), good)

    def rewards(state: State) -> Array:
        theirs, ours = distances(state)
        lost = -jnp.square(theirs) if openai else -theirs
        return jnp.concatenate([lost, jnp.broadcast_to(theirs - ours, (num_good,))])

    def measure(state: State) -> dict[str, Array]:
        theirs, ours = distances(state)
        return {"distance": ours[0], "adversary_distance": theirs[0]}

    agents = (Body("red", 0.15),) + (Body("blue", 0.15),) * num_good
    scene = Scene(agents, (Body("grey", 0.08),) * num_good, observe, rewards, measure, seekers=(1,))
    return particles.environment(scene, actions, max_steps)
