"""Trains with jaxrl in a process of its own, times it and evaluates it; `throughput.py` starts it.

    python worker.py '{"algorithm": "ppo", ...}'        # tasks.Settings as JSON: ahead of time compiled, then timed
    python worker.py '["train", "ppo", "cartpole"]'     # a command line of jaxrl: how long it compiles

Prints one JSON line last, with the keys that the peers' workers print too.
"""

import importlib.metadata
import json
import statistics
import sys
import time
from typing import Any

import jax
from tasks import Settings

EPISODES = 128


def read(text: str) -> Settings | list[str]:
    """What the one argument asks for."""
    value = json.loads(text)
    return Settings(**value) if isinstance(value, dict) else value


def resolved(asked: Settings) -> Any:
    """jaxrl's own record of the settings; no preset is read, so that all that differs from a default is named here."""
    from jaxrl.settings import check

    return check({name: value for name, value in asked._asdict().items() if name != "calls"})


def time_training(settings: Settings) -> dict[str, Any]:
    """Seconds of compilation and of each timed call, and the greedy return of each seed."""
    from jaxrl import backend, experiment, loop
    from jaxrl.evaluate import evaluate

    chosen = resolved(settings)
    backend.use_cores(settings.num_seeds)
    size = chosen.steps_per_update, chosen.num_seeds, chosen.network.hidden
    backend.suit_small_updates(chosen.environment, *size)
    parts, keys = experiment.assemble(chosen), experiment.keys(chosen)
    backend.freeze_imports()
    start = time.perf_counter()
    lowered = jax.jit(loop.train(parts.trainer, chosen.num_updates)).lower(keys)
    traced = time.perf_counter()
    train = lowered.compile()
    built = time.perf_counter()
    state = jax.block_until_ready(train(keys)[0])
    seconds, cpu_seconds = [], []
    for _ in range(settings.calls):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        state = jax.block_until_ready(train(keys)[0])
        seconds.append(time.perf_counter() - begin)
        cpu_seconds.append(time.process_time() - cpu_begin)
    agents = jax.tree.map(lambda leaf: leaf[None], state.agent) if settings.num_seeds == 1 else state.agent
    play = evaluate(parts.agent, parts.adapted, EPISODES)
    score = jax.vmap(lambda agent: play(jax.random.key(1), agent).returns.mean())
    steps = chosen.num_updates * chosen.steps_per_update * settings.num_seeds
    return {
        "trace_seconds": traced - start, "compile_seconds": built - start, "seconds": seconds,
        "cpu_seconds": cpu_seconds, "steps": steps,
        "steps_per_second": steps / statistics.median(seconds), "returns": jax.jit(score)(agents).tolist(),
        "devices": jax.device_count(),
        "versions": {name: importlib.metadata.version(name) for name in ("jaxrl", "jax", "jaxlib", "gymnax", "flax")},
    }  # fmt: skip


def time_command(arguments: list[str]) -> dict[str, Any]:
    """Seconds that a command spends in XLA's compiler or in reading its cache, and all of its seconds."""
    spent: list[float] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("/backend_compile_duration"):
            spent.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    begin = time.perf_counter()
    from jaxrl.command_line import main

    code = main(arguments)
    if code:
        raise SystemExit(code)
    return {"compile_seconds": sum(spent), "programs": len(spent), "seconds": [time.perf_counter() - begin]}


if __name__ == "__main__":
    asked = read(sys.argv[1])
    print(json.dumps(time_training(asked) if isinstance(asked, Settings) else time_command(asked)))
