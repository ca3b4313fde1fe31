"""Simple reference (Lowe et al. 2017): each of two agents knows only the other's goal, moves and speaks. Nothing
collides.

Observation: float [21]: own velocity 2, ways to the landmarks 6, colour of the other's goal 3, what the other said in
    the last step 10.
Action: see `bodies`; both move and speak (50 discrete actions, word * 5 + move, or 15 entries).
Reward: with d the distance of the other agent from its goal, which this one knows,
    "mpe2": -local_ratio * d - (1 - local_ratio) * (the mean of both agents' d);
    "openai": for both minus the sum of both squared distances.
Start: see `particles`. Measures: distance, of the agents from their goals on average; success, 1 where both are below
    0.1.
"""

import jax.numpy as jnp

from jaxrl.envs.multi import particles
from jaxrl.envs.multi.particles import Body, Scene, State
from jaxrl.errors import within
from jaxrl.types import Array, Environment

COLOURS = ((0.75, 0.25, 0.25), (0.25, 0.75, 0.25), (0.25, 0.25, 0.75))  # of the landmarks, as they are observed


def simple_reference(
    local_ratio: float = 0.5, actions: str = "discrete", reward: str = "mpe2", max_steps: int | None = 25
) -> Environment:
    """Two agents, three landmarks, ten words; `local_ratio` is the weight of the goal that the agent itself knows."""
    within("local_ratio", local_ratio, 0, 1)
    openai = particles.of_openai(reward)

    def observe(state: State) -> Array:
        ways = particles.seen(state.position[2:], state.position[:2])
        colours = jnp.asarray(COLOURS)[state.goal]  # goal 0 is known to agent 0 and sought by agent 1
        return jnp.concatenate([state.velocity, ways, colours, state.message[::-1]], axis=1)

    def apart(state: State) -> Array:  # float [2, 2] from each goal to the agent that seeks it
        return state.position[1::-1] - particles.goals(state, 2)

    def rewards(state: State) -> Array:
        if openai:
            return jnp.broadcast_to(-sum(particles.squared(apart(state))), (2,))
        distance = particles.length(apart(state))
        return -local_ratio * distance - (1 - local_ratio) * (distance[0] + distance[1]) / 2

    def measure(state: State) -> dict[str, Array]:
        distance = particles.length(apart(state))
        return {"distance": jnp.mean(distance), "success": jnp.all(distance < 0.1).astype(jnp.float32)}

    agents = (Body("purple", speaks=True), Body("orange", speaks=True))
    landmarks = (Body("red"), Body("green"), Body("blue"))
    scene = Scene(agents, landmarks, observe, rewards, measure, seekers=(1, 0), num_words=10)
    return particles.environment(scene, actions, max_steps)
