"""Taxi (Dietterich 2000; Gymnasium's `Taxi-v4`): fetch a passenger and bring them to their destination.

The town has 5 x 5 cells and four stands: 0 red (0, 0), 1 green (0, 4), 2 yellow (4, 0), 3 blue (4, 3).

Observation: int32 [], ((row * 5 + column) * 5 + passenger) * 4 + destination; passenger is a stand, or 4 in the taxi.
Action: int32 [], 0 south, 1 north, 2 east, 3 west, 4 pick up, 5 drop off.
Reward: 20 for a delivery, -10 for picking up or dropping off where that is impossible, else -1.
Termination: the passenger is delivered. Limit: 200 steps.
Start: uniform over the 300 states in which the passenger waits at a stand that is not the destination.
Legal actions (`masked`): those that change the state. Measures: success, 1 when the passenger is delivered.
"""

from collections.abc import Callable

import numpy as np

from jaxrl.envs import grid, render
from jaxrl.envs.tabular import tables, tabular
from jaxrl.errors import within
from jaxrl.types import Array, Environment, Model

SOUTH, NORTH, EAST, WEST, PICK_UP, DROP_OFF = range(6)
STANDS = (0, 4, 20, 23)  # cells, row * 5 + column
WALLS = (1, 6, 15, 17, 20, 22)  # cells with a wall on their east side
IN_TAXI = 4


def taxi(
    rainy: bool = False,
    fickle: bool = False,
    masked: bool = False,
    rainy_probability: float = 0.8,
    fickle_probability: float = 0.3,
    max_steps: int | None = 200,
) -> Environment:
    """In rain a move goes as meant with `rainy_probability`, else to either side (never where a wall stops it).

    A fickle passenger, with `fickle_probability` per episode, wants another destination after the first cell driven.
    """
    within("rainy_probability", rainy_probability, 0, 1)
    within("fickle_probability", fickle_probability, 0, 1)
    cell, passenger, destination = np.indices((25, 5, 4)).reshape(3, -1)
    roads = _roads()
    model = _rules(roads, cell, passenger, destination, rainy_probability if rainy else 1.0)
    at_stand = cell == np.array([*STANDS, -1])[passenger]
    drops = (passenger == IN_TAXI) & np.isin(cell, STANDS)
    legal = np.column_stack([roads[cell] != cell[:, None], at_stand, drops])
    seen, delivered = np.arange(500), passenger == destination
    if fickle:
        model = _fickle(model, cell, passenger, destination, fickle_probability)
        seen, legal, delivered = np.tile(seen, 2), np.tile(legal, (2, 1)), np.tile(delivered, 2)
    env = tabular(model, max_steps, seen, legal if masked else None, {"success": delivered})
    return env._replace(render=_picture(cell[seen], passenger[seen], destination[seen]))


