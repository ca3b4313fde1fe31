"""Memory chain (Osband et al. 2020, bsuite): remember some bits, and repeat the one that is asked for at the end.

Observation: float [2 + num_bits], (share of the length that is left, the number of the bit asked for, the bits as -1
    or 1). The bits are shown at the start and, as in bsuite, once more after the first step; the number after
    `length` steps, when the next action is the answer. What is not shown is 0.
Action: int32 [], 0 or 1: the bit. Only the answer matters.
    With `traps`, one of the two actions, drawn anew for each step before that, ends the episode; nothing that is seen
    tells which. "masked": it is illegal; "hidden": all actions are legal, so that an episode is survived by luck alone.
Reward: 1 for the right answer, -1 for the wrong one, else 0.
Termination: at the answer, so that every episode without traps has length + 1 steps. Limit: one step more, never
    reached.
Start: bits and number uniform. Measures: success, 1 after the right answer.

bsuite's experiments are `length` from 1 to 100 with one bit (memory_len), and `length` 2 with many (memory_size).
"""

import numpy as np

from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least, unknown, within
from jaxrl.types import Environment


def memory_chain(
    length: int = 5, num_bits: int = 1, traps: str | None = None, max_steps: int | None = None
) -> Environment:
    """The bits of a context to be kept for `length` steps.

    States: per context and number asked for, the times 0 to `length` (twice with traps, of which one action and then
    the other is one); then the right and the wrong end.
    """
    at_least("length", length, 1)
    within("num_bits", num_bits, 1, 8)  # the table doubles with every bit
    if traps not in (None, "masked", "hidden"):
        raise unknown("kind of traps", traps, ("masked", "hidden"))
    kinds = np.arange(1 if traps is None else 2)  # of a step: its trap is action 0, or action 1
    context, query, time, trap = np.indices((2**num_bits, num_bits, length + 1, kinds.size)).reshape(4, -1)
    bits = context[:, None] >> np.arange(num_bits) & 1
    state, right_end, wrong_end = np.arange(time.size + 2)[:, None], time.size, time.size + 1
    asked = np.append(time == length, [False, False])[:, None]
    told = asked & (np.append(bits[np.arange(time.size), query], [0, 0])[:, None] == np.arange(2))
    ended = state >= right_end
    trapped = ~(asked | ended) & (np.append(trap, [0, 0])[:, None] == np.arange(2)) & (traps is not None)
    goes_on = (state // kinds.size + 1)[..., None] * kinds.size + kinds
    ends_at = np.where(ended, state, np.where(told, right_end, wrong_end))[..., None]
    stops = asked | ended | trapped
    model = tables(
        probability=np.full((1, 1, kinds.size), 1 / kinds.size),
        next_state=np.where(stops[..., None], ends_at, goes_on),
        reward=np.where(told, 1.0, np.where(asked | trapped, -1.0, 0.0))[..., None],
        terminated=stops[..., None],
        start=np.append(time == 0, [False, False]),
    )
    shown = np.maximum(time - 1, 0)[:, None]  # bsuite's step shows the time before it
    number, signs = np.where(shown == length - 1, query[:, None], 0), np.where(shown == 0, 2 * bits - 1, 0)
    seen = np.vstack([np.hstack([1 - shown / length, number, signs]), np.zeros((2, num_bits + 2))])
    limit = length + 2 if max_steps is None else max_steps
    legal = ~trapped if traps == "masked" else None
    return tabular(model, limit, seen, legal, {"success": state[:, 0] == right_end})
