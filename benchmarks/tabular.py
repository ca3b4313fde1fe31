"""Figures of the textbook, reproduced: `python benchmarks/tabular.py [STUDY ...] [--first-seed 1000] [--runs N]`.

cliff-*            the exact value of the epsilon-greedy policy that is left at the end, and the returns on the way
maximisation-bias  how many of 10,000 runs go left in each episode
random-walk        the error of n-step TD and TD(lambda) over the first ten episodes of 2,000 runs, by step size
"""

import argparse
import functools
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

from jaxrl import agents, envs, exact, loop
from jaxrl.agents.tabular import core
from jaxrl.types import Observation
from jaxrl.vectorize import vectorize

EPISODES, STEP_SIZES = 10, np.arange(1, 11) / 10  # of the random walk
LARGEST = 10.0  # stands for the error of a run that diverged
NUM_STEPS, TRACE_DECAYS = (1, 2, 4, 8, 16), (0.4, 0.8, 0.9)


class Bar(NamedTuple):
    figure: str
    low: float
    high: float
    published: str


class Study(NamedTuple):
    name: str
    run: Callable[[int, int], dict[str, Any]]  # (first seed, runs) -> {"figures": {name: number}, ...}
    runs: int
    bars: tuple[Bar, ...]


def cliff(algorithm: str, config: dict[str, Any], num_steps: int, first_seed: int, runs: int) -> dict[str, Any]:
    """Every seed's final epsilon-greedy policy, worth what dynamic programming says; the worst and best of them."""
    import jaxrl

    config = {"discount": 1.0, "epsilon": 0.1, "ties": "random"} | config
    result = jaxrl.train(
        algorithm, "cliff_walking", num_steps=num_steps, num_envs=16, rollout_length=4, num_seeds=runs,
        seed=first_seed, config=config, progress=False,
    )  # fmt: skip
    model, policy = result.parts.environment.model(()), core.exploring(result.settings.config)
    every = Observation(jnp.arange(len(model.start)))
    values = []
    for seed in result.settings.seeds:
        chances = np.asarray(policy.probabilities(result.agent_state(seed), every), np.float64)
        chances /= chances.sum(-1, keepdims=True)
        values.append(exact.start_value(model, exact.policy_value(model, chances)))
    figures = {"lowest value": min(values), "mean value": float(np.mean(values)), "highest value": max(values)}
    return {
        "figures": figures, "scores": values, "curve": learning.learning_curve(result.rows),
        "settings": result.settings.to_yaml(), "num_steps": num_steps,
    }  # fmt: skip


def maximisation_bias(first_seed: int, runs: int) -> dict[str, Any]:
    """The share of runs whose n-th episode goes left; one episode takes at most two steps."""
    episodes, env, curve, figures = 300, envs.make("maximisation_bias"), {}, {}
    for algorithm in ("q_learning", "double_q_learning"):
        config = agents.default_config(algorithm)._replace(
            learning_rate=0.1, epsilon=0.1, discount=1.0, ties="random"
        )  # fmt: skip
        trainer = loop.make_trainer(agents.make(algorithm, env, config=config), vectorize(env, 1), 1)

        def step(both: Any, _: None, trainer: Any = trainer) -> tuple[Any, None]:
            state, (episode, lefts) = both
            state, metrics = jax.vmap(trainer.step)(state)
            ended = metrics["left"].count > 0
            place = jnp.where(ended, jnp.minimum(episode, episodes), episodes)
            return (state, (episode + ended, lefts.at[place].add(metrics["left"].total))), None

        def train(keys: Any, trainer: Any = trainer, step: Any = step) -> Any:
            start = jax.vmap(trainer.init)(keys), (jnp.zeros(runs, jnp.int32), jnp.zeros(episodes + 1))
            return jax.lax.scan(step, start, length=2 * episodes)[0][1][1][:episodes] / runs

        lefts = np.asarray(jax.jit(train)(jax.random.split(jax.random.key(first_seed), runs)), float)
        curve[algorithm] = lefts.round(4).tolist()
        figures[f"{algorithm}, % left at episode {episodes}"] = 100 * lefts[-1]
        figures[f"{algorithm}, % left at most"] = 100 * lefts.max()
    return {"figures": figures, "curve": curve}


def random_walk(first_seed: int, runs: int) -> dict[str, Any]:
    """The root of the mean squared error over the 19 states, at the end of each episode; the mean of all of them."""
    env, curve, figures = envs.make("random_walk", num_states=19, left_reward=-1.0), {}, {}
    keys = jax.random.split(jax.random.key(first_seed), runs)
    methods = {f"n = {n}": ("td_prediction", {"backup_steps": n}) for n in NUM_STEPS}
    methods |= {f"lambda = {decay}": ("td_lambda", {"trace_decay": decay}) for decay in TRACE_DECAYS}
    for name, (algorithm, options) in methods.items():
        config = agents.default_config(algorithm)._replace(discount=1.0, **options)
        trainer = loop.make_trainer(agents.make(algorithm, env, config=config), vectorize(env, 1), 1)
        errors = jax.jit(functools.partial(walk_errors, trainer))(keys, jnp.asarray(STEP_SIZES, jnp.float32))
        errors = np.minimum(np.nan_to_num(np.asarray(errors, float), nan=LARGEST), LARGEST)
        curve[name] = errors.mean(1).round(4).tolist()
        figures[f"{name}, best error"] = float(np.min(curve[name]))
        figures[f"{name}, best step size"] = float(STEP_SIZES[int(np.argmin(curve[name]))])
    return {"figures": figures, "curve": {"step sizes": STEP_SIZES.tolist()} | curve}


