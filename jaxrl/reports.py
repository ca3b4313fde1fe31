"""What the commands print: a finished training, an evaluation, the lists of parts."""

import inspect
import math
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxrl import agents, backend, envs, experiment, networks, presets, statistics, suites
from jaxrl.agents import ALGORITHMS, curiosity, teams
from jaxrl.envs.registry import CONSTRUCTORS, GYMNAX
from jaxrl.errors import at_least, unknown
from jaxrl.evaluate import Episodes, evaluate
from jaxrl.record import recent_return


def training(result: experiment.Result) -> str:
    """What was trained, how it went and where it is."""
    settings, last = result.settings, result.rows[-1]
    seeds = f" with each of {settings.num_seeds} seeds" if settings.num_seeds > 1 else ""
    mean = _number(recent_return(result.rows, settings.num_seeds))
    lines = [
        f"trained {settings.algorithm} on {settings.environment} for {last['env_steps']:,} steps "
        f"({last['updates']:,} updates){seeds}: mean return of late {mean}"
    ]
    return "\n".join([*lines, f"{result.folder}  (jaxrl eval {result.folder})"] if result.folder else lines)


def evaluation(folder: str, num_episodes: int, seed: int, max_steps: int | None) -> str:
    """The greedy returns of a run: per seed, and over seeds where there are several."""
    at_least("episodes", num_episodes, 1)
    at_least("seed", seed, 0)
    at_least("max_steps", max_steps, 1)
    backend.use_compilation_cache()
    result = experiment.load(folder)
    episodes = play(result, num_episodes, seed, max_steps)
    settings, steps = result.settings, int(np.max(np.asarray(result.state.updates))) * result.settings.steps_per_update
    returns = np.asarray(episodes.returns, float).reshape(settings.num_seeds, num_episodes, -1).sum(-1)
    rows = [[str(seed), *_summary(each)] for seed, each in zip(settings.seeds, returns, strict=True)]
    lines = [
        f"{settings.algorithm} on {settings.environment} after {steps:,} steps: return of the greedy policy over "
        f"{num_episodes} episodes{' a seed' if settings.num_seeds > 1 else ''}"
    ]
    lines += table([["seed", "mean", "standard deviation", "95 % interval"], *rows])
    if settings.num_seeds > 1:
        means = returns.mean(1)
        low, high = statistics.bootstrap_interval(means)
        lines.append(
            f"over {len(means)} seeds: mean {_number(means.mean())}, standard deviation {_number(means.std(ddof=1))}, "
            f"95 % interval {_interval(low, high)}, interquartile mean {_number(statistics.interquartile_mean(means))}"
        )
    lines += [f"{name}: mean {_number(np.mean(value))}" for name, value in episodes.measures.items()]
    unfinished = int(np.sum(~np.asarray(episodes.finished)))
    return "\n".join([*lines, f"{unfinished} episodes were cut off before their end"] if unfinished else lines)


def play(result: experiment.Result, num_episodes: int, seed: int, max_steps: int | None = None) -> Episodes:
    """Greedy episodes [S, E] of every trained seed, from common start states."""
    run = evaluate(result.parts.agent, result.parts.adapted, num_episodes, max_steps)
    num_seeds, state = result.settings.num_seeds, result.state.agent
    states = jax.tree.map(lambda x: x[None], state) if num_seeds == 1 else state
    keys = jax.numpy.stack([jax.random.key(seed)] * num_seeds)
    return jax.jit(jax.vmap(run))(keys, states)


def parts() -> str:
    """Every algorithm and environment, a line each."""
    algorithms = [[f"  {name}", _about(name)] for name in agents.names()]
    worlds = [[f"  {name}", GYMNAX.get(name) or _first_line(CONSTRUCTORS[name].__doc__)] for name in envs.names()]
    others = [[f"  {name}:NAME", each.about] for name, each in suites.SUITES.items()]
    hint = "`jaxrl list NAME` shows the options of one of them"
    lines = ["algorithms", *table(algorithms), "", "environments", *table(worlds), ""]
    return "\n".join([*lines, "environments of suites that are installed", *table(others), "", hint])


def part(name: str) -> str:
    """What one algorithm or environment is and takes."""
    if name in ALGORITHMS:
        return _algorithm(name)
    if name in CONSTRUCTORS or name in GYMNAX.values() or suites.is_suite_name(name):
        return _environment(name)
    raise unknown("algorithm or environment", name, [*agents.names(), *envs.names()])


def _algorithm(name: str) -> str:
    rows = [
        [f"  {world or 'any other'}", f"{row.num_steps:,} steps", f"{row.num_envs} x {row.rollout_length}", row.source]
        for (algorithm, world), row in presets.PRESETS.items()
        if algorithm == name
    ]
    options = table(_fields(agents.default_config(name))) or ["  none"]
    network = ["options of the network", *table(_fields(networks.Settings()))]
    bonus = ["options of curiosity", *table(_fields(curiosity.Config(), "curiosity."))]
    team = ["options of a team", *table(_fields(teams.Config(), "team."))]
    lines = [_about(name), "", "options (type, default)", *options, "", *network, "", *bonus, "", *team]
    return "\n".join([*lines, "", "presets (environments x steps of a rollout)", *table(rows)])


def _environment(name: str) -> str:
    environment = envs.make(name)
    constructor = CONSTRUCTORS.get(name)
    lines = [(_first_line(constructor.__doc__) if constructor else "") or GYMNAX.get(name, name)]
    facts: list[list[str]] = [
        ["  observations", str(environment.observation_space)],
        ["  actions", str(environment.action_space)],
        ["  longest episode", str(environment.max_steps or "no limit")],
    ]
    lines += table(facts)
    if constructor and name not in GYMNAX:
        parameters = inspect.signature(constructor).parameters.values()
        rows = [[f"  --environment.{_dashed(each.name)}", repr(each.default)] for each in parameters]
        lines += ["", "options (default)", *(table(rows) or ["  none"])]
    return "\n".join(lines)


def _fields(defaults: Any, prefix: str = "") -> list[list[str]]:
    hints = type(defaults).__annotations__
    return [
        [f"  --{prefix}{_dashed(name)}", getattr(hints[name], "__name__", str(hints[name])), _plain(value)]
        for name, value in defaults._asdict().items()
    ]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _summary(returns: np.ndarray) -> list[str]:
    """Mean, standard deviation and Student's 95 % interval of the mean, from returns [E]."""
    if len(returns) < 2:
        return [_number(returns.mean()), "-", "-"]
    from scipy.stats import t

    mean, deviation = returns.mean(), returns.std(ddof=1)
    half = t.ppf(0.975, len(returns) - 1) * deviation / math.sqrt(len(returns))
    return [_number(mean), _number(deviation), _interval(mean - half, mean + half)]


def _interval(low: Any, high: Any) -> str:
    return f"[{_number(low)}, {_number(high)}]"


def _number(value: Any) -> str:
    return f"{float(value):.3f}"


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _about(algorithm: str) -> str:
    chosen = ALGORITHMS[algorithm]
    return chosen.about or _first_line(sys.modules[chosen.config.__module__].__doc__)


def _first_line(text: str | None) -> str:
    return next(iter((text or "").strip().splitlines()), "")
