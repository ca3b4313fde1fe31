"""Claims about the methods, measured: `python benchmarks/studies.py [STUDY ...] [--seeds 10] [--first-seed 1000]`.

A study trains variants that differ in one thing, in one or more worlds, all seeds of a variant in one program. Each
seed's figures are kept: the return of the greedy policy after training, as `learning.py` plays it, and the mean return
while training, which is the height of the area under the learning curve. `report.py` makes a page of them.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import learning
import numpy as np
import records
import tasks

from jaxrl import networks
from jaxrl.agents import dqn, pqn

PLAYED, TRAINING = "return", "return while training"
ESTIMATE, OBTAINED, EXCESS = "estimated", "obtained", "over-estimation"


class Study(NamedTuple):
    """Variants of one algorithm in one world; rows of one name make up a study."""

    name: str
    algorithm: str
    environment: str
    num_steps: int
    options: dict[str, Any]  # what `jaxrl.train` is told for all of them
    variants: dict[str, dict[str, Any]]  # {name: what differs in the config}; all are compared with the first
    claim: tuple[str, str]  # of the others: a figure, and that it is "higher" or "lower" than the first one's
    probe: Callable[[Any], dict[str, list[float]]] | None = None  # more figures of a trained result, for each seed


# Figures


def played(study: Study, result: Any) -> list[float]:
    """For each seed, the return of the greedy policy: exactly, where the world is a table."""
    if result.parts.environment.model is not None:
        return learning.exact_scores(result)
    task = tasks.LearningTask(study.name, study.algorithm, study.environment, study.num_steps, math.nan, "", "")
    return learning.sampled_scores(task, result)


def while_training(rows: list[dict[str, Any]]) -> list[float]:
    """For each seed, the mean of its reported returns: the height of the area under its learning curve.

    A report in which no episode ended repeats the one before; those before a seed's first episode do not count.
    """
    heights: dict[int, list[float]] = {}
    for row in rows:
        seen, new = heights.setdefault(row["seed"], []), row["episode_return"]
        if np.isfinite(new) or seen:
            seen.append(new if np.isfinite(new) else seen[-1])
    return [float(np.mean(seen)) if seen else math.nan for _, seen in sorted(heights.items())]


def over_estimation(result: Any, num_rows: int = 64, num_steps: int = 500) -> dict[str, list[float]]:
    """For each seed, over the states of greedy play: the mean of max_a Q, of the discounted return, and their gap.

    Nothing cuts an episode here, since the estimate is of a world without a limit. Of the states of the first steps a
    return is summed to the episode's end or over 700 steps, which at a discount of 0.99 leave out less than 0.1 %.
    """
    from jaxrl import returns
    from jaxrl.analyse_values import action_values
    from jaxrl.loop import collect
    from jaxrl.vectorize import vectorize

    settings, (_, adapted, agent, _) = result.settings, result.parts
    evaluate = action_values(result, result.agent_state(settings.seed))
    venv = vectorize(adapted._replace(max_steps=None), num_rows)
    roll = collect(agent, venv, num_steps + 700)

    def measure(state: Any) -> tuple[jax.Array, jax.Array]:
        reset_key, key = jax.random.split(jax.random.key(learning.EVALUATION_SEED))
        env, timestep = venv.reset(reset_key, venv.params)
        *_, rollout, _ = roll(key, state, env, timestep, agent.begin(num_rows), venv.params, explore=False)
        steps, early = rollout.steps, slice(num_steps)
        estimated = evaluate(state, steps.obs, steps.first).max(-1)
        nothing = jnp.zeros_like(steps.reward)
        obtained = returns.lambda_returns(
            steps.reward, nothing, steps.terminated, steps.truncated, state.config.discount, trace_decay=1.0
        )
        return estimated[early].mean(), obtained[early].mean()

    play = jax.jit(measure)
    pairs = [tuple(map(float, play(result.agent_state(seed)))) for seed in settings.seeds]
    estimated, obtained = (list(each) for each in zip(*pairs, strict=True))
    return {ESTIMATE: estimated, OBTAINED: obtained, EXCESS: [a - b for a, b in pairs]}


# The table


def spelt_out(config: Any, **given: Any) -> dict[str, Any]:
    """Every value of a config, so that no preset has a say; the learning rate falls over the whole training."""
    return {name: value for name, value in (config._field_defaults | given).items() if name != "total_updates"}


def replay(environment_options: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """Options of a small DQN without any of its variants, and what its config is told."""
    given = {
        "buffer_size": 20_000, "batch_size": 64, "learning_rate": 2e-3, "gradient_steps": 0.25, "target_rate": 0.05,
        "huber_threshold": math.inf, "epsilon_steps": 5_000.0, "num_atoms": 21, "value_low": 0.0,
        "importance_updates": 5_000,
    } | config  # fmt: skip
    return {
        "num_envs": 8, "rollout_length": 1, "config": spelt_out(dqn.Config, **given),
        "network": networks.Settings((64, 64), "silu")._asdict(), "environment_options": environment_options or {},
    }  # fmt: skip


NOISY = {"noisy": True, "epsilon_start": 0.0, "epsilon_end": 0.0}
GREEDY_AT_TIMES = {name: replay()["config"][name] for name in NOISY}
PARTS = {"double": True, "dueling": True, "backup_steps": 3, "prioritized": True, "head": "categorical"} | NOISY
LEFT_OUT: dict[str, dict[str, Any]] = {
    "all six parts": {}, "without double": {"double": False}, "without dueling": {"dueling": False},
    "without multi-step": {"backup_steps": 1}, "without prioritised": {"prioritized": False},
    "without categorical": {"head": "expected"}, "without noisy": GREEDY_AT_TIMES,
}  # fmt: skip
SINGLE_OR_DOUBLE: dict[str, dict[str, Any]] = {"DQN": {}, "double DQN": {"double": True}}
STEPS: dict[str, dict[str, Any]] = {f"n = {n}": {"backup_steps": n} for n in (1, 2, 3, 5, 10)}
DECAYS: dict[str, dict[str, Any]] = {
    f"lambda = {decay}": {"trace_decay": decay} for decay in (0.0, 0.3, 0.65, 0.9, 1.0)
}
REPLAYED: dict[str, dict[str, Any]] = {"uniform": {}, "prioritised": {"prioritized": True}}
TARGETS: dict[str, dict[str, Any]] = {
    "no target network": {"target_rate": 1.0}, "average at rate 0.05": {"target_rate": 0.05},
    "average at rate 0.005": {"target_rate": 0.005},
    "copy every 100 updates": {"target_rate": 1.0, "target_period": 100},
}  # fmt: skip
PQN: dict[str, Any] = {
    "num_envs": 32, "rollout_length": 32,
    "config": spelt_out(pqn.Config, num_minibatches=8, learning_rate=1e-3),
    "network": networks.Settings((64, 64), "relu", normalisation="layer")._asdict(),
}  # fmt: skip
ROOMS = {"max_steps": 100}
COPIED: dict[str, Any] = {"target_rate": 1.0, "target_period": 25}
FASTER, BETTER, WORSE, LESS = (TRAINING, "higher"), (PLAYED, "higher"), (PLAYED, "lower"), (EXCESS, "lower")

STUDIES = (
    Study("rainbow-parts", "dqn", "cartpole", 20_000, replay(value_high=100.0, **PARTS), LEFT_OUT, WORSE),
    Study("rainbow-parts", "dqn", "four_rooms", 15_000, replay(ROOMS, value_high=1.0, **PARTS), LEFT_OUT, WORSE),
    Study("over-estimation", "dqn", "cartpole", 30_000, replay(**COPIED), SINGLE_OR_DOUBLE, LESS, over_estimation),
    Study("n-step", "dqn", "cartpole", 30_000, replay(), STEPS, FASTER),
    Study("n-step", "dqn", "four_rooms", 20_000, replay(ROOMS), STEPS, FASTER),
    Study("lambda", "pqn", "cartpole", 200_000, PQN, DECAYS, FASTER),
    Study("prioritised", "dqn", "cartpole", 30_000, replay(), REPLAYED, FASTER),
    Study("prioritised", "dqn", "four_rooms", 20_000, replay(ROOMS), REPLAYED, FASTER),
    Study("target-network", "dqn", "cartpole", 30_000, replay(), TARGETS, BETTER, over_estimation),
)


# Running


def options(study: Study, variant: str) -> dict[str, Any]:
    """What `jaxrl.train` is told."""
    return study.options | {"config": study.options["config"] | study.variants[variant]}


def run(study: Study, variant: str, num_seeds: int, first_seed: int) -> dict[str, Any]:
    """Train and score: the line of a variant."""
    import jaxrl

    begin = time.perf_counter()
    result = jaxrl.train(
        study.algorithm, study.environment, num_steps=study.num_steps, num_seeds=num_seeds, seed=first_seed,
        progress=False, **options(study, variant),
    )  # fmt: skip
    figures = {PLAYED: played(study, result), TRAINING: while_training(result.rows)}
    settings = result.settings
    return {
        "study": study.name, "environment": study.environment, "variant": variant, "algorithm": study.algorithm,
        "num_steps": settings.num_updates * settings.steps_per_update, "first_seed": first_seed,
        "num_seeds": num_seeds, "figures": figures | (study.probe(result) if study.probe else {}),
        "curve": learning.learning_curve(result.rows), "wall_seconds": time.perf_counter() - begin,
        "settings": settings.to_yaml(), "config_hash": settings.hash(),
    }  # fmt: skip


def row(line: dict[str, Any]) -> list[str]:
    """A line of the printed table."""
    figures = [f"{np.mean(line['figures'][name]):.4g}" if name in line["figures"] else "" for name in HEADS[4:-1]]
    names = [line["study"], line["environment"], line["variant"], f"{line['num_steps']:,} x {line['num_seeds']}"]
    return [*names, *figures, f"{line['wall_seconds']:.0f}"]


HEADS = ("study", "world", "variant", "steps x seeds", PLAYED, TRAINING, ESTIMATE, OBTAINED, EXCESS, "wall s")


def main() -> None:
    named: dict[str, list[Study]] = {}
    for study in STUDIES:
        named.setdefault(study.name, []).append(study)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(named))
    parser.add_argument("--seeds", type=int, default=tasks.SEEDS)
    parser.add_argument("--first-seed", type=int, default=tasks.FIRST_SEED, help="tune on seeds below the default one")
    parser.add_argument("--results", type=Path, default=records.RESULTS / "studies.jsonl")
    arguments = parser.parse_args()
    rows = []
    for study in (each for worlds in records.choose(named, arguments.studies) for each in worlds):
        for variant in study.variants:
            line = run(study, variant, arguments.seeds, arguments.first_seed)
            records.append(arguments.results, line | records.stamp())
            rows.append(row(line))
            print(" | ".join(rows[-1]), file=sys.stderr)
    print(records.table(HEADS, rows))


if __name__ == "__main__":
    main()
