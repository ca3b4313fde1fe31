"""The README's picture of the suite: `python benchmarks/pictures.py [--output docs/worlds.png]`.

Each world is shown as its own `render` draws it, some random steps after a start.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from jaxrl import envs
from jaxrl.envs.check_walk import wander
from jaxrl.types import Environment, Key

OUTPUT = Path(__file__).parents[1] / "docs" / "worlds.png"
COLUMNS = 6
WORLDS = (
    "gridworld", "frozen_lake", "cliff_walking", "taxi", "dyna_maze", "four_rooms",
    "minigrid_door_key", "minigrid_four_rooms", "minigrid_key_corridor", "minigrid_multi_room",
    "minigrid_lava_crossing", "minigrid_dynamic_obstacles",
    "simple_spread", "simple_tag", "pursuit", "level_based_foraging", "commons", "connect_four",
    "cartpole", "acrobot", "pendulum", "mountain_car", "breakout", "space_invaders",
)  # fmt: skip
STEPS = {"connect_four": 20}  # before its picture; others take 12


def picture(env: Environment, key: Key, num_steps: int) -> np.ndarray:
    """uint8 [H, W, 3]: the world after that many random steps."""

    render = env.render
    assert render is not None

    def draw(key: Key) -> jax.Array:
        states = wander(env, key, env.params, num_steps, 1).after[0]
        return render(jax.tree.map(lambda leaf: leaf[-1, 0], states), env.params)

    return np.asarray(jax.jit(draw, compiler_options={"xla_backend_optimization_level": 0})(key))


def framed(picture: np.ndarray) -> np.ndarray:
    """The picture with a thin line around it, in the middle of a white square."""
    line = max(1, max(picture.shape[:2]) // 100)
    picture = np.pad(picture, ((line, line), (line, line), (0, 0)), constant_values=160)
    side = max(picture.shape[:2])
    margins = [((side - length) // 2, side - length - (side - length) // 2) for length in picture.shape[:2]]
    return np.pad(picture, (*margins, (0, 0)), constant_values=255)


def save(pictures: Mapping[str, np.ndarray], path: Path) -> None:
    """All pictures with their names, in rows of six."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(pictures) / COLUMNS)
    figure = Figure(figsize=(1.9 * COLUMNS, 2.05 * rows), layout="constrained")
    for place, axes in enumerate(figure.subplots(rows, COLUMNS, squeeze=False).flat):
        axes.set_axis_off()
        if place < len(pictures):
            name = list(pictures)[place]
            axes.imshow(framed(pictures[name]), interpolation="antialiased")
            axes.set_title(name, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output = parser.parse_args().output
    save({name: picture(envs.make(name), jax.random.key(1), STEPS.get(name, 12)) for name in WORLDS}, output)
    print(output)


if __name__ == "__main__":
    main()
