"""Films: what they show, what is written, and the command that makes them of a run."""

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageSequence

from jaxrl import envs, films
from jaxrl.command_line import main
from jaxrl.envs import render
from jaxrl.errors import UsageError
from jaxrl.types import Agent, Environment

LAYOUT = "S..S/..../...G"
WIDTH, PIXELS = 4, render.PIXELS
PATH_FROM = {0: [0, 1, 2, 3, 7, 11], 3: [3, 7, 11]}  # of a policy that goes right, and down in the last column


def walker() -> Agent:
    """An agent that goes right, and down in the last column; its state and memory are empty."""

    def act(state, key, carry, timestep, explore=True):  # type: ignore[no-untyped-def]
        assert explore is False
        return jnp.where(timestep.obs.features % WIDTH == WIDTH - 1, 2, 1), carry, ()

    return Agent(lambda key, timestep: (), lambda n: (), act, lambda state, key, rollout: (state, {}))


@pytest.fixture(scope="module")
def world() -> Environment:
    return envs.make("gridworld", layout=LAYOUT)


@pytest.fixture(scope="module")
def film(world: Environment) -> np.ndarray:
    return films.frames(walker(), world, (), 6, jax.random.key(0))


def cell(picture: np.ndarray) -> int:
    """The one cell whose middle has the agent's colour."""
    middles = picture[PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS]
    (place,) = np.flatnonzero((middles == render.rgb(render.AGENT[0])).all(-1))
    return int(place)


def episodes(cells: list[int]) -> list[list[int]]:
    """Cut after every goal."""
    ends = [i + 1 for i, place in enumerate(cells) if place == 11]
    return [cells[start:end] for start, end in zip([0, *ends], [*ends, len(cells)], strict=True) if start < end]


def test_a_film_shows_every_state_from_the_start_to_the_end(film: np.ndarray) -> None:
    assert film.dtype == np.uint8 and film.shape[1:] == (3 * PIXELS, WIDTH * PIXELS, 3)
    shown = episodes([cell(picture) for picture in film])
    assert len(shown) == 6 and {each[0] for each in shown} == {0, 3}
    assert all(each == PATH_FROM[each[0]] for each in shown)


def test_a_film_is_decided_by_its_key(world: Environment, film: np.ndarray) -> None:
    np.testing.assert_array_equal(films.frames(walker(), world, (), 6, jax.random.key(0)), film)
    others = [films.frames(walker(), world, (), 6, jax.random.key(seed)) for seed in (1, 2)]
    assert any(other.shape != film.shape or (other != film).any() for other in others)


def test_a_limit_cuts_every_episode(world: Environment) -> None:
    drawn = films.frames(walker(), world, (), 2, jax.random.key(0), max_steps=2)
    cells = [cell(picture) for picture in drawn]
    starts = [cells[0], cells[3]]
    assert len(drawn) == 6 and cells == [place for start in starts for place in PATH_FROM[start][:3]]
    longest = world._replace(max_steps=1)
    assert len(films.frames(walker(), longest, (), 2, jax.random.key(0), max_steps=50)) == 4


