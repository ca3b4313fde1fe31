"""The command `jaxrl`: train, eval, record, analyse, list. Nothing heavy is imported before it is known which."""

import contextlib
import dataclasses
import io
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand
from tyro.constructors import PrimitiveConstructorSpec

from jaxrl import __version__
from jaxrl.errors import UsageError, unknown


def _primitive(parse: Callable[[str], Any], metavar: str) -> PrimitiveConstructorSpec[Any]:
    return PrimitiveConstructorSpec(1, metavar, lambda words: parse(words[0]), lambda _: True, lambda x: [str(x)])


def _whole(text: str) -> int:
    try:
        number = float(text)  # 1e6 and 50_000 are fine
    except ValueError:
        number = math.nan
    if number.is_integer():
        return int(number)
    raise ValueError(f"expected a whole number, not {text!r}")


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number >= 0:
        return number
    raise ValueError(f"expected seconds, not {text!r}")


Whole = Annotated[int, _primitive(_whole, "INT")]
Seconds = Annotated[float, _primitive(_seconds, "SECONDS")]
MaybeWhole = Annotated[int | None, _primitive(_whole, "INT"), arg(help_behavior_hint="")]
MaybeName = Annotated[str | None, _primitive(str, "PATH"), arg(help_behavior_hint="")]
Flag = Annotated[FlagCreatePairsOff[bool], arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Train:
    """Train an agent and leave a run folder: settings, manifest, metrics, learning curve, trained state.

    Every field that `jaxrl list ALGORITHM` shows is an option too (--learning-rate 1e-3), and so is every option of
    the environment (--environment.max-steps 50). What is not given comes from the preset of the pair.
    """

    algorithm: Positional[Annotated[str, arg(metavar="ALGORITHM", help_behavior_hint="")]]
    """Its name, as `jaxrl list` shows it."""
    environment: Positional[Annotated[str, arg(metavar="ENVIRONMENT", help_behavior_hint="")]]
    """Its name, as `jaxrl list` shows it."""
    num_steps: MaybeWhole = None
    """Environment steps, over all environments."""
    num_envs: MaybeWhole = None
    """Environments that step together."""
    rollout_length: MaybeWhole = None
    """Steps of each environment between two updates."""
    num_seeds: MaybeWhole = None
    """Seeds that train side by side in one program (default: 1)."""
    seed: MaybeWhole = None
    """The first of the seeds (default: 0)."""
    folder: MaybeName = None
    """The run folder (default: runs/ALGORITHM-ENVIRONMENT-TIME)."""
    config: MaybeName = None
    """A YAML file of settings, such as the config.yaml of a run; options go before it."""
    resume: Flag = False
    """Continue the run in --folder from where it was last saved."""
    no_progress: Flag = False
    """Show no progress."""
    save_seconds: Seconds = 60.0
    """Save the training state this often."""


@dataclasses.dataclass(frozen=True)
class Eval:
    """Evaluate the greedy policy of a run: mean, standard deviation and 95 % confidence interval of the return."""

    run: Positional[Annotated[str, arg(metavar="RUN", help_behavior_hint="")]]
    """The folder of the run."""
    episodes: Whole = 100
    """Episodes of each trained seed, all from the same start states."""
    seed: Whole = 0
    """The seed of the start states."""
    max_steps: MaybeWhole = None
    """The longest episode (default: the environment's own limit)."""


@dataclasses.dataclass(frozen=True)
class Record:
    """Film the greedy policy of a run: a GIF, or an MP4 where an encoder is installed."""

    run: Positional[Annotated[str, arg(metavar="RUN", help_behavior_hint="")]]
    """The folder of the run; of several seeds the first is played."""
    episodes: Whole = 3
    """Episodes, one after the other."""
    seed: Whole = 0
    """The seed of the episodes."""
    fps: Whole = 10
    """Pictures per second."""
    output: MaybeName = None
    """The film, in .gif or .mp4 (default: film.gif in the folder of the run)."""
    max_steps: MaybeWhole = None
    """The longest episode (default: the environment's own limit)."""


@dataclasses.dataclass(frozen=True)
class Analyse:
    """Draw and describe what a run has learnt of its world: values, action gaps, a dueling network's streams.

    For agents that learn action values. A finite world is drawn as a map, any other by its greedy episodes.
    """

    run: Positional[Annotated[str, arg(metavar="RUN", help_behavior_hint="")]]
    """The folder of the run."""
    seed: MaybeWhole = None
    """Of several trained seeds, the one to look at (default: the first)."""
    output: MaybeName = None
    """The picture, in .png (default: analysis.png in the folder of the run)."""


@dataclasses.dataclass(frozen=True)
class List:
    """List the algorithms and environments, or what one of them is and takes."""

    name: Positional[Annotated[str | None, _primitive(str, "NAME"), arg(help_behavior_hint="")]] = None
    """An algorithm or an environment."""


COMMANDS = {"train": Train, "eval": Eval, "record": Record, "analyse": Analyse, "list": List}
AnyCommand: Any = (
    Annotated[Train, subcommand("train")]
    | Annotated[Eval, subcommand("eval")]
    | Annotated[Record, subcommand("record")]
    | Annotated[Analyse, subcommand("analyse")]
    | Annotated[List, subcommand("list")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command -> exit code: 0, 2 for a mistake in the arguments (one line says which), 130 for an interrupt."""
    try:
        return run(list(sys.argv[1:] if arguments is None else arguments))
    except UsageError as error:
        print(f"jaxrl: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxrl: interrupted", file=sys.stderr)
        return 130


def run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"jaxrl {__version__}")
        return 0
    command, rest = parse(arguments)
    if isinstance(command, Train):
        return train(command, rest)
    if isinstance(command, Record):
        return record(command)
    if isinstance(command, Analyse):
        return analyse(command)
    from jaxrl import reports

    if isinstance(command, Eval):
        print(reports.evaluation(command.run, command.episodes, command.seed, command.max_steps))
    else:
        print(reports.part(command.name) if command.name else reports.parts())
    return 0


def parse(arguments: list[str]) -> tuple[Train | Eval | Record | Analyse | List, list[str]]:
    """The command, and what train may take beyond its own options; tyro's box of an error becomes one line."""
    if not arguments:
        raise UsageError(f"expected a command: {', '.join(COMMANDS)} (jaxrl --help says more)")
    if not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            command, rest = tyro.cli(
                AnyCommand,
                prog="jaxrl",
                description="Reinforcement learning that reads like optax: train, evaluate, film and analyse agents.",
                args=arguments,
                return_unknown_args=True,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(one_line(errors.getvalue())) from None
    if rest and not isinstance(command, Train):
        raise unknown("argument", rest[0], [f"--{name.replace('_', '-')}" for name in options_of(type(command))])
    return command, rest


def options_of(command: type) -> list[str]:
    return [field.name for field in dataclasses.fields(command) if field.default is not dataclasses.MISSING]


def one_line(box: str) -> str:
    """The first paragraph of a framed error, as one line."""
    lines = [line.strip(" │") for line in box.splitlines()]
    text = [line for line in lines if not re.match("[╭╰]", line)]
    end = next((i for i, line in enumerate(text) if not line or line.startswith("─")), len(text))
    return " ".join(text[:end])


def train(command: Train, rest: list[str]) -> int:
    from jaxrl import overrides
    from jaxrl.settings import merge

    file = overrides.from_file(command.config, command.algorithm, command.environment) if command.config else {}
    own = ("num_steps", "num_envs", "rollout_length", "num_seeds", "seed")
    given = {name: getattr(command, name) for name in own if getattr(command, name) is not None}
    options = merge(file, given | overrides.from_options(rest, command.algorithm))
    if command.resume and not command.folder:
        raise UsageError("--resume needs the --folder of the run to continue")
    from jaxrl import backend, experiment, reports, run_folder

    folder = command.folder or run_folder.default_path(command.algorithm, command.environment)
    settings = experiment.resolve(command.algorithm, command.environment, options, Path(folder), command.resume)
    size = settings.steps_per_update, settings.num_seeds, settings.network.hidden
    backend.suit_small_updates(settings.environment, *size)
    backend.freeze_imports()
    result = experiment.train(
        command.algorithm,
        command.environment,
        **options,
        folder=folder,
        resume=command.resume,
        progress=not command.no_progress,
        save_seconds=command.save_seconds,
    )
    print(reports.training(result))
    return 0


def record(command: Record) -> int:
    from jaxrl import films

    options = command.episodes, command.seed, command.fps, command.output, command.max_steps
    print(films.record(command.run, *options))
    return 0


def analyse(command: Analyse) -> int:
    from jaxrl import analyse as analysis

    print(analysis.analyse(command.run, command.seed, command.output))
    return 0
