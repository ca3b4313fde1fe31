"""What an agent that learns action values has learnt: maps of values, action gaps, a dueling network's streams."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl import backend, experiment, plots, reports
from jaxrl.analyse_states import EPISODES, States, all_states, episode_states
from jaxrl.analyse_values import OTHER, action_values
from jaxrl.checkpoint import write_atomically
from jaxrl.errors import UsageError

SMALL_GAP = 0.01  # of the range of the values


class Streams(NamedTuple):
    """A dueling network's two streams in M states, as far as they act on its values."""

    value: np.ndarray  # float [M]
    advantage: np.ndarray  # float [M, A]: over the mean (or over the best) action


def streams(values: np.ndarray, aggregation: str) -> Streams:
    """values [M, A] of a dueling network -> its streams, which what joins them keeps apart (Wang et al. 2016).

    Joined by the mean, the value stream is the mean of the action values; by the max, their maximum. The advantage
    stream is the rest, but for a number per state that cancels out. (Where the streams are of logits, the same is read
    off the values that those stand for.)
    """
    value = values.mean(-1) if aggregation == "mean" else values.max(-1)
    return Streams(value, values - value[:, None])


def _layout(states: States) -> Any:
    """(title, data [M], arrows=None) -> a panel: over the map, the states' numbers, or two telling features."""
    if states.cells is not None:
        return lambda title, data, arrows=None: plots.heat_map(title, states.cells, data, arrows)
    if states.episodes is None:
        return lambda title, data, arrows=None: plots.curves(title, "state", [data])
    pair = telling(states.features, states.best)
    labels = f"feature {pair[0]}", f"feature {pair[1]}"
    return lambda title, data, arrows=None: plots.scatter(title, labels, states.features[:, pair], data)


def telling(features: np.ndarray, values: np.ndarray) -> list[int]:
    """The indices, in order, of the two features [M, F] that go up or down with values [M] most closely."""
    centred, wanted = features - features.mean(0), values - values.mean()
    scale = np.sqrt((centred**2).sum(0) * (wanted**2).sum())
    strength = np.abs(centred.T @ wanted) / np.where(scale > 0, scale, np.inf)
    return sorted(np.argsort(-strength, kind="stable")[:2].tolist()) if features.shape[1] > 1 else [0, 0]


def panels(states: States, dueling: str | None) -> list[plots.Panel]:
    """What is drawn, row by row."""
    over = _layout(states)
    gaps = states.gaps
    drawn = [over("value of the greedy action", states.best, states.arrows)]
    if not np.isnan(gaps).all():
        drawn.append(over("action gap: best minus second best", gaps))
        drawn.append(plots.histogram("action gaps", "gap", {"gap": gaps[~np.isnan(gaps)]}))
    if states.episodes is not None:
        each = [states.best[states.episodes == number] for number in np.unique(states.episodes)]
        drawn.append(plots.curves("value along each greedy episode", "step", each))
    if states.optimal is not None:
        drawn.append(over("learnt minus exact value", states.best - np.nanmax(states.optimal, -1)))
        known = ~np.isnan(states.values)
        pairs = np.stack([states.optimal[known], states.values[known]], -1)
        drawn.append(plots.scatter("action values", ("exact", "learnt"), pairs))
    if dueling is not None and states.joined is not None:
        parts, rest = streams(states.values, dueling), OTHER[dueling]
        sample = {f"action {a}": column for a, column in enumerate(parts.advantage.T)}
        drawn += [
            over("value stream", parts.value),
            over("advantage stream: greatest minus least", np.ptp(parts.advantage, -1)),
            plots.histogram("advantage stream", "advantage", sample),
            over(f"values joined by the {rest} minus by the {dueling}", (states.joined - states.values).mean(-1)),
            plots.scatter(
                "action values", (f"joined by the {dueling}", f"by the {rest}"),
                np.stack([states.values.ravel(), states.joined.ravel()], -1),
            ),
        ]  # fmt: skip
    return drawn


def figures(states: States, dueling: str | None) -> list[list[str]]:
    """The rows of the printed table."""
    best, gaps = states.best, states.gaps[~np.isnan(states.gaps)]
    threshold = SMALL_GAP * (np.nanmax(states.values) - np.nanmin(states.values))
    rows = [
        ["states", str(len(best))],
        ["value of the greedy action", f"mean {best.mean():.4g}, from {best.min():.4g} to {best.max():.4g}"],
    ]
    if len(gaps):
        share = f"{np.mean(gaps < threshold):.1%} are below {threshold:.3g}, 1 % of the range of the values"
        rows.append(["action gap", f"mean {gaps.mean():.4g}, median {np.median(gaps):.4g}; {share}"])
    if states.optimal is not None:
        error = (states.values - states.optimal)[~np.isnan(states.values)]
        chosen = states.optimal[np.arange(len(best)), np.nanargmax(states.values, -1)]
        right = np.mean(chosen >= np.nanmax(states.optimal, -1) - 1e-6)
        rows.append(["error of the action values", f"root mean square {np.sqrt(np.mean(error**2)):.4g}, "
                     f"greatest {np.abs(error).max():.4g}, beside the exact optimal ones"])  # fmt: skip
        rows.append(["greedy action is optimal", f"in {right:.1%} of the states"])
    if dueling is not None and states.joined is not None:
        parts, shift = streams(states.values, dueling), np.abs(states.joined - states.values)
        rows.append(["value stream", f"mean {parts.value.mean():.4g}, deviation {parts.value.std():.4g}"])
        rows.append(["advantage stream", f"deviation {parts.advantage.std():.4g}"])
        rows.append([f"joined by the {OTHER[dueling]}",
                     f"values move by {shift.mean():.4g} in the mean, {shift.max():.4g} at most"])  # fmt: skip
    return rows


def analyse(folder: str, seed: int | None, output: str | None) -> str:
    """Draw and describe what one seed of a run has learnt -> what was found, and where the picture is."""
    path = Path(output) if output else Path(folder, "analysis.png")
    if path.suffix != ".png":
        raise UsageError(f"{path}: unknown kind of picture {path.suffix!r}, expected a name that ends in .png")
    backend.use_compilation_cache()
    result = experiment.load(folder)
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    settings = result.settings
    seed = settings.seed if seed is None else seed
    state = result.agent_state(seed)
    action_values(result, state)  # refuses an agent without any, before anything is computed
    states = all_states(result, state) or episode_states(result, state, jax.random.key(seed))
    streamed = states.joined is not None and not np.isnan(states.values).any()
    dueling = settings.config.aggregation if streamed else None
    title = f"{settings.algorithm} on {settings.environment}, seed {seed}"
    try:
        with write_atomically(path) as file:
            plots.page(file, title, panels(states, dueling))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
    whole = "all states that can be met" if states.episodes is None else f"states of {EPISODES} greedy episodes"
    return "\n".join([f"{title}: {whole}", *reports.table(figures(states, dueling)), str(path)])
