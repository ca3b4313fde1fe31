"""Shared by the worlds that are drawn as text: reading the map, and where each move leads."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxrl.errors import UsageError

UP, RIGHT, DOWN, LEFT = FOUR = (-1, 0), (0, 1), (1, 0), (0, -1)


def parse(layout: str, letters: Mapping[str, str], required: str) -> np.ndarray:
    """The letters [H, W] of a map whose rows are lines (or parts between slashes).

    letters: {letter: what it stands for}. Each letter of `required` must occur.
    """
    lines = [line.strip() for line in layout.strip().replace("/", "\n").splitlines()]
    legend = ", ".join(f"{letter} {meaning}" for letter, meaning in letters.items())
    for number, line in enumerate(lines, 1):
        for column, letter in enumerate(line, 1):
            if letter not in letters:
                raise UsageError(f"the map has {letter!r} in line {number}, column {column}: expected {legend}")
        if len(line) != len(lines[0]):
            raise UsageError(f"line {number} of the map has {len(line)} letters: expected {len(lines[0])}, like line 1")
    for letter in required:
        if not any(letter in line for line in lines):
            raise UsageError(f"the map has no {letters[letter]}: expected at least one {letter}")
    return np.array([list(line) for line in lines])


def neighbours(shape: tuple[int, ...], moves: Sequence[tuple[int, int]]) -> np.ndarray:
    """int [H * W, A]: the cell (row * W + column) that each move (down, right) leads to; the map's edge holds."""
    height, width = shape
    row, column = np.indices((height, width)).reshape(2, -1, 1)
    down, right = np.array(moves).T
    return np.clip(row + down, 0, height - 1) * width + np.clip(column + right, 0, width - 1)


def outcomes(reached: np.ndarray, success: float | None) -> tuple[np.ndarray, np.ndarray]:
    """(probability, cell) of the K outcomes of each move, from the cells reached [S, 4]: K is 1, or on ice 3.

    On ice the move comes out as meant with probability `success`, else as one of its two neighbours in the circle of
    moves, that is to either side. None: no ice.
    """
    if success is None:
        return np.ones((1, 1, 1)), reached[:, :, None]
    sides = (np.arange(4)[:, None] + np.array([-1, 0, 1])) % 4
    astray = (1 - success) / 2
    return np.broadcast_to([astray, success, astray], (*reached.shape, 3)), reached[:, sides]


def strays(reached: np.ndarray, success: float) -> tuple[np.ndarray, np.ndarray]:
    """(probability, cell) of the K outcomes of each move, from the cells reached [S, A]: K is A, or 1 if all succeed.

    A move comes out as meant with probability `success`, else as any of the others, with equal chances.
    """
    if success == 1:
        return np.ones((1, 1, 1)), reached[:, :, None]
    num_moves = reached.shape[1]
    probability = np.full((num_moves, num_moves), (1 - success) / (num_moves - 1))
    np.fill_diagonal(probability, success)
    return probability, np.repeat(reached[:, None], num_moves, axis=1)


def walled(letters: np.ndarray, moves: Sequence[tuple[int, int]]) -> np.ndarray:
    """int [H * W, A]: as `neighbours`, on a map [H, W] whose cells # hold as well."""
    reached = neighbours(letters.shape, moves)
    return np.where(letters.ravel()[reached] == "#", np.arange(letters.size)[:, None], reached)
