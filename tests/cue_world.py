"""A cue at the start that the last action of an episode has to repeat: any kind of action, observation and mask."""

import jax
import jax.numpy as jnp

from jaxrl.spaces import Box, Discrete, MultiDiscrete
from jaxrl.types import Environment

SPACES = {"discrete": Discrete(4), "multi-discrete": MultiDiscrete((2, 3)), "continuous": Box(-1.0, 1.0, (2,))}


def cue_world(actions="discrete", nested=False, masked=False, length=2):
    """`length` steps, then the answer: action 0 or 1 (of several parts: the first; continuous: below 0 or above).

    Observation: float [3], the cue one-hot at the start and the share of the time; nested, a dict of the cue
    {0, 1, none} and of a Box. Masked, actions 2 and 3 are illegal in the last step; of two parts, the second's 0 is
    illegal before it and its 1 in it.
    Reward: 1 for the right answer, -1 for a wrong one. Measures: success.
    """
    space = {"time": Box(0.0, 1.0, (1, 1)), "cue": Discrete(3)} if nested else Box(0.0, 1.0, (3,))

    def observe(state):
        cue, time = state[0], state[1]
        shown = jnp.where(time == 0, cue, 2)
        share = time / length
        if nested:
            return {"time": share.astype(jnp.float32)[None, None], "cue": shown}
        return jnp.concatenate([jax.nn.one_hot(shown, 3)[:2], share[None]]).astype(jnp.float32)

    def reset(key, params):
        state = jnp.stack([jax.random.randint(key, (), 0, 2), 0, 0]).astype(jnp.int32)
        return state, observe(state)

    def step(key, state, action, params):
        first = jnp.ravel(action)[0]
        answer = (first > 0).astype(jnp.int32) if actions == "continuous" else first
        last = state[1] >= length
        right = last & (answer == state[0])
        after = jnp.stack([state[0], jnp.minimum(state[1] + 1, length), right.astype(jnp.int32)])
        return after, observe(after), jnp.where(last, 2.0 * right - 1, 0.0).astype(jnp.float32), last

    def legal(state, params):
        early = state[1] < length
        if actions == "discrete":
            return jnp.stack([jnp.bool_(True), jnp.bool_(True), early, early])
        return jnp.stack([jnp.bool_(True), jnp.bool_(True), ~early, early, jnp.bool_(True)])

    return Environment(
        reset, step, space, SPACES[actions], max_steps=length + 2, legal_actions=legal if masked else None,
        measure=lambda state, params: {"success": state[2].astype(jnp.float32)},
    )  # fmt: skip
