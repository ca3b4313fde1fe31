"""From two names to a trained, recorded agent: `train`, and `load` for what it left in a folder."""

import functools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxrl import agents, backend, checkpoint, envs, loop, presets, run, run_folder
from jaxrl.envs.registry import GYMNAX
from jaxrl.errors import UsageError
from jaxrl.policy import Policy
from jaxrl.progress import meter
from jaxrl.record import Record
from jaxrl.run_folder import Row
from jaxrl.settings import Settings, check, merge
from jaxrl.types import Agent, Environment, Key, Trainer, Tree
from jaxrl.vectorize import vectorize

if TYPE_CHECKING:
    import pandas

REPORTS = 200  # rows of metrics per seed, about: updates between two of them are averaged


class Parts(NamedTuple):
    """What settings stand for."""

    environment: Environment
    adapted: Environment  # the environment as the agent reads it
    agent: Agent
    trainer: Trainer  # over all seeds, where there are several


@dataclass(frozen=True)
class Result:
    """A trained agent: its settings, its state (leading axis S for several seeds), and what it reported on the way."""

    settings: Settings
    parts: Parts
    state: Tree
    rows: list[Row]
    folder: Path | None = None

    @functools.cached_property
    def metrics(self) -> "pandas.DataFrame":
        """One tidy table: a row per seed and report."""
        import pandas

        return pandas.DataFrame(self.rows)

    @functools.cached_property
    def policy(self) -> Policy:
        """The greedy policy; of the first seed, where there are several."""
        return self.policy_of(self.settings.seed)

    def policy_of(self, seed: int) -> Policy:
        """The greedy policy that a seed led to."""
        adapt = functools.partial(agents.adapt, self.settings.algorithm, network=self.settings.network)
        return Policy(self.parts.agent, self.parts.environment, adapt, self.agent_state(seed))

    def agent_state(self, seed: int) -> Tree:
        if seed not in self.settings.seeds:
            raise UsageError(f"no seed {seed} in this run: expected one of {self.settings.seeds}")
        index = seed - self.settings.seed
        return self.state.agent if self.settings.num_seeds == 1 else jax.tree.map(lambda x: x[index], self.state.agent)


def train(
    algorithm: str,
    environment: str,
    *,
    num_steps: int | None = None,
    num_envs: int | None = None,
    rollout_length: int | None = None,
    num_seeds: int | None = None,
    seed: int | None = None,
    config: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    curiosity: Mapping[str, Any] | None = None,
    team: Mapping[str, Any] | None = None,
    environment_options: Mapping[str, Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    save_seconds: float = 60.0,
) -> Result:
    """Train `algorithm` on `environment` and give back the trained state, the metrics and the policy.

    What is left out comes from the preset of the pair, else of the algorithm (`jaxrl.presets`). `num_steps` counts over
    all environments; seeds `seed .. seed + num_seeds - 1` train in one program. With `folder` the run is recorded
    there, its state saved every `save_seconds`; `resume` continues the run that the folder holds, to the same bits.
    """
    given = {
        "num_steps": num_steps, "num_envs": num_envs, "rollout_length": rollout_length, "num_seeds": num_seeds,
        "seed": seed, "config": config, "network": network, "curiosity": curiosity, "team": team,
        "environment_options": environment_options,
    }  # fmt: skip
    path = None if folder is None else Path(folder)
    settings = resolve(algorithm, environment, {k: v for k, v in given.items() if v is not None}, path, resume)
    backend.use_compilation_cache()
    backend.use_cores(settings.num_seeds)
    clock, parts = backend.CompileClock(), assemble(settings)
    # What does not fit together shows when it is traced; JAX keeps the trace, so compiling later costs no more.
    jax.eval_shape(parts.trainer.step, jax.eval_shape(parts.trainer.init, keys(settings)))
    with meter(settings.num_updates, settings.num_seeds, progress) as shown:
        record = Record(settings, path, shown, save_seconds)
        state = record.begin(parts.trainer, keys(settings))
        left = settings.num_updates - record.report.updates
        if left:
            chunk = math.ceil(settings.num_updates / REPORTS)
            state, _ = run.run(parts.trainer, state, left, chunk, [record])
            record.end(state, clock.seconds())
    return Result(settings, parts, state, record.rows, path)


def load(folder: str | os.PathLike[str]) -> Result:
    """The result of the run in a folder, as far as it was saved."""
    path = Path(folder)
    settings = run_folder.read_settings(path)
    parts = assemble(settings)
    state = checkpoint.load(path / run_folder.STATE, jax.eval_shape(parts.trainer.init, keys(settings)))
    updates = int(np.max(np.asarray(state.updates)))
    return Result(settings, parts, state, run_folder.read_rows(path, updates), path)


def resolve(
    algorithm: str, environment: str, options: dict[str, Any], folder: Path | None = None, resume: bool = False
) -> Settings:
    """Checked settings: options over the preset of the pair, or over those of the run that the folder holds."""
    short = {gymnax_id: name for name, gymnax_id in GYMNAX.items()}.get(environment, environment)
    names = {"algorithm": algorithm, "environment": short}
    if not resume:
        if folder:
            run_folder.check_free(folder)
        return check(merge(presets.preset(algorithm, short).values(), options | names))
    if folder is None:
        raise UsageError("resume needs the folder of the run to continue")
    settings = check(merge(run_folder.read_settings(folder).to_values(), options | names))
    run_folder.check_same(folder, settings)
    return settings


def assemble(settings: Settings) -> Parts:
    """The environment, agent and trainer of checked settings."""
    environment = envs.make(settings.environment, **settings.environment_options)
    adapted = agents.adapt(settings.algorithm, environment, settings.network)
    agent = agents.make(
        settings.algorithm, adapted, settings.network, settings.config, settings.curiosity, settings.team
    )
    trainer = loop.make_trainer(agent, vectorize(adapted, settings.num_envs), settings.rollout_length)
    return Parts(environment, adapted, agent, trainer if settings.num_seeds == 1 else run.seeds(trainer))


def keys(settings: Settings) -> Key:
    """The key of the seed, or keys [S]: a seed trains alike alone and among others."""
    every = jax.vmap(jax.random.key)(np.asarray(settings.seeds, np.uint32))
    return every[0] if settings.num_seeds == 1 else every
