"""Pictures of gymnax's worlds, which have none that can be traced: strokes for classic control, tiles for the others.

Classic control is drawn from its state, by the geometry of Gymnasium's pictures; MinAtar and Catch are drawn from the
channels of their observation, a colour each, the channel that gymnax lists first on top.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl import compat
from jaxrl.envs import render
from jaxrl.types import Array

Painter = Callable[[Any, Any], Array]

CHANNELS = ("blue", "red", "orange", "green", "purple", "cyan", "brown", "grey", "pink", "yellow")
TILES = ("Asterix-MinAtar", "Breakout-MinAtar", "Catch-bsuite", "Freeway-MinAtar", "Seaquest-MinAtar",
         "SpaceInvaders-MinAtar")  # fmt: skip


def painter(gymnax_id: str, options: Mapping[str, Any]) -> Painter | None:
    """`render` (state, params) -> uint8 [H, W, 3] of gymnax's environment, or None where there is nothing to draw."""
    if gymnax_id in TILES:
        return tiles(compat.observe(gymnax_id, options))
    return STROKES.get(gymnax_id)


def tiles(observe: Painter) -> Painter:
    """Pictures uint8 [H * P, W * P, 3] of an observation [H, W], or [H, W, C] with a channel per kind of thing."""
    atlas = np.stack([render.tile(colour, "block", background="silver") for colour in ("white", *CHANNELS)])

    def picture(state: Any, params: Any) -> Array:
        shown = observe(state, params) > 0
        shown = shown if shown.ndim == 3 else shown[..., None]
        return render.mosaic(atlas, jnp.where(shown.any(-1), 1 + jnp.argmax(shown, -1), 0))

    return picture


def cartpole(state: Any, params: Any) -> Array:
    """uint8 [160, 240, 3]: the track as wide as the cart may go, with the cart, the pole and its hinge."""
    x, top = state.x, jnp.array([jnp.sin(state.theta), jnp.cos(state.theta)]) * 2 * params.length
    hinge = jnp.stack([x, jnp.zeros_like(x)])
    side, edge = jnp.array([0.15, 0.0]), params.x_threshold
    ends = jnp.stack([
        jnp.array([[-edge, -0.1], [edge, -0.1]]), jnp.stack([hinge - side, hinge + side]),
        jnp.stack([hinge, hinge + top]), jnp.stack([hinge, hinge]),
    ])  # fmt: skip
    middle, height = 0.8 * edge / 2.4, 2 * edge * 160 / 240
    low, high = jnp.array([-edge, middle - height / 2]), jnp.array([edge, middle + height / 2])
    return render.strokes(_paper(160, 240), ends, (0.012, 0.13, 0.05, 0.05), _rgb("grey black brown cyan"), low, high)


def acrobot(state: Any, params: Any) -> Array:
    """uint8 [192, 192, 3]: the two links with their joints, and the line that the tip must pass."""
    angle1, angle2 = state.joint_angle1, state.joint_angle1 + state.joint_angle2
    elbow = params.link_length_1 * jnp.stack([jnp.sin(angle1), -jnp.cos(angle1)])
    tip = elbow + params.link_length_2 * jnp.stack([jnp.sin(angle2), -jnp.cos(angle2)])
    reach, root = params.link_length_1 + params.link_length_2 + 0.2, jnp.zeros(2)
    line = jnp.array([[-reach, 1.0], [reach, 1.0]])
    ends = jnp.stack([line, *(jnp.stack(pair) for pair in ((root, elbow), (elbow, tip), (root, root), (elbow, elbow)))])
    colours = _rgb("grey cyan cyan yellow yellow")
    return render.strokes(
        _paper(192, 192), ends, (0.02, *[0.1] * 4), colours, -reach * jnp.ones(2), reach * jnp.ones(2)
    )


def pendulum(state: Any, params: Any) -> Array:
    """uint8 [192, 192, 3]: the rod, upright where theta is 0, its axle, and the torque as a bar below, to its side."""
    tip = params.l * jnp.stack([-jnp.sin(state.theta), jnp.cos(state.theta)])
    reach, root = 1.5 * params.l, jnp.zeros(2)
    middle = jnp.array([0.0, -1.35]) * params.l
    torque = middle - jnp.stack([state.last_u / params.max_torque * params.l, jnp.zeros_like(state.last_u)])
    ends = jnp.stack([jnp.stack(pair) for pair in ((middle, torque), (root, tip), (root, root))])
    radii = jnp.array([0.04, 0.1, 0.05]) * params.l
    colours, corner = _rgb("blue red black"), reach * jnp.ones(2)
    return render.strokes(_paper(192, 192), ends, radii, colours, -corner, corner)


def mountain_car(state: Any, params: Any) -> Array:
    """uint8 [160, 240, 3]: the hills, the car on its two wheels, and the flag at the goal."""
    low = jnp.stack([jnp.asarray(params.min_position, jnp.float32), 0.0])
    width = params.max_position - params.min_position
    high = low + jnp.stack([width, width * 160 / 240])
    x = low[0] + (jnp.arange(240) + 0.5) / 240 * width
    y = high[1] - (jnp.arange(160)[:, None] + 0.5) / 160 * (high[1] - low[1])
    hills = jnp.where((y < _hill(x))[..., None], _rgb("green")[0], _rgb("white")[0])
    place, flag = _on_hill(state.position), _on_hill(jnp.asarray(params.goal_position, jnp.float32))
    along = jnp.stack([jnp.ones(()), 1.35 * jnp.cos(3 * state.position)])
    along = along / jnp.linalg.norm(along)
    up, mast = jnp.stack([-along[1], along[0]]), flag + jnp.array([0.0, 0.18])
    wheels, body = (place + 0.02 * up + 0.04 * along, place + 0.02 * up - 0.04 * along), place + 0.055 * up
    pairs = ((flag, mast), (mast, mast + jnp.array([0.05, -0.02])), (body - 0.05 * along, body + 0.05 * along))
    ends = jnp.stack([jnp.stack(pair) for pair in (*pairs, *((wheel, wheel) for wheel in wheels))])
    colours = _rgb("black yellow blue black black")
    return render.strokes(hills, ends, (0.006, 0.02, 0.028, 0.022, 0.022), colours, low, high)


STROKES: dict[str, Painter] = {
    "Acrobot-v1": acrobot,
    "CartPole-v1": cartpole,
    "MountainCar-v0": mountain_car,
    "MountainCarContinuous-v0": mountain_car,
    "Pendulum-v1": pendulum,
}


def _hill(x: Array) -> Array:
    return jnp.sin(3 * x) * 0.45 + 0.55


def _on_hill(x: Array) -> Array:
    return jnp.stack([x, _hill(x)])


def _paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def _rgb(colours: str) -> np.ndarray:
    return np.stack([render.rgb(colour) for colour in colours.split()])
