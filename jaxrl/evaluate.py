"""Unbiased evaluation: a fixed number of whole episodes, one per row, whatever their lengths."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import trees
from jaxrl.errors import UsageError
from jaxrl.keys import inline
from jaxrl.loop import collect
from jaxrl.types import Agent, Array, Environment, Key, Tree
from jaxrl.vectorize import vectorize


class Episodes(NamedTuple):
    """E episodes; a measure is its value at the episode's end, an average that over its steps."""

    returns: Array  # float [E] (or [E, A])
    lengths: Array  # int32 [E]
    finished: Array  # bool [E]: its end was seen (max_steps is an end)
    measures: dict[str, Array]  # {name: [E]}
    averages: dict[str, Array]  # {name: [E]}


def evaluate(
    agent: Agent, env: Environment, num_episodes: int, max_steps: int | None = None, explore: bool = False
) -> Callable[..., Episodes]:
    """A function (key, agent_state, task=env.params) -> Episodes: the first episode of each of E rows, greedy.

    A row that has ended plays on, but only its first end counts: taking the first E ends of fewer rows would favour
    short episodes. The key alone decides the starts, so equal keys compare policies on common ones. The agent's state
    is only read.
    """
    limit = max_steps or env.max_steps
    if limit is None:
        raise UsageError("the environment has no time limit: give max_steps, or an episode might never end")
    venv = vectorize(env._replace(max_steps=min(limit, env.max_steps or limit)), num_episodes)
    roll = collect(agent, venv, 1)

    def read(info: dict[str, Array], finished: Array, before: Episodes | None = None) -> Episodes:
        measures = {name: value for name, value in info.items() if name not in ("episode_return", "episode_length")}
        length = info["episode_length"]
        each = jnp.maximum(length.reshape(num_episodes, -1)[:, 0], 1)

        def average(name: str, value: Array) -> Array:
            step = each.reshape(-1, *[1] * (value.ndim - 1))
            return value if before is None else before.averages[name] + (value - before.averages[name]) / step

        averages = {name: average(name, value.astype(jnp.float32)) for name, value in measures.items()}
        return Episodes(info["episode_return"], length, finished, measures, averages)

    def play(key: Key, agent_state: Any, task: Tree = env.params) -> Episodes:
        reset_key, play_key = jax.random.split(inline(key))
        state, timestep = venv.reset(reset_key, task)
        waiting = read(timestep.info, jnp.zeros(num_episodes, bool))

        def step(carry: Any) -> Any:
            steps, state, timestep, memory, episodes = carry
            step_key = jax.random.fold_in(play_key, steps)
            state, timestep, memory, rollout, info = roll(step_key, agent_state, state, timestep, memory, task, explore)
            ended = timestep.first.reshape(num_episodes, -1).all(-1)  # an episode ends for all its agents at once
            now = read({name: value[0] for name, value in info.items()}, ended, episodes)
            return steps + 1, state, timestep, memory, trees.where(episodes.finished, episodes, now)

        start = jnp.zeros((), jnp.int32), state, timestep, agent.begin(venv.num_rows), waiting
        *_, episodes = jax.lax.while_loop(lambda c: ~jnp.all(c[-1].finished) & (c[0] < limit), step, start)
        return episodes

    return play