def _picture(cell: np.ndarray, passenger: np.ndarray, destination: np.ndarray) -> Callable[..., Array]:
    """`render`: the taxi is yellow, the destination a frame, the passenger a dot, black or, in the taxi, white.

    Every second tile lies between two cells, so that walls have a place.
    """
    letters = np.full((7, 11), "#")
    letters[1:6, 1:10] = "."
    for west_side in WALLS:
        letters[1 + west_side // 5, 2 + 2 * (west_side % 5)] = "#"
    places = 11 * (1 + np.arange(25) // 5) + 1 + 2 * (np.arange(25) % 5)  # of the cells among the tiles
    stands = places[list(STANDS)]
    letters.flat[stands] = list("rgyb")
    looks = render.LOOKS | {
        "r": ("red", "block"),
        "g": ("green", "block"),
        "y": ("yellow", "block"),
        "b": ("blue", "block"),
    }
    taxi, waits = places[cell], np.append(stands, -1)[passenger]
    return render.on_map(
        letters, looks,
        [(stands[destination], ("purple", "frame")), (taxi, ("orange", "disc")),
         (waits, ("black", "dot")), (np.where(passenger == IN_TAXI, taxi, -1), ("white", "dot"))],
    )  # fmt: skip


def _roads() -> np.ndarray:
    """int [25, 4]: the cell that lies south, north, east, west; the same cell behind a wall."""
    roads = grid.neighbours((5, 5), (grid.DOWN, grid.UP, grid.RIGHT, grid.LEFT))
    for west_side in WALLS:
        roads[west_side, EAST], roads[west_side + 1, WEST] = west_side, west_side + 1
    return roads


def _rules(
    roads: np.ndarray, cell: np.ndarray, passenger: np.ndarray, destination: np.ndarray, straight: float
) -> Model:
    """The 500 states without a change of mind; a move has three outcomes: as meant, to its left, to its right."""
    sides = np.array([[SOUTH, EAST, WEST], [NORTH, WEST, EAST], [EAST, NORTH, SOUTH], [WEST, SOUTH, NORTH]])
    stopped = roads[cell] == cell[:, None]
    driven = np.where(stopped[..., None], cell[:, None, None], roads[cell][:, sides])  # [500, 4, 3]
    boards = cell == np.array([*STANDS, -1])[passenger]
    drops = (passenger == IN_TAXI) & np.isin(cell, STANDS)
    arrives = drops & (cell == np.array(STANDS)[destination])
    stand = np.searchsorted(STANDS, cell) % 4
    rests = np.repeat(cell[:, None, None], 3, axis=-1)
    after_cell = np.concatenate([driven, rests, rests], axis=1)
    after_passenger = np.repeat(passenger[:, None], 6, axis=1)
    after_passenger[:, PICK_UP] = np.where(boards, IN_TAXI, passenger)
    after_passenger[:, DROP_OFF] = np.where(drops, stand, passenger)
    reward = np.full((500, 6), -1.0)
    reward[:, PICK_UP] = np.where(boards, -1, -10)
    reward[:, DROP_OFF] = np.where(arrives, 20, np.where(drops, -1, -10))
    astray = (1 - straight) / 2
    return tables(
        probability=np.array([[straight, astray, astray]] * 4 + [[1.0, 0.0, 0.0]] * 2),
        next_state=(after_cell * 5 + after_passenger[..., None]) * 4 + destination[:, None, None],
        reward=reward[..., None],
        terminated=(np.arange(6) == DROP_OFF)[:, None] & arrives[:, None, None],
        start=(passenger != IN_TAXI) & (passenger != destination),
    )


def _fickle(
    model: Model, cell: np.ndarray, passenger: np.ndarray, destination: np.ndarray, probability: float
) -> Model:
    """1000 states: in state 500 + s the passenger of state s will change their mind at the first cell driven."""
    after = np.asarray(model.next_state)[..., None]
    changes = (passenger == IN_TAXI)[:, None, None, None] & (cell[after] != cell[:, None, None, None])
    others = after - destination[after] + (destination[after] + np.arange(1, 4)) % 4  # the three other destinations
    keeps = np.array([1.0, 0.0, 0.0])
    chance = np.stack([np.broadcast_to(keeps, changes.shape[:3] + (3,)), np.where(changes, 1 / 3, keeps)])
    after = np.stack([np.broadcast_to(after, others.shape), np.where(changes, others, 500 + after)])

    def both(table: np.ndarray) -> np.ndarray:
        return np.tile(table, (2, 1, 3))  # the outcomes of one destination stand side by side

    def laid_out(table: np.ndarray) -> np.ndarray:
        return np.moveaxis(table, -1, -2).reshape(1000, 6, -1)

    return tables(
        laid_out(chance) * both(np.asarray(model.probability)),
        laid_out(after),
        both(np.asarray(model.reward)),
        both(np.asarray(model.terminated)),
        np.concatenate([(1 - probability) * np.asarray(model.start), probability * np.asarray(model.start)]),
    )