def walk_errors(trainer: Any, keys: Any, rates: Any) -> Any:
    """Runs with keys [R], each with step sizes [K] -> mean error [K, R] over the first episodes."""
    truth = jnp.arange(-9, 10) / 10

    def begin(rate: Any, key: Any) -> Any:
        state = trainer.init(key)
        config = state.agent.config._replace(learning_rate=rate)
        return state._replace(agent=state.agent._replace(config=config)), jnp.int32(0), jnp.float32(0)

    def step(run: Any) -> Any:
        state, episode, total = run
        state, metrics = trainer.step(state)
        ended = (metrics["episode_return"].count > 0) & (episode < EPISODES)
        error = jnp.sqrt(jnp.mean((state.agent.values[1:20] - truth) ** 2))
        return state, episode + ended, total + jnp.where(ended, error, 0.0)

    def grid(function: Any, *axes: Any) -> Any:
        return jax.vmap(jax.vmap(function, axes[0]), axes[1])

    start = grid(begin, (None, 0), (0, None))(rates, keys)
    runs = jax.lax.while_loop(lambda runs: jnp.any(runs[1] < EPISODES), grid(step, 0, 0), start)
    return runs[2] / EPISODES


Q_CLIFF = {"learning_rate": 1.0, "learning_rate_decay": 0.01}
SARSA_CLIFF = {"learning_rate": 1.0, "learning_rate_decay": 0.01}
STUDIES = (
    Study(
        "cliff-q-learning", functools.partial(cliff, "q_learning", Q_CLIFF, 5_000_000), 10,
        (Bar("lowest value", -51.8, -49.8, "-50.8, exact"), Bar("highest value", -51.8, -49.8, "-50.8, exact")),
    ),
    Study(
        "cliff-sarsa", functools.partial(cliff, "sarsa", SARSA_CLIFF, 20_000_000), 10,
        (Bar("lowest value", -21.7, -19.7, "-20.7, exact"), Bar("highest value", -21.7, -19.7, "-20.7, exact")),
    ),
    Study(
        "maximisation-bias", maximisation_bias, 10_000,
        (
            Bar("double_q_learning, % left at episode 300", 5.0, 8.0, "7 to 8, Sutton and Barto, figure 6.5"),
            Bar("q_learning, % left at episode 300", 12.0, 100.0, "13 to 14, Sutton and Barto, figure 6.5"),
        ),
    ),
    Study(
        "random-walk", random_walk, 2_000,
        (
            Bar("n = 4, best error", 0.0, 0.27, "0.27, Sutton and Barto, figure 7.2"),
            Bar("n = 1, best error", 0.33, 1.0, "0.35, Sutton and Barto, figure 7.2"),
        ),
    ),
)  # fmt: skip


def measure(study: Study, first_seed: int, runs: int) -> dict[str, Any]:
    """The line of a study."""
    begin = time.perf_counter()
    found = study.run(first_seed, runs)
    bars = [
        bar._asdict() | {"value": (value := found["figures"][bar.figure]), "passed": bool(bar.low <= value <= bar.high)}
        for bar in study.bars
    ]
    passed = all(bar["passed"] for bar in bars)
    taken = {"runs": runs, "first_seed": first_seed, "wall_seconds": time.perf_counter() - begin}
    return {"task": study.name, "bars": bars, "passed": passed} | taken | found


def rows(line: dict[str, Any]) -> list[list[str]]:
    """The lines of the printed table."""
    bars = {bar["figure"]: bar for bar in line["bars"]}
    table = []
    for figure, value in line["figures"].items():
        bar = bars.get(figure)
        wanted = ["", "", ""]
        if bar:
            wanted = [f"{bar['low']:g} to {bar['high']:g}", "yes" if bar["passed"] else "NO", bar["published"]]
        table.append([line["task"], f"{line['runs']:,}", figure, f"{value:.4g}", *wanted])
    return table


def main() -> None:
    named = {study.name: study for study in STUDIES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(named))
    parser.add_argument("--runs", type=int, help="instead of each study's own number")
    parser.add_argument("--first-seed", type=int, default=tasks.FIRST_SEED, help="tune on seeds below the default one")
    parser.add_argument("--results", type=Path, default=records.RESULTS / "tabular.jsonl")
    arguments = parser.parse_args()
    printed = []
    for study in records.choose(named, arguments.studies):
        line = measure(study, arguments.first_seed, arguments.runs or study.runs)
        records.append(arguments.results, line | records.stamp())
        printed += rows(line)
        print(f"{study.name}: {line['wall_seconds']:.0f} s", file=sys.stderr)
    print(records.table(("study", "runs", "figure", "value", "wanted", "met", "published"), printed))


if __name__ == "__main__":
    main()
