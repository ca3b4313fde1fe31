"""Films of a policy: its greedy episodes as pictures [T, H, W, 3], written as a GIF or, with an encoder, as an MP4."""

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import backend, experiment
from jaxrl.checkpoint import write_atomically
from jaxrl.errors import UsageError, at_least, within
from jaxrl.loop import collect
from jaxrl.types import Agent, Environment, Key, Tree
from jaxrl.vectorize import vectorize

FASTEST = {".gif": 50, ".mp4": 240}  # pictures per second; viewers slow a GIF down that is faster
DRAWN = ("gridworld", "taxi", "minigrid_door_key", "simple_spread", "cartpole", "breakout")  # for instance
SMALLEST = 320  # pixels of a film's longer side: smaller pictures are enlarged


def frames(
    agent: Agent, env: Environment, agent_state: Tree, num_episodes: int, key: Key, max_steps: int | None = None
) -> np.ndarray:
    """uint8 [T, H, W, 3]: greedy episodes one after the other, each from its first state to the one that ended it."""
    limits = [limit for limit in (max_steps, env.max_steps) if limit is not None]
    render = env.render
    if render is None:
        raise UsageError(f"this world has no render: expected one that has, such as {', '.join(DRAWN)}")
    if not limits:
        raise UsageError("the environment has no time limit: give max_steps, or an episode might never end")
    states, ended = jax.jit(_rollout(agent, env, num_episodes, min(limits)))(key, agent_state)
    lengths = np.argmax(ended, 0) + 1  # the first end of each row
    steps = np.concatenate([np.arange(length + 1) for length in lengths])
    episodes = np.repeat(np.arange(num_episodes), lengths + 1)

    def draw(states: Tree, params: Tree) -> Any:
        shown = jax.tree.map(lambda leaf: leaf[steps, episodes], states)
        return jax.lax.map(lambda state: render(state, params), shown)

    return np.asarray(jax.jit(draw)(states, env.params))


def _rollout(agent: Agent, env: Environment, num_episodes: int, limit: int) -> Any:
    """(key, agent_state) -> the states [1 + T, E, ...] of E rows, the start first, and where they ended, bool [T, E].

    The states come as a measure, because that is what `vectorize` reads off before it resets.
    """
    venv = vectorize(env._replace(max_steps=limit, measure=lambda state, params: {"state": state}), num_episodes)
    roll = collect(agent, venv, limit)

    def rollout(key: Key, agent_state: Tree) -> Any:
        reset_key, play_key = jax.random.split(key)
        state, timestep = venv.reset(reset_key, env.params)
        memory = agent.begin(venv.num_rows)
        *_, rollout, info = roll(play_key, agent_state, state, timestep, memory, env.params, False)
        states = jax.tree.map(
            lambda first, later: jnp.concatenate([first[None], later]), timestep.info["state"], info["state"]
        )
        return states, rollout.steps.ended.reshape(limit, num_episodes, -1).all(-1)

    return rollout


def write(pictures: np.ndarray, path: str | os.PathLike[str], fps: int, scale: int = 1) -> None:
    """Pictures uint8 [T, H, W, 3] as a film of that many a second, each pixel `scale` pixels wide and high."""
    path = Path(path)
    check_file(path, fps)
    enlarged = (picture.repeat(scale, 0).repeat(scale, 1) for picture in pictures)
    try:
        (_write_gif if path.suffix == ".gif" else _write_mp4)(enlarged, path, fps)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def check_file(path: Path, fps: int) -> None:
    """Refuse a kind of file that cannot be written here, or a speed that it cannot have."""
    if path.suffix not in FASTEST:
        raise UsageError(f"{path}: unknown kind of film {path.suffix!r}, expected a name that ends in .gif or .mp4")
    within("fps", fps, 1, FASTEST[path.suffix])
    if path.suffix == ".mp4" and _encoder() is None:
        raise UsageError(f"{path}: no encoder is installed: pip install 'jaxrl[video]', or choose a name in .gif")


def _encoder() -> str | None:
    """The program ffmpeg: the one that imageio-ffmpeg brings, or else the system's."""
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):  # the second where the package came without the program
        return shutil.which("ffmpeg")


def _write_gif(pictures: Iterator[np.ndarray], path: Path, fps: int) -> None:
    from PIL import Image

    images = (Image.fromarray(picture) for picture in pictures)
    milliseconds = 10 * round(100 / fps)  # a GIF counts in hundredths of a second
    with write_atomically(path) as file:
        next(images).save(file, "GIF", save_all=True, append_images=images, duration=milliseconds, loop=0)


def _write_mp4(pictures: Iterator[np.ndarray], path: Path, fps: int) -> None:
    first = next(pictures)
    part = path.absolute().with_name(f".{path.stem}.part.mp4")
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{first.shape[1]}x{first.shape[0]}", "-r", str(fps), "-i", "-"]
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-pix_fmt", "yuv420p"]  # what all players take
    command = [_encoder() or "ffmpeg", "-y", "-loglevel", "error", *raw, *even, str(part)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # an encoder that stops says why
            for picture in itertools.chain([first], pictures):
                process.stdin.write(picture.tobytes())
        said = process.communicate()[1].decode(errors="replace").strip()
        if process.returncode:
            raise OSError(f"the encoder stopped ({said.splitlines()[-1] if said else process.returncode})")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def record(folder: str, num_episodes: int, seed: int, fps: int, output: str | None, max_steps: int | None) -> str:
    """Film the greedy policy of a run, of its first seed -> what was filmed, and where it is."""
    path = Path(output) if output else Path(folder, "film.gif")
    at_least("episodes", num_episodes, 1)
    at_least("seed", seed, 0)
    at_least("max_steps", max_steps, 1)
    check_file(path, fps)
    backend.use_compilation_cache()
    result = experiment.load(folder)
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    settings, parts = result.settings, result.parts
    state = result.agent_state(settings.seed)
    pictures = frames(parts.agent, parts.adapted, state, num_episodes, jax.random.key(seed), max_steps)
    write(pictures, path, fps, max(1, SMALLEST // max(pictures.shape[1:3])))
    episodes = f"{num_episodes} episode{'s' if num_episodes > 1 else ''}"
    return f"{settings.algorithm} on {settings.environment}: {episodes}, {len(pictures):,} pictures\n{path}"
