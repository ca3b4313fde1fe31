"""A MiniGrid world from its level generator: the shared `Environment`, its rewards and its options.

Action: int32 [], 0 turn left, 1 turn right, 2 forward, 3 pick up, 4 drop, 5 toggle, 6 done.
Reward for success at step t of at most T, by the option `reward`: "minigrid" 1 - 0.9 t / T, "plain" 1; else 0.
Termination: on success or failure, which most worlds judge by `reached_goal`. Measures: success.
Observation: see `views`.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid import pictures, rules, views
from jaxrl.envs.minigrid.cells import GOAL, LAVA, NUM_COLOURS
from jaxrl.envs.minigrid.rules import FORWARD, LARGEST, Level, State
from jaxrl.errors import UsageError, at_least, unknown, within
from jaxrl.spaces import Discrete
from jaxrl.types import Array, Environment, Key, Observation

REWARDS = ("minigrid", "plain")

Judge = Callable[[State, State, Array, Array], tuple[Array, Array]]


def reached_goal(before: State, after: State, action: Array, front: Array) -> tuple[Array, Array]:
    """(success, failure), bool []: walked onto the goal; walked into lava."""
    walked, kind = action == FORWARD, front & 15
    return walked & (kind == GOAL), walked & (kind == LAVA)


def world(
    shape: tuple[int, int],
    level: Callable[[Key], Level],
    *,
    max_steps: int,
    view: str,
    reward: str,
    see_through: bool = False,
    judge: Judge = reached_goal,
    mission: Callable[[State], Array] | None = None,
    told: Callable[[State], Array] | None = None,
) -> Environment:
    """A world on a map of shape (W, H).

    judge: (state before, after, action, code that was in front) -> (success, failure). mission: state -> the colour
    that the mission names, shown by the view "original". told: the same for worlds that cannot be solved without it;
    the other views show it as a one-hot goal uint8 [6].
    """
    at_least("max_steps", max_steps, 1)
    within("the longer side of the map", max(shape), 3, LARGEST)
    if reward not in REWARDS:
        raise unknown("reward", reward, REWARDS)
    occluded = views.occluded(view, see_through)
    see, space = views.view(view, shape, mission)

    def observe(state: State) -> Any:
        if told is None or view == "original":
            return see(state)
        return Observation(see(state), goal=(np.arange(NUM_COLOURS) == told(state)).astype(jnp.uint8))

    def reset(key: Key, params: Any) -> tuple[State, Any]:
        state = rules.start(level(key), shape, occluded)
        return state, observe(state)

    def step(key: Key, state: State, action: Array, params: Any) -> tuple[State, Any, Array, Array]:
        after, front = rules.act(state, action, shape)
        won, lost = judge(state, after, action, front)
        after = rules.with_success(after, won)
        prize = jnp.float32(1) if reward == "plain" else 1 - jnp.float32(0.9 / max_steps) * after.time
        return after, observe(after), jnp.where(won, prize, 0.0).astype(jnp.float32), won | lost

    return Environment(
        reset,
        step,
        space,
        Discrete(7),
        max_steps=max_steps,
        measure=lambda state, params: {"success": state.success.astype(jnp.float32)},
        render=pictures.painter(shape),
    )


def square(name: str, size: int, smallest: int) -> tuple[int, int]:
    """The shape of a square world, refused where no level fits in."""
    if not smallest <= size <= LARGEST:
        raise UsageError(
            f"size is {size}: expected from {smallest} to {LARGEST}, the sizes that a {name} has levels of"
        )
    return size, size
