"""Pictures of gymnax's worlds show what the state says."""

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import compat, envs
from jaxrl.envs import gymnax_pictures, registry, render


def drawn(name: str, **fields: float) -> np.ndarray:
    """The picture of a world whose state has these fields and zeros elsewhere."""
    env = contracts.world(name)
    shape = jax.eval_shape(env.reset, jax.random.key(0), env.params)[0]
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    picture = np.asarray(jax.jit(env.render)(state.replace(**jax.tree.map(jnp.float32, fields)), env.params))
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    return picture


def places(picture: np.ndarray, colour: str) -> np.ndarray:
    """(row, column) [n, 2] of the pixels of a colour."""
    found = np.argwhere((picture == render.rgb(colour)).all(-1))
    assert len(found) > 8, colour
    return found


@pytest.mark.parametrize("name", registry.GYMNAX)
def test_what_can_be_drawn_is_drawn(name: str) -> None:
    assert (contracts.world(name).render is None) == (name in ("bandit", "discounting_chain", "umbrella_chain"))


def test_strokes_have_the_area_and_place_of_their_shapes() -> None:
    paper = np.full((100, 200, 3), 255, np.uint8)
    ends = np.array([[[-1.0, 0.0], [1.0, 0.0]], [[1.5, 0.5], [1.5, 0.5]]])
    picture = np.asarray(jax.jit(render.strokes)(paper, ends, (0.2, 0.3), [[0, 0, 0], [255, 0, 0]], [-2, -1], [2, 1]))
    assert picture.dtype == np.uint8 and picture.shape == paper.shape
    ink = (255 - picture[..., 1].astype(float)) / 255 * 4 * 2 / (100 * 200)  # of the plane, rims in part
    np.testing.assert_allclose(ink[:, :160].sum(), 2 * 0.4 + np.pi * 0.2**2, rtol=0.01)
    np.testing.assert_allclose(ink[:, 160:].sum(), np.pi * 0.3**2, rtol=0.01)
    assert picture[50, 100].tolist() == [0, 0, 0] and picture[25, 175].tolist() == [255, 0, 0]
    shades = set(picture[:, 175:, 1].ravel().tolist())
    assert {0, 255} < shades and len(shades) > 10  # a smooth rim


@pytest.mark.parametrize("x", [-1.2, 0.0, 2.0])
def test_the_cart_is_where_it_is_and_its_pole_leans(x: float) -> None:
    right, left = drawn("cartpole", x=x, theta=0.2), drawn("cartpole", x=x, theta=-0.2)
    middle = (x + 2.4) / 4.8 * 240
    for picture, side in ((right, 1), (left, -1)):
        cart, pole = places(picture, "black"), places(picture, "brown")
        np.testing.assert_allclose((cart[:, 1].min() + cart[:, 1].max() + 1) / 2, middle, atol=1)
        top, foot = pole[pole[:, 0].argmin()], pole[pole[:, 0].argmax()]
        np.testing.assert_allclose(top - foot, [-50 * np.cos(0.2), side * 50 * np.sin(0.2)], atol=8)


def test_the_acrobot_hangs_and_stands() -> None:
    hanging, standing = drawn("acrobot"), drawn("acrobot", joint_angle1=np.pi)
    assert places(hanging, "cyan")[:, 0].min() >= 96 - 10 and places(standing, "cyan")[:, 0].max() <= 96 + 10
    line = places(hanging, "grey")
    assert places(standing, "cyan")[:, 0].min() < line[:, 0].min() < places(hanging, "cyan")[:, 0].min()
    bent = places(drawn("acrobot", joint_angle2=np.pi / 2), "cyan")
    assert bent[:, 1].max() > 96 + 35 and bent[:, 1].min() >= 96 - 10  # the second link points to the right


def test_the_pendulum_turns_and_shows_its_torque() -> None:
    up, left = places(drawn("pendulum"), "red"), places(drawn("pendulum", theta=np.pi / 2), "red")
    assert up[:, 0].min() < 40 and up[:, 0].max() < 106 and left[:, 1].min() < 40 and left[:, 1].max() < 106
    bars = [places(drawn("pendulum", last_u=torque), "blue")[:, 1] for torque in (-2.0, 2.0)]
    assert bars[0].max() - bars[0].min() > 55 and bars[0].max() > 150 and bars[1].min() < 40


@pytest.mark.parametrize("name", ["mountain_car", "mountain_car_continuous"])
def test_the_car_climbs(name: str) -> None:
    rows = []
    for position in (-1.0, -np.pi / 6, 0.4):
        body = places(drawn(name, position=position), "blue")
        np.testing.assert_allclose(body[:, 1].mean(), (position + 1.2) / 1.8 * 240, atol=8)
        rows.append(body[:, 0].mean())
    assert rows[2] < rows[0] < rows[1]  # the valley is the lowest place
    flag = places(drawn(name, position=0.0), "yellow")
    assert flag[:, 1].min() > 200 and flag[:, 0].max() < 40


def test_channels_are_tiles_of_their_own_colours() -> None:
    env = envs.make("breakout")
    observe = compat.observe("Breakout-MinAtar")

    def play(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        state, _ = env.reset(key, env.params)
        for _ in range(3):
            state, *_ = env.step(key, state, jnp.int32(0), env.params)
        return env.render(state, env.params), observe(state, env.params)

    picture, channels = contracts.quick(play)(jax.random.key(0))
    middles = np.asarray(picture)[render.PIXELS // 2 :: render.PIXELS, render.PIXELS // 2 :: render.PIXELS]
    channels = np.asarray(channels)
    assert channels.shape == (10, 10, 4) and (channels.sum((0, 1)) > 0).all()  # paddle, ball, trail and bricks
    for place in np.ndindex(10, 10):
        on = np.flatnonzero(channels[place])
        expected = gymnax_pictures.CHANNELS[on[0]] if len(on) else "white"
        assert middles[place].tolist() == render.rgb(expected).tolist()


def test_a_world_of_one_channel_is_drawn_in_its_own_size() -> None:
    shape = np.zeros((4, 7))
    shape[2, 5] = 1
    picture = np.asarray(gymnax_pictures.tiles(lambda state, params: state)(jnp.asarray(shape), ()))
    assert picture.shape == (4 * render.PIXELS, 7 * render.PIXELS, 3)
    assert set(places(picture, "blue")[:, 0] // render.PIXELS) == {2}
    assert set(places(picture, "blue")[:, 1] // render.PIXELS) == {5}