def read(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """The pictures of a GIF and the milliseconds that each is shown."""
    with Image.open(path) as image:
        shown = [(np.asarray(each.convert("RGB")), each.info["duration"]) for each in ImageSequence.Iterator(image)]
    return [picture for picture, _ in shown], [duration for _, duration in shown]


def test_a_gif_holds_the_very_pictures(film: np.ndarray, tmp_path: Path) -> None:
    films.write(film, tmp_path / "film.gif", fps=20)
    pictures, durations = read(tmp_path / "film.gif")
    np.testing.assert_array_equal(pictures, film)
    assert durations == [50] * len(film) and [path.name for path in tmp_path.iterdir()] == ["film.gif"]


def test_pictures_are_enlarged_and_still_ones_last(film: np.ndarray, tmp_path: Path) -> None:
    films.write(film[[0, 0, 0, 1]], tmp_path / "film.gif", fps=10, scale=3)
    pictures, durations = read(tmp_path / "film.gif")
    assert sum(durations) == 400 and durations[0] == 300
    np.testing.assert_array_equal(pictures, film[:2].repeat(3, 1).repeat(3, 2))


def test_an_mp4_is_written_where_an_encoder_is_installed(film: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    if importlib.util.find_spec("imageio_ffmpeg") is None and shutil.which("ffmpeg") is None:
        with pytest.raises(UsageError, match=r"no encoder is installed: pip install 'jaxrl\[video\]'"):
            films.write(film, path, fps=10)
        assert not path.exists()
        return
    films.write(film[:, :, :-1], path, fps=10)  # of an odd width
    assert path.read_bytes()[4:8] == b"ftyp" and list(tmp_path.iterdir()) == [path]
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return
    import imageio_ffmpeg

    data = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert b" 10 fps" in data.stderr
    shown = np.frombuffer(data.stdout, np.uint8).reshape(len(film), *film.shape[1:])[:, :, :-1].astype(int)
    kept = film[:, :, :-1].astype(int)
    errors = np.abs(shown[:, None] - kept[None]).mean((2, 3, 4))  # [shown, kept]
    assert errors.diagonal().max() < 8  # of 255: the codec loses a little
    same = (kept[:, None] == kept[None]).all((2, 3, 4))
    assert (errors.argmin(1) == same.argmax(1)).all() and not same.all()


def test_a_mp4_that_fails_leaves_what_was_there(
    film: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("an older film")
    monkeypatch.setattr(films, "_encoder", lambda: shutil.which("false"))
    with pytest.raises(UsageError, match="film.mp4 cannot be written: the encoder stopped"):
        films.write(film, path, fps=10)
    assert path.read_text() == "an older film" and list(tmp_path.iterdir()) == [path]


def test_without_an_encoder_the_hint_says_what_to_install(
    film: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"film.mp4: no encoder is installed: pip install 'jaxrl\[video\]'"):
        films.write(film, tmp_path / "film.mp4", fps=10)


@pytest.mark.parametrize("name", ["film.gif", "film.mp4"])
def test_a_place_that_cannot_be_written_is_refused(
    name: str, film: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "_encoder", lambda: shutil.which("false"))
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=f"{name} cannot be written"):
        films.write(film, tmp_path / name, fps=10)


def test_a_world_that_cannot_be_filmed_is_refused(world: Environment) -> None:
    with pytest.raises(UsageError, match="no render: expected one that has, such as gridworld, taxi") as caught:
        films.frames(walker(), world._replace(render=None), (), 1, jax.random.key(0))
    named = str(caught.value).partition("such as ")[2].split(", ")
    assert len(named) >= 5 and all(envs.make(name).render is not None for name in named)
    with pytest.raises(UsageError, match="no time limit: give max_steps"):
        films.frames(walker(), world._replace(max_steps=None), (), 1, jax.random.key(0))


def test_the_picture_of_the_suite_shows_worlds_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    pictures = importlib.import_module("pictures")
    assert 18 <= len(set(pictures.WORLDS)) == len(pictures.WORLDS) and set(pictures.WORLDS) <= set(envs.names())
    monkeypatch.setattr(pictures, "WORLDS", ("gridworld", "connect_four", "cliff_walking"))
    monkeypatch.setattr(sys, "argv", ["pictures.py", "--output", str(tmp_path / "docs" / "worlds.png")])
    pictures.main()
    with Image.open(tmp_path / "docs" / "worlds.png") as image:
        shown = {tuple(colour) for colour in np.asarray(image.convert("RGB")).reshape(-1, 3)}
    assert {render.COLOURS[colour] for colour in ("green", "blue", "red", "silver", "grey")} <= shown
    assert "![Worlds](docs/worlds.png)" in (Path(__file__).parents[1] / "README.md").read_text()


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two seeds that has learnt the way."""
    jax.devices()  # before a run of several seeds asks for several devices
    folder = tmp_path_factory.mktemp("films") / "run"
    options = ["--num-steps", "6400", "--num-envs", "8", "--rollout-length", "8", "--num-seeds", "2"]
    options += ["--environment.layout", LAYOUT, "--folder", str(folder), "--no-progress", "--epsilon", "0.5"]
    assert main(["train", "q_learning", "gridworld", *options]) == 0
    return folder


def test_record_films_the_trained_policy(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", str(run), "--episodes", "4"]) == 0
    pictures, durations = read(run / "film.gif")
    scale = films.SMALLEST // (WIDTH * PIXELS)
    shown = episodes([cell(picture[::scale, ::scale]) for picture in pictures])
    out = capsys.readouterr().out
    assert out == f"q_learning on gridworld: 4 episodes, {len(pictures)} pictures\n{run / 'film.gif'}\n"
    assert len(shown) == 4 and set(durations) == {100}
    assert [len(each) for each in shown] == [len(PATH_FROM[each[0]]) for each in shown]  # the shortest ways
    again, other = tmp_path / "again.gif", tmp_path / "other.gif"
    assert main(["record", str(run), "--episodes", "4", "--output", str(again)]) == 0
    assert again.read_bytes() == (run / "film.gif").read_bytes()
    options = ["--episodes", "9", "--seed", "5", "--fps", "50", "--max-steps", "1", "--output", str(other)]
    assert main(["record", str(run), *options]) == 0
    pictures, durations = read(other)
    assert sum(durations) == 9 * 2 * 20 and "9 episodes, 18 pictures" in capsys.readouterr().out


MISTAKES = {
    "nowhere: no such folder, expected the folder of a run": "nowhere",
    "film.avi: unknown kind of film '.avi', expected a name that ends in .gif or .mp4": "RUN --output film.avi",
    "film: unknown kind of film ''": "RUN --output film",
    "cannot be written: there is no folder nowhere": "RUN --output nowhere/film.gif",
    "fps is 51: expected a number from 1 to 50": "RUN --fps 51",
    "fps is 0: expected a number from 1 to 50": "RUN --fps 0",
    "episodes is 0: expected at least 1": "RUN --episodes 0",
    "seed is -1: expected at least 0": "RUN --seed -1",
    "max_steps is 0: expected at least 1": "RUN --max-steps 0",
    "unknown argument '--episode': did you mean --episodes": "RUN --episode 5",
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(
    message: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["record", *MISTAKES[message].replace("RUN", str(run)).split()]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("jaxrl: error: ") and message in err
    assert list(tmp_path.iterdir()) == []
