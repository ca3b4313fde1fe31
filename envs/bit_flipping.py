"""Bit flipping (Andrychowicz et al. 2017, "Hindsight experience replay", section 3.1): turn n bits into n others.

Observation: features float [n], the bits; goal float [n], the wanted ones; achieved float [n], the bits.
Action: int32 [], the bit to flip.
Reward: 0 for the flip that makes all bits as wanted, else -1 (`goals.outcome`).
Termination: all bits are as wanted. Limit: n steps.
Start: bits and goal are uniform, as in the paper also when they are equal. Measures: success, 1 if bits and goal agree;
    distance, how many do not.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs import goals, render
from jaxrl.envs.tabular import tables
from jaxrl.errors import at_least
from jaxrl.spaces import Box, Discrete
from jaxrl.types import Array, Environment, Key, Model, Observation

MOST_ENUMERATED = 6  # bits: 4096 states


class State(NamedTuple):
    bits: Array  # bool [n]
    goal: Array  # bool [n]


def bit_flipping(num_bits: int = 8, max_steps: int | None = None) -> Environment:
    """n = num_bits. Without `max_steps` the limit is n.

    The model (of at most 6 bits) counts states as goal * 2^n + bits, where bit i weighs 2^i.
    """
    at_least("num_bits", num_bits, 1)
    at_least("max_steps", max_steps, 1)

    def reset(key: Key, params: Any) -> tuple[State, Observation]:
        bits, goal = (jax.random.bits(key, (2, num_bits), jnp.uint8) & 1).astype(bool)
        return State(bits, goal), goals.observe(bits, goal)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Observation, Array, Array]:
        bits, goal = state.bits ^ (np.arange(num_bits) == action), state.goal
        return State(bits, goal), goals.observe(bits, goal), *goals.outcome(bits, goal)

    def measure(state: State, params: Any) -> dict[str, Array]:
        distance = jnp.sum(state.bits != state.goal, dtype=jnp.float32)
        return {"success": (distance == 0).astype(jnp.float32), "distance": distance}

    def picture(state: State, params: Any) -> Array:
        """The bits above the goal."""
        atlas = [render.tile(colour, "block", background="silver") for colour in ("white", "black")]
        return render.mosaic(np.stack(atlas), jnp.stack([state.bits, state.goal]).astype(jnp.int32))

    return Environment(
        reset,
        step,
        Box(0.0, 1.0, (num_bits,)),
        Discrete(num_bits),
        max_steps=num_bits if max_steps is None else max_steps,
        measure=measure,
        model=(lambda params: _model(num_bits)) if num_bits <= MOST_ENUMERATED else None,
        render=picture,
        hindsight=goals.outcome,
    )


def _model(num_bits: int) -> Model:
    size = 2**num_bits
    goal, bits = (axis.reshape(-1, 1, 1) for axis in np.indices((size, size)))
    flipped = bits ^ (1 << np.arange(num_bits))[:, None]
    done = flipped == goal
    return tables(np.ones(1), goal * size + flipped, np.where(done, 0.0, -1.0), done, np.ones(size * size))
