"""Learning bars: `python benchmarks/learning.py [TASK ...] [--seeds 10] [--first-seed 1000] [--results FILE]`.

All seeds of a task train in one program with its preset. Then the greedy policy of each plays the task's episodes,
from start states that all seeds share, or, where the environment is a table, its value is computed exactly. A mean is
judged by the unfavourable end of its 95 % bootstrap interval over seeds.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import records
import tasks
from tasks import LearningTask

from jaxrl import statistics

HORIZON = 1_000  # of an evaluation where the environment has no limit of its own
POINTS = 50  # of a learning curve
EVALUATION_SEED = 2_000_000_011  # no training seed


def judge(task: LearningTask, scores: Any) -> dict[str, Any]:
    """The figures of scores [S] and whether they meet the task's bar."""
    values = np.asarray(scores, np.float64)
    finite = np.isfinite(values).all()
    low, high = (float(end) for end in (statistics.bootstrap_interval(values) if finite else (np.nan, np.nan)))
    reaching = int(np.sum(values >= task.bar - task.tolerance))
    if task.judged == "every seed":
        passed = reaching >= len(values) - task.exceptions
    else:
        passed = low >= task.bar if task.better == "higher" else high <= task.bar
    return {
        "mean": float(values.mean()), "low": low, "high": high, "iqm": float(statistics.interquartile_mean(values)),
        "seeds_at_bar": reaching, "passed": bool(passed), "scores": values.tolist(),
    }  # fmt: skip


def learning_curve(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The reports of all seeds -> the interquartile mean of their returns while training, with its band, in few points.

    A report in which no episode ended keeps the seed's value before it.
    """
    steps = sorted({row["env_steps"] for row in rows})
    table = {(row["seed"], row["env_steps"]): row["episode_return"] for row in rows}
    returns = np.array([[table[seed, step] for step in steps] for seed in sorted({row["seed"] for row in rows})])
    curve: dict[str, list[float]] = {"steps": [], "iqm": [], "low": [], "high": []}
    last = np.full(len(returns), np.nan)
    chosen = {int(index) for index in np.linspace(0, len(steps) - 1, POINTS)}
    for index, step in enumerate(steps):
        last = np.where(np.isfinite(returns[:, index]), returns[:, index], last)
        if index in chosen and np.isfinite(last).all():
            point = (step, *statistics.interquartile_mean_interval(last))
            for name, value in zip(curve, point, strict=True):
                curve[name].append(round(float(value), 3))
    return curve


def sampled_scores(task: LearningTask, result: Any) -> list[float]:
    """The mean of the task's statistic over the episodes of each seed: "return", a measure, or "average" and one."""
    from jaxrl.evaluate import evaluate

    states = [result.agent_state(seed) for seed in result.settings.seeds]
    world = result.parts.adapted
    play = jax.jit(evaluate(result.parts.agent, world, task.episodes, world.max_steps or HORIZON))
    scores = []
    for state in states:
        episodes = play(jax.random.key(EVALUATION_SEED), state)
        kinds = {"return": episodes.returns} | episodes.measures
        kinds |= {f"average {name}": value for name, value in episodes.averages.items()}
        scores.append(float(np.mean(kinds[task.statistic])))
    return scores


def exact_scores(result: Any) -> list[float]:
    """The exact expected return of each seed's greedy policy, over the environment's finite horizon."""
    from jaxrl import exact

    environment = result.parts.environment
    model = environment.model(environment.params)
    every = np.arange(len(model.start))
    policies = [result.policy_of(seed)(every) for seed in result.settings.seeds]
    horizon = environment.max_steps or HORIZON
    return [exact.start_value(model, exact.policy_value(model, policy, horizon)) for policy in policies]


def run(task: LearningTask, num_seeds: int, first_seed: int) -> dict[str, Any]:
    """Train, score and judge: the line of a task."""
    import jaxrl
    from jaxrl.backend import CompileClock

    begin, clock = time.perf_counter(), CompileClock()
    result = jaxrl.train(
        task.algorithm, task.environment, num_steps=task.num_steps, num_seeds=num_seeds, seed=first_seed,
        progress=False, **task.options,
    )  # fmt: skip
    jax.block_until_ready(result.state)
    trained, compiled = time.perf_counter() - begin, clock.seconds()
    exactly = task.statistic == "exact return"
    verdict = judge(task, exact_scores(result) if exactly else sampled_scores(task, result))
    settings = result.settings
    return {
        "task": task.name, "algorithm": task.algorithm, "environment": task.environment,
        "num_steps": settings.num_updates * settings.steps_per_update, "first_seed": first_seed,
        "num_seeds": num_seeds, "statistic": task.statistic, "episodes": None if exactly else task.episodes,
        "judged": task.judged, "better": task.better, "bar": task.bar, "tolerance": task.tolerance, **verdict,
        "published": task.published, "source": task.source, "control": task.control,
        "wall_seconds": trained, "compile_seconds": compiled, "settings": settings.to_yaml(),
        "config_hash": settings.hash(), "curve": learning_curve(result.rows),
    }  # fmt: skip


def row(line: dict[str, Any]) -> list[str]:
    """A line of the printed table."""
    every = f"each {line['bar']:.4g} ({line['seeds_at_bar']} are)"
    bar = every if line["judged"] == "every seed" else f"{line['better']} than {line['bar']:.4g}"
    interval = f"{line['low']:.4g} to {line['high']:.4g}"
    return [
        line["task"], f"{line['num_steps']:,}", str(line["num_seeds"]), f"{line['mean']:.4g}", interval,
        f"{line['iqm']:.4g}", bar, "yes" if line["passed"] else "NO",
        f"{line['published']}, {line['source']}", f"{line['wall_seconds']:.0f}", f"{line['compile_seconds']:.1f}",
    ]  # fmt: skip


HEADS = (
    "task", "steps", "seeds", "mean", "95 % interval", "IQM", "bar", "met", "published", "wall s", "compile s",
)  # fmt: skip


def main() -> None:
    named = {task.name: task for task in tasks.LEARNING}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(named))
    parser.add_argument("--seeds", type=int, help="instead of each task's own number")
    parser.add_argument("--first-seed", type=int, default=tasks.FIRST_SEED, help="tune on seeds below the default one")
    parser.add_argument("--results", type=Path, default=records.RESULTS / "learning.jsonl")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)  # the seconds of compilation are those of a first start
    rows = []
    for task in records.choose(named, arguments.tasks):
        line = run(task, arguments.seeds or task.num_seeds, arguments.first_seed)
        records.append(arguments.results, line | records.stamp())
        rows.append(row(line))
        print(" | ".join(rows[-1]), file=sys.stderr)
    print(records.table(HEADS, rows))


if __name__ == "__main__":
    main()
