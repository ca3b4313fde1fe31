"""The switch riddle (Foerster, Assael, de Freitas & Whiteson 2016): prisoners who share one switch.

Each day one of n prisoners, drawn at random, is in the room with the switch. If one tells that all have been there, and
it is true, all win; if it is not true, all lose. Nothing else passes between them.

Observation: float [2]: the agent is in the room; it is, and the switch is on. State: float [2 * n + 2]: who is in the
    room, the switch, who has been there, the share of the days that is over.
Action: int32 [], 0 none, 1 tell, 2 switch on, 3 switch off. Legal: all of them in the room, elsewhere none alone. With
    `switch=False` only none and tell, and only the first feature: then what is passed on is what the agents learn to.
Reward: for all, 1 for a true tell, -1 for a false one, else 0.
Termination: after a tell, and after day T = 4 * n - 6 (the riddle's own deadline, so it is no limit).
Start: the switch is off; who is there on day 1 is random. Measures: success, 1 after a true tell; told, 1 after any.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import render
from jaxrl.errors import at_least
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key, Observation

NONE, TELL, ON, OFF = range(4)


class State(NamedTuple):
    room: Array  # int32: who is in the room
    switch: Array  # bool: it is on
    been: Array  # bool [n]: who has been in the room, today included
    day: Array  # int32: days that are over
    told: Array  # bool


def switch_riddle(num_agents: int = 3, switch: bool = True) -> Environment:
    """Any number of prisoners from 3 on."""
    at_least("num_agents", num_agents, 3)
    numbers, days = np.arange(num_agents), 4 * num_agents - 6

    def observe(state: State) -> Observation:
        here = numbers == state.room
        features = jnp.stack([here, here & state.switch], axis=-1).astype(jnp.float32)
        parts = (here, state.switch[None], state.been, state.day[None] / days)
        world = jnp.concatenate([part.astype(jnp.float32) for part in parts])
        return Observation(features if switch else features[:, :1], state=jnp.tile(world, (num_agents, 1)))

    def reset(key: Key, params: Any) -> tuple[State, Observation]:
        room = jax.random.randint(key, (), 0, num_agents)
        state = State(room, jnp.bool_(False), numbers == room, jnp.int32(0), jnp.bool_(False))
        return state, observe(state)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Observation, Array, Array]:
        act, day = action[state.room], state.day + 1
        told, lit = act == TELL, (act == ON) | (state.switch & (act != OFF))
        ended = told | (day >= days)
        room = jnp.where(ended, state.room, jax.random.randint(key, (), 0, num_agents))
        reward = jnp.where(told, jnp.where(jnp.all(state.been), 1.0, -1.0), 0.0).astype(jnp.float32)
        after = State(room, lit, state.been | (numbers == room), day, told)
        everyone = (num_agents,)
        return after, observe(after), jnp.broadcast_to(reward, everyone), jnp.broadcast_to(ended, everyone)

    def legal_actions(state: State, params: Any) -> Array:
        return (numbers == state.room)[:, None] | (np.arange(num_actions) == NONE)

    def measure(state: State, params: Any) -> dict[str, Array]:
        success = state.told & jnp.all(state.been)
        return {"success": success.astype(jnp.float32), "told": state.told.astype(jnp.float32)}

    def picture(state: State, params: Any) -> Array:
        kinds = (("grey", "ring"), ("grey", "disc"), ("orange", "disc"), ("black", "square"), ("yellow", "square"))
        atlas = np.stack([render.tile(*kind) for kind in kinds])
        prisoners = jnp.where(numbers == state.room, 2, state.been)
        return render.mosaic(atlas, jnp.append(prisoners, 3 + state.switch)[None])

    num_actions = 4 if switch else 2
    return Environment(
        reset, step, Box(0.0, 1.0, (2 if switch else 1,)), Discrete(num_actions), num_agents=num_agents,
        legal_actions=legal_actions, measure=measure, render=picture,
    )  # fmt: skip
