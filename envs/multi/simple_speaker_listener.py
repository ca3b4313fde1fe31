"""Simple speaker and listener (Lowe et al. 2017): the speaker knows which landmark is the goal but cannot move; the
listener can, but hears only what the speaker says. Nothing collides.

Agents: the speaker, then the listener.
Observation: float [11]: the listener: own velocity 2, ways to the landmarks 6, what the speaker said last 3. The
    speaker: the goal's colour 3; its last 8 entries are 0.
Action: see `bodies`; discrete: the speaker's is a word, 0 to 2 (3 and 4 are not legal), the listener's a move, 0 to
    4; continuous: the speaker's first 3 of 5 entries are its words' loudness, the listener's 5 are its moves.
Reward: for both minus the squared distance from the listener to the goal ("mpe2"), or twice that, the sum over the
    agents ("openai").
Start: see `particles`. Measures: distance, from the listener to the goal; success, 1 where it is below 0.1.
"""

import jax.numpy as jnp

from jaxrl.envs.multi import particles
from jaxrl.envs.multi.particles import Body, Scene, State
from jaxrl.types import Array, Environment

COLOURS = ((0.65, 0.15, 0.15), (0.15, 0.65, 0.15), (0.15, 0.15, 0.65))  # of the landmarks, as they are observed


def simple_speaker_listener(actions: str = "discrete", reward: str = "mpe2", max_steps: int | None = 25) -> Environment:
    """One speaker, one listener, three landmarks, three words."""
    scale = -2.0 if particles.of_openai(reward) else -1.0

    def observe(state: State) -> Array:
        ways = particles.seen(state.position[2:], state.position[1:2])
        listener = jnp.concatenate([state.velocity[1], ways[0], state.message[0]])
        return particles.rows(jnp.asarray(COLOURS)[state.goal], listener[None])

    def squared_distance(state: State) -> Array:
        return particles.squared(state.position[1] - particles.goals(state, 2)[0])

    def rewards(state: State) -> Array:
        return jnp.broadcast_to(scale * squared_distance(state), (2,))

    def measure(state: State) -> dict[str, Array]:
        distance = jnp.sqrt(squared_distance(state))
        return {"distance": distance, "success": (distance < 0.1).astype(jnp.float32)}

    agents = (Body("purple", 0.075, acceleration=0.0, speaks=True), Body("black", 0.075))
    landmarks = (Body("red", 0.04), Body("green", 0.04), Body("blue", 0.04))
    scene = Scene(agents, landmarks, observe, rewards, measure, seekers=(1,), num_words=3)
    return particles.environment(scene, actions, max_steps)
