"""Pictures: tiles, mosaics, circles, and the drawing of finite worlds on their maps."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs import registry, render
from jaxrl.errors import UsageError

RED, WHITE = render.COLOURS["red"], render.COLOURS["white"]


@pytest.mark.parametrize("shape", render.SHAPES)
def test_every_shape_shows_its_colour(shape: str) -> None:
    drawn = render.tile("red", shape, pixels=24, background="white")
    assert (drawn.shape, drawn.dtype) == ((24, 24, 3), np.uint8)
    shown = {tuple(colour) for colour in drawn.reshape(-1, 3).tolist()}
    assert shown == ({RED} if shape == "square" else {RED, WHITE})


def test_shapes_differ_and_triangles_point() -> None:
    drawn = [render.tile("red", shape).tobytes() for shape in render.SHAPES]
    assert len(set(drawn)) == len(drawn)
    red = {way: (render.tile("red", f"triangle_{way}") == RED).all(-1) for way in ("right", "down", "left", "up")}
    widest = {way: (mask.sum(0).argmax(), mask.sum(1).argmax()) for way, mask in red.items()}  # (column, row)
    assert widest["right"][0] < 8 <= widest["left"][0] and widest["down"][1] < 8 <= widest["up"][1]
    np.testing.assert_array_equal(red["down"], red["right"].T)
    np.testing.assert_array_equal(red["up"], red["down"][::-1])
    np.testing.assert_array_equal(red["left"], red["right"][:, ::-1])


def test_a_tile_lies_on_another_one() -> None:
    below = render.tile("green", "square")
    drawn = render.tile((1, 2, 3), "disc", background=below)
    assert drawn[8, 8].tolist() == [1, 2, 3] and drawn[0, 0].tolist() == below[0, 0].tolist()


def test_an_unknown_colour_or_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown colour 'gren': did you mean green?"):
        render.tile("gren")
    with pytest.raises(UsageError, match="unknown shape 'disk': did you mean disc?"):
        render.tile("green", "disk")


def test_a_mosaic_puts_each_tile_in_its_cell() -> None:
    atlas = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3)).astype(np.uint8)
    cells = np.array([[0, 1, 2], [3, 2, 0]])
    drawn = jax.jit(render.mosaic)(atlas, cells)
    assert (drawn.shape, drawn.dtype) == ((10, 15, 3), jnp.uint8)
    for (row, column), kind in np.ndenumerate(cells):
        np.testing.assert_array_equal(drawn[5 * row : 5 * row + 5, 5 * column : 5 * column + 5], atlas[kind])


def test_circles_lie_where_they_are() -> None:
    """y points up, later circles cover earlier ones, and the area is that of a circle."""
    centres, radii = np.array([[-0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]), np.array([0.2, 0.3, 0.1])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    drawn = np.asarray(jax.jit(lambda *args: render.circles(*args, -1.0, 1.0, pixels=200))(centres, radii, colours))
    assert (drawn.shape, drawn.dtype) == ((200, 200, 3), np.uint8)
    assert drawn[50, 50].tolist() == [255, 0, 0]  # to the left, in the upper half
    assert drawn[50, 150].tolist() == [0, 0, 255] and drawn[50, 150 + 20].tolist() == [0, 255, 0]
    assert drawn[150, 50].tolist() == drawn[0, 0].tolist() == [255, 255, 255]
    counts = [(drawn == colour).all(-1).sum() / 200**2 * 4 for colour in colours]
    np.testing.assert_allclose(counts, np.pi * np.array([0.04, 0.08, 0.01]), rtol=0.02)


def test_circles_in_an_oblong_window() -> None:
    drawn = np.asarray(render.circles([[3.0, 1.0]], [0.25], [[9, 9, 9]], (2.0, 0.0), (6.0, 2.0), pixels=64))
    rows, columns = np.nonzero((drawn == 9).all(-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (24, 39, 12, 19)
    assert (np.asarray(render.circles(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), 0, 1, 8)) == 255).all()


def test_marks_are_drawn_where_they_are() -> None:
    letters = np.array([list("S#"), list(".G"), list("..")])
    looks = {"S": ("silver", "square"), "#": ("black", "square"), ".": ("white", "square"), "G": ("green", "square")}
    agent, thing = np.array([0, 3, 3]), np.array([4, 3, -1])
    draw = jax.jit(render.on_map(letters, looks, [(thing, ("red", "square")), (agent, ("blue", "dot"))], pixels=8))
    pictures = [np.asarray(draw(jnp.int32(state), ())) for state in range(3)]
    assert (pictures[0].shape, pictures[0].dtype) == ((24, 16, 3), np.uint8)
    cells = [picture.reshape(3, 8, 2, 8, 3).transpose(0, 2, 1, 3, 4).reshape(6, 8, 8, 3) for picture in pictures]
    plain = [render.tile(looks[letter][0], pixels=8) for letter in letters.ravel()]
    red = render.tile("red", pixels=8)

    def with_agent(below: np.ndarray) -> np.ndarray:
        return render.tile("blue", "dot", 8, background=below)

    expected = [
        [with_agent(plain[0]), *plain[1:4], red, plain[5]],
        [*plain[:3], with_agent(red), *plain[4:]],
        [*plain[:3], with_agent(plain[3]), *plain[4:]],
    ]
    np.testing.assert_array_equal(cells, expected)


def test_every_world_that_is_drawn_gives_pictures() -> None:
    """Under tracing, and of one size whatever the state."""
    drawn = {}
    for name in contracts.WORLDS:
        if name not in registry.GYMNAX and (env := contracts.world(name)).render is not None:
            state, _ = jax.eval_shape(env.reset, jax.random.key(0), env.params)
            drawn[name] = jax.eval_shape(env.render, state, env.params)
    assert {"gridworld", "frozen_lake", "cliff_walking", "taxi", "t_maze", "one_hot(taxi)"} <= set(drawn)
    for picture in drawn.values():
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        assert min(picture.shape[:2]) >= 16
