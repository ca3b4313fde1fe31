"""Planning and average reward: `python benchmarks/planning.py [STUDY ...] [--seeds 10] [--first-seed 1000]`.

The Dyna maze, the blocking maze and the access-control queue of Sutton and Barto (2018), figures 8.2, 8.4 and 10.5. All
seeds of a variant run in one program; what is judged is exact, or counted in every single step.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import records
import tasks

from jaxrl import agents, envs, exact, loop, statistics
from jaxrl.envs import blocking_maze
from jaxrl.types import Model, Trainer
from jaxrl.vectorize import vectorize

BOOK: dict[str, Any] = {"discount": 0.95, "epsilon": 0.1, "ties": "random"}
MAZE_STEPS, CHANGING_STEPS, QUEUE_STEPS = 6_000, 3_000, 2_000_000
EPISODES = 30  # of a curve
PLUS = {"time_bonus": 1e-3}
CURIOUS = {"learning_rate": 1.0, "epsilon": 0.0, "initial_value": 0.55}  # a little above what the start is worth
QUEUE = {
    "learning_rate": 0.2, "learning_rate_decay": 1e-3, "average_step": 0.1, "epsilon": 0.3, "exploration_decay": 1e-4,
}  # fmt: skip


class Line(NamedTuple):
    """A figure of each seed, and what it is held to."""

    variant: str
    figure: str
    scores: np.ndarray  # [S]
    bar: float | None  # for the unfavourable end of the interval of the mean, or for every seed
    judged: str  # "mean, lower", "mean, higher" or "every seed"
    published: str
    curve: list[float]


def trainer(algorithm: str, environment: str, config: dict[str, Any], rows: int = 1, length: int = 1) -> Trainer:
    """A trainer in the words of this file; the wall of the blocking maze moves with the run."""
    env = envs.make(environment)
    agent = agents.make(algorithm, env, config=agents.default_config(algorithm)._replace(**config))
    moves = blocking_maze.advance if environment == "blocking_maze" else None
    return loop.make_trainer(agent, vectorize(env, rows), length, moves)


def keys(seeds: range) -> Any:
    return jax.vmap(jax.random.key)(np.asarray(seeds, np.uint32))


def rewards(trainer: Trainer, num_steps: int, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """(reward, whether an episode ended), both [S, steps]."""

    def step(state: Any, _: None) -> Any:
        state, metrics = trainer.step(state)
        return state, (state.timestep.reward[0], metrics["episode_return"].count)

    run = jax.jit(jax.vmap(lambda key: jax.lax.scan(step, trainer.init(key), length=num_steps)[1]))
    reward, ended = run(keys(seeds))
    return np.asarray(reward), np.asarray(ended)


def after_episodes(trainer: Trainer, num_episodes: int, num_steps: int, seeds: range) -> np.ndarray:
    """Action values [S, states, A] as they are when that many episodes have ended; NaN where num_steps were too few."""

    def step(carry: Any, _: None) -> Any:
        (state, count, kept), before = carry, carry[1]
        state, metrics = trainer.step(state)
        count = count + metrics["episode_return"].count
        reached = (before < num_episodes) & (count >= num_episodes)
        return (state, count, jnp.where(reached, state.agent.values, kept)), None

    def run(key: Any) -> Any:
        state = trainer.init(key)
        start = state, jnp.zeros((), jnp.int32), jnp.full_like(state.agent.values, jnp.nan)
        return jax.lax.scan(step, start, length=num_steps)[0][2]

    return np.asarray(jax.jit(jax.vmap(run))(keys(seeds)))


def dyna_maze(seeds: range) -> list[Line]:
    """Steps of each episode for 0, 5 and 50 planning steps, and the greedy policy after four episodes with 50."""
    lines = []
    for planning, steps in ((0, 4 * MAZE_STEPS), (5, MAZE_STEPS), (50, MAZE_STEPS)):
        config = BOOK | {"learning_rate": 0.1, "planning_steps": planning}
        ended = rewards(trainer("dyna_q", "dyna_maze", config), steps, seeds)[1]
        lengths = [np.diff(np.flatnonzero(row), prepend=-1)[:EPISODES] for row in ended]
        curve = np.mean([np.pad(x.astype(float), (0, EPISODES - len(x)), constant_values=np.nan) for x in lengths], 0)
        total = np.array([x[1:EPISODES].mean() for x in lengths])
        name = f"{planning} planning steps"
        lines.append(Line(name, "steps of episodes 2 to 30", total, None, "", "", curve.tolist()))
    model = envs.make("dyna_maze").model(())
    config = BOOK | CURIOUS | {"planning_steps": 50}
    values = after_episodes(trainer("dyna_q", "dyna_maze", config), 4, MAZE_STEPS, seeds)
    taken = np.array([steps_to_goal(model, q.argmax(-1)) for q in values])
    published, figure = "about 14 after 3 episodes", "greedy steps to the goal after 4 episodes (shortest: 14)"
    return [*lines, Line("50 planning steps, optimistic", figure, taken, 14.5, "mean, lower", published, [])]


def steps_to_goal(model: Model, policy: np.ndarray, most: int = 100) -> float:
    """How many steps a policy takes from the start, in a world without chance."""
    arrived = [exact.start_value(model, exact.policy_value(model, policy, horizon)) for horizon in range(1, most + 1)]
    return float(1 + np.argmax(arrived)) if max(arrived) > 0 else float(most)


def blocking(seeds: range) -> list[Line]:
    """The reward of 3000 steps, of which the wall blocks the way to the goal after 1000."""
    variants = {"dyna_q": ({}, "77"), "dyna_q_plus": (PLUS, "132")}
    totals, lines = {}, []
    for name, (own, published) in variants.items():
        config = BOOK | {"learning_rate": 1.0, "planning_steps": 10} | own
        reward = rewards(trainer(name, "blocking_maze", config), CHANGING_STEPS, seeds)[0].cumsum(-1)
        totals[name] = reward[:, -1]
        bar = 132.0 if name == "dyna_q_plus" else None
        curve = reward.mean(0)[99::100].tolist()
        lines.append(Line(name, "reward of 3000 steps", totals[name], bar, "mean, higher", published, curve))
    gained = totals["dyna_q_plus"] - totals["dyna_q"]
    return [*lines, Line("dyna_q_plus - dyna_q", "reward of 3000 steps", gained, 0.0, "mean, higher", "55", [])]


def access_control(seeds: range) -> list[Line]:
    """The exact average reward of the greedy policy, and how far the learnt one is from the best."""
    rows, length = 64, 50
    made = trainer("differential_sarsa", "access_control", QUEUE, rows, length)
    run = jax.jit(jax.vmap(lambda key: loop.train(made, QUEUE_STEPS // rows // length)(key)[0].agent))
    state, model = run(keys(seeds)), envs.make("access_control").model(())
    best = exact.relative_value_iteration(model)[0]
    earned = np.array([exact.average_reward(model, values.argmax(-1)) for values in np.asarray(state.values)])
    known = f"{best:.4f}, the optimum"
    error = np.abs(np.asarray(state.memory.average, float) - best)
    return [
        Line("greedy policy", "exact reward per step", earned, 0.99 * best, "every seed", known, []),
        Line("learnt average", "distance from the best reward per step", error, 0.1, "mean, lower", known, []),
    ]


STUDIES: dict[str, Callable[[range], list[Line]]] = {
    "dyna-maze": dyna_maze, "blocking-maze": blocking, "access-control": access_control,
}  # fmt: skip


def judged(line: Line) -> dict[str, Any]:
    """The line with its interval over seeds and whether it meets its bar."""
    low, high = (float(end) for end in statistics.bootstrap_interval(line.scores))
    passed = None
    if line.bar is not None:
        ends = {"mean, higher": low >= line.bar, "mean, lower": high <= line.bar}
        passed = bool(ends.get(line.judged, np.all(line.scores >= line.bar)))
    figures = {"mean": float(line.scores.mean()), "low": low, "high": high, "passed": passed}
    return line._asdict() | figures | {"scores": line.scores.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument("--seeds", type=int, default=tasks.SEEDS)
    parser.add_argument("--first-seed", type=int, default=tasks.FIRST_SEED, help="tune on seeds below the default one")
    parser.add_argument("--results", type=Path, default=records.RESULTS / "planning.jsonl")
    arguments = parser.parse_args()
    seeds, rows = range(arguments.first_seed, arguments.first_seed + arguments.seeds), []
    named = {name: (name, study) for name, study in STUDIES.items()}
    for name, study in records.choose(named, arguments.studies):
        for line in map(judged, study(seeds)):
            records.append(arguments.results, {"study": name, "seeds": list(seeds)} | line | records.stamp())
            bar = "" if line["bar"] is None else f"{line['judged']}: {line['bar']:.4g}"
            met = {None: "", True: "yes", False: "NO"}[line["passed"]]
            interval = f"{line['low']:.4g} to {line['high']:.4g}"
            rows.append(
                [name, line["variant"], line["figure"], f"{line['mean']:.4g}", interval, bar, met, line["published"]]
            )
            print(" | ".join(rows[-1]), file=sys.stderr)
    print(records.table(("study", "variant", "figure", "mean", "95 % interval", "bar", "met", "published"), rows))


if __name__ == "__main__":
    main()
