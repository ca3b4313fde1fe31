"""T-maze (Bakker 2002, "Reinforcement learning with long short-term memory"): remember a cue along a corridor.

The first observation shows whether to turn up or down at the junction, `length` cells east of the start; from then on
every cell of the corridor looks alike.

Observation: float [4], (the cue says up, the cue says down, corridor, junction); the cue is shown once, at the start.
Action: int32 [], 0 up, 1 right, 2 down, 3 left.
Reward: 1 for the turn that the cue told; -`penalty` for the wrong turn and for every step against a wall, as in
    Bakker (there 4 and -0.1); else 0.
Termination: at the turn. Limit: 2 * (length + 1) steps, twice what the way needs.
Start: up or down with probability 1/2. Measures: success, 1 after the right turn.

At the junction nothing that is seen depends on the cue and there is one try, so a policy without memory succeeds in
at most half of the episodes, whatever the limit; the limit only leaves room to learn to walk.
"""

from collections.abc import Callable

import numpy as np

from jaxrl.envs import render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import at_least
from jaxrl.types import Array, Environment

UP, RIGHT, DOWN, LEFT = range(4)


def t_maze(length: int = 20, penalty: float = 0.1, max_steps: int | None = None) -> Environment:
    """A corridor of `length` moves to the junction.

    States: 0 and 1, the start with its cue; then, per cue, the length + 1 cells; then the right and the wrong end.
    """
    at_least("length", length, 1)
    cells = length + 1
    right_end, wrong_end = 2 + 2 * cells, 3 + 2 * cells
    cue = np.concatenate([[0, 1], np.repeat([0, 1], cells), [0, 0]])[:, None]  # 0 up, 1 down
    place = np.concatenate([[0, 0], np.tile(np.arange(cells), 2), [0, 0]])[:, None]
    action, state = np.arange(4), np.arange(wrong_end + 1)[:, None]
    reached = np.clip(place + (action == RIGHT) - (action == LEFT), 0, length)
    turns = (place == length) & ((action == UP) | (action == DOWN))
    told = turns & (action == np.where(cue == 0, UP, DOWN))
    ended = state >= right_end
    next_state = np.where(turns, np.where(told, right_end, wrong_end), 2 + cue * cells + reached)
    reward = np.where(told, 1.0, np.where(reached == place, -penalty, 0.0))
    model = tables(
        probability=np.ones((1, 1, 1)),
        next_state=np.where(ended, state, next_state)[..., None],
        reward=np.where(ended, 0.0, reward)[..., None],
        terminated=(turns | ended)[..., None],
        start=state[:, 0] < 2,
    )
    inside = ~ended
    seen = np.hstack([state == 0, state == 1, inside & (place < length), inside & (place == length)])
    limit = 2 * (length + 1) if max_steps is None else max_steps
    env = tabular(model, limit, seen.astype(np.float32), measures={"success": state[:, 0] == right_end})
    return env._replace(render=_picture(length, cue[:, 0], place[:, 0], state[:, 0] - right_end))


def _picture(length: int, cue: np.ndarray, place: np.ndarray, verdict: np.ndarray) -> Callable[..., Array]:
    """`render`: the arm that the cue told is green; at the end a green disc or a red cross is at the junction."""
    letters = np.full((3, length + 1), "#")
    letters[1], letters[:, -1] = ".", "."
    junction, ended = 2 * length + 1, verdict >= 0
    told = np.where(ended, -1, np.where(cue == 0, length, 3 * length + 2))
    marks: list[tuple[np.ndarray, render.Look]] = [
        (told, ("green", "block")),
        (np.where(ended, -1, length + 1 + place), render.AGENT),
        (np.where(verdict == 0, junction, -1), ("green", "disc")),
        (np.where(verdict == 1, junction, -1), ("red", "cross")),
    ]
    return render.on_map(letters, render.LOOKS, marks)
