"""The host side of training: one compiled chunk of updates at a time, with hooks that look in between."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.errors import UsageError
from jaxrl.statistics import Mean
from jaxrl.types import Trainer, TrainState

Metrics = dict[str, Mean]  # leaves [updates, ...] on the host
Hook = Callable[[int, TrainState, Metrics], None]  # (environment steps so far, state, metrics of the last chunk)

_LARGE = 4096  # environment steps per update; PPO on 64 x 128 runs 1.2 times as fast than under vmap


def seeds(trainer: Trainer) -> Trainer:
    """Many seeds as one trainer: init takes keys [S]; state and metrics get a leading axis S.

    Seeds are spread over the local devices, one shard each without any collective, as far as S divides. Within a shard
    they are vmapped, or, where one update is large enough to fill a CPU's cache, trained one after another.
    """

    def spread(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(argument: Any) -> Any:
            num_seeds, devices = jax.tree.leaves(argument)[0].shape[0], jax.local_devices()
            count = max(n for n in range(1, len(devices) + 1) if num_seeds % n == 0)
            large = devices[0].platform == "cpu" and trainer.steps_per_update >= _LARGE
            mapped = functools.partial(jax.lax.map, function) if large else jax.vmap(function)
            if count == 1:
                return mapped(argument)
            mesh = jax.make_mesh((count,), ("seed",), (jax.sharding.AxisType.Auto,), devices=devices[:count])
            spec = jax.sharding.PartitionSpec("seed")
            return jax.shard_map(mapped, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(argument)

        return run

    return Trainer(spread(trainer.init), spread(trainer.step), trainer.steps_per_update)


def run(
    trainer: Trainer, state: TrainState, num_updates: int, chunk: int | None = None, hooks: Sequence[Hook] = ()
) -> tuple[TrainState, Metrics]:
    """Train for num_updates from state, which is consumed (donated) -> (state, metrics [num_updates, ...]).

    Between chunks every hook is called as hook(env_steps, state, metrics); it copies what it keeps to the host.
    Hooks only look, so training is bit-identical with and without them, and for every size of chunk.
    """
    if num_updates < 1:
        raise UsageError(f"num_updates is {num_updates}, expected at least 1")
    chunk = min(chunk or num_updates, num_updates)
    advance, done = compile_chunk(trainer, chunk), 0
    history: list[Metrics] = []
    while done < num_updates:
        count = min(chunk, num_updates - done)
        state, metrics = advance(state, count)
        history.append(jax.tree.map(lambda x: np.asarray(x)[:count], metrics))  # noqa: B023 (used at once)
        done += count
        env_steps = int(np.max(np.asarray(state.updates))) * trainer.steps_per_update
        for hook in hooks:
            hook(env_steps, state, history[-1])
    return state, jax.tree.map(lambda *parts: np.concatenate(parts), *history)


def compile_chunk(trainer: Trainer, chunk: int) -> Callable[[TrainState, int], tuple[TrainState, Metrics]]:
    """A jitted function that makes up to `chunk` updates; how many is traced, so that it is compiled once."""

    step = jax.jit(trainer.step)  # traced once for the shapes and for the loop

    def advance(state: TrainState, count: int) -> tuple[TrainState, Metrics]:
        shapes = jax.eval_shape(step, state)[1]
        empty = jax.tree.map(lambda leaf: jnp.zeros((chunk, *leaf.shape), leaf.dtype), shapes)

        def update(i: Any, both: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            state, metrics = step(both[0])
            return state, jax.tree.map(lambda all_, new: all_.at[i].set(new), both[1], metrics)

        return jax.lax.fori_loop(0, count, update, (state, empty))

    return jax.jit(advance, donate_argnums=0)
