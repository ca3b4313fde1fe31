"""Offline data sets as Minari's, in its own local store. Importing this file imports minari; `jaxrl.datasets` does it.

An episode that still runs where the data end is cut there, as by a limit; one whose beginning is not in the data begins
where they do. Observations with goals are dicts as in Gymnasium-Robotics, masks of actions are infos.
"""

from collections.abc import Iterator
from typing import Any

import jax
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

from jaxrl import host_spaces
from jaxrl.datasets import Dataset
from jaxrl.errors import UsageError
from jaxrl.export import seen_space, with_goal
from jaxrl.for_gymnasium import to_host, to_space
from jaxrl.types import Environment, Observation, Rollout, Transition, Tree

MASK = "action_mask"


def save(dataset_id: str, data: Rollout, env: Environment, description: str | None = None) -> Any:
    """Write steps [T, N, ...] that were played in `env` as Minari's data set `name-v0`; -> its MinariDataset."""
    if data.steps.reward.ndim != 2 or not np.all(data.steps.valid):
        raise UsageError("Minari's data sets are of one agent, and every step counts: expected valid steps [T, N]")
    seen, actions = seen_space(env), env.action_space
    try:
        return minari.create_dataset_from_buffers(
            dataset_id,
            [_episode(number, steps, seen, actions) for number, steps in enumerate(_episodes(data.steps))],
            observation_space=to_space(seen), action_space=to_space(actions), description=description,
            jpeg_encoding=False,
        )  # fmt: skip
    except (ValueError, AssertionError) as error:
        raise UsageError(f"{dataset_id}: Minari cannot write it: {str(error).splitlines()[0]}") from None


def load(dataset_id: str) -> Dataset:
    """Minari's data set as steps [T, 1, ...], one episode behind the other; the metadata are Minari's."""
    try:
        found = minari.load_dataset(dataset_id)
    except (ValueError, FileNotFoundError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{dataset_id}: no data set in Minari's local store ({reason})") from None
    layout = host_spaces.layout(found.observation_space, found.action_space)
    episodes = [_steps(layout, episode) for episode in found.iterate_episodes()]
    steps = jax.tree.map(lambda *parts: np.concatenate(parts)[:, None], *episodes)
    metadata = found.storage.metadata
    plain = {name: value for name, value in metadata.items() if isinstance(value, str | int | float | bool)}
    return Dataset(Rollout(steps, ()), plain)


def _episodes(steps: Transition) -> Iterator[Transition]:
    """Steps [T, N, ...] -> the episodes [length, ...] of row after row."""
    ended = np.asarray(steps.ended)
    for row in range(ended.shape[1]):
        ends = np.flatnonzero(ended[:, row]) + 1
        bounds = np.unique([0, *ends, len(ended)])
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            yield jax.tree.map(lambda x, row=row, b=begin, e=end: np.asarray(x)[b:e, row], steps)


def _episode(number: int, steps: Transition, seen: Tree, actions: Any) -> Any:
    obs = jax.tree.map(lambda x, last: np.concatenate([x, last[-1:]]), steps.obs, steps.next_obs)
    truncated = steps.truncated.copy()
    truncated[-1] |= not steps.terminated[-1]
    return EpisodeBuffer(
        id=number, observations=to_host(seen, with_goal(obs)), actions=to_host(actions, steps.action),
        rewards=list(steps.reward), terminations=list(steps.terminated), truncations=list(truncated),
        infos={} if obs.legal is None else {MASK: obs.legal.astype(np.int8)},
    )  # fmt: skip


def _steps(layout: host_spaces.Layout, episode: Any) -> Transition:
    obs: Observation = host_spaces.observed(layout, episode.observations)
    if MASK in episode.infos:
        obs = obs._replace(legal=host_spaces.to_mask(episode.infos[MASK]))
    length = len(episode.rewards)
    fields: Any = {
        "first": np.arange(length) == 0,
        "action": np.asarray(episode.actions, layout.action_space.dtype),
        "reward": np.asarray(episode.rewards, np.float32),
        "terminated": np.asarray(episode.terminations, bool),
        "truncated": np.asarray(episode.truncations, bool),
        "valid": np.ones(length, bool),
    }
    before, after = (jax.tree.map(lambda x, part=part: x[part], obs) for part in (slice(-1), slice(1, None)))
    return Transition(obs=before, next_obs=after, extras=(), **fields)
