"""Trains with Rejax, times it and evaluates it. Runs in Rejax's own virtual environment, so it imports nothing of ours.

    python rejax_worker.py '{"algorithm": "ppo", ...}'        # the settings of tasks.Settings as JSON

Prints one JSON line, with the keys that `worker.py` prints. Evaluation and callbacks are off in the timed part.
"""

import importlib.metadata
import json
import statistics
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

EPISODES = 128
ENVIRONMENTS = {"cartpole": "CartPole-v1", "pendulum": "Pendulum-v1"}


def configuration(settings: dict[str, Any]) -> dict[str, Any]:
    """Our settings under Rejax's names. Its evaluation is one call of nothing at the very end."""
    config, network = settings["config"], settings["network"]
    activation = {"silu": "swish"}.get(network["activation"], network["activation"])
    shared = {
        "env": ENVIRONMENTS[settings["environment"]], "num_envs": settings["num_envs"],
        "total_timesteps": settings["num_steps"], "eval_freq": settings["num_steps"], "skip_initial_evaluation": True,
        "learning_rate": config["learning_rate"], "gamma": config["discount"],
        "max_grad_norm": config["max_gradient_norm"],
    }  # fmt: skip
    if settings["algorithm"] == "ppo":
        return shared | {
            "agent_kwargs": {"activation": activation, "hidden_layer_sizes": tuple(network["hidden"])},
            "num_steps": settings["rollout_length"], "num_epochs": config["num_epochs"],
            "num_minibatches": config["num_minibatches"], "gae_lambda": config["trace_decay"],
            "clip_eps": config["clip_range"], "ent_coef": config["entropy_coefficient"],
            "vf_coef": config["value_coefficient"],
        }  # fmt: skip
    if settings["algorithm"] in ("sac", "td3"):
        return shared | actor_critic(settings["algorithm"], config, activation)
    if network["hidden"] != [64, 64]:
        raise ValueError("Rejax's Q networks have two hidden layers of 64 units, always")
    shared |= {
        "eps_start": config["epsilon_start"], "eps_end": config["epsilon_end"],
        "exploration_fraction": config["epsilon_steps"] / settings["num_steps"],
    }  # fmt: skip
    if settings["algorithm"] == "pqn":
        if (network["activation"], network.get("normalisation")) != ("relu", "layer"):
            raise ValueError("Rejax's PQN has ReLU behind layer normalisation, always")
        return shared | {
            "num_steps": settings["rollout_length"], "num_epochs": config["num_epochs"],
            "num_minibatches": config["num_minibatches"], "td_lambda": config["trace_decay"],
        }  # fmt: skip
    return shared | {
        "agent_kwargs": {"activation": activation}, "agent": "QNetwork", "ddqn": False,
        "num_epochs": round(config["gradient_steps"] * settings["num_envs"]), "batch_size": config["batch_size"],
        "buffer_size": config["buffer_size"], "fill_buffer": config["learning_starts"],
        "polyak": 1 - config["target_rate"],
    }  # fmt: skip


def actor_critic(algorithm: str, config: dict[str, Any], activation: str) -> dict[str, Any]:
    """What SAC and TD3 have beside the rest; noise is in units of Pendulum's actions there, which are 2 of ours."""
    replay = {
        "batch_size": config["batch_size"], "buffer_size": config["buffer_size"], "num_epochs": 1,
        "fill_buffer": config["learning_starts"], "polyak": 1 - config["target_rate"],
    }  # fmt: skip
    if algorithm == "sac":
        return replay | {"agent_kwargs": {"activation": activation}}
    return replay | {
        "actor_kwargs": {"activation": activation}, "critic_kwargs": {"activation": activation}, "policy_delay": 2,
        "exploration_noise": 2 * config["exploration_noise"], "target_noise": 2 * config["target_noise"],
        "target_noise_clip": 2 * config["target_noise_clip"],
    }  # fmt: skip


def greedy_returns(algo: Any, algorithm: str, state: Any, key: jax.Array) -> jax.Array:
    """[EPISODES] greedy returns of one trained state (Rejax's own evaluation samples its actions)."""
    from rejax.evaluate import evaluate

    def act(obs: jax.Array, _: jax.Array) -> jax.Array:
        if algorithm == "td3":
            return algo.actor.apply(state.actor_ts.params, obs[None])[0]
        if algorithm == "sac":
            loc = algo.actor.apply(state.actor_ts.params, obs[None], method="_action_dist").mean()[0]
            return 2.0 * jnp.tanh(loc)
        if algorithm == "ppo":
            distribution = algo.actor.apply(state.actor_ts.params, obs[None], method="_action_dist")
            if not algo.discrete:
                return jnp.clip(distribution.mean()[0], *algo.actor.action_range)
            scores = distribution.logits
        else:
            scores = algo.agent.apply(state.q_ts.params, obs[None])
        return jnp.argmax(scores[0])

    return evaluate(act, key, algo.env, algo.env_params, EPISODES, algo.env_params.max_steps_in_episode)[1]


def main(settings: dict[str, Any]) -> dict[str, Any]:
    from rejax import get_algo

    algo = get_algo(settings["algorithm"]).create(**configuration(settings))
    algo = algo.replace(eval_callback=lambda algo, state, key: ())
    one_seed = settings["num_seeds"] == 1
    train = jax.jit(algo.train if one_seed else jax.vmap(algo.train))
    base = jax.random.PRNGKey(settings["seed"])
    keys = base if one_seed else jax.random.split(base, settings["num_seeds"])
    start = time.perf_counter()
    lowered = train.lower(keys)
    traced = time.perf_counter()
    compiled = lowered.compile()
    built = time.perf_counter()
    state = jax.block_until_ready(compiled(keys)[0])
    seconds, cpu_seconds = [], []
    for _ in range(settings["calls"]):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        state = jax.block_until_ready(compiled(keys)[0])
        seconds.append(time.perf_counter() - begin)
        cpu_seconds.append(time.process_time() - cpu_begin)
    states = jax.tree.map(lambda leaf: leaf[None], state) if one_seed else state
    score = jax.vmap(lambda s: greedy_returns(algo, settings["algorithm"], s, jax.random.PRNGKey(1)).mean())
    steps = int(jnp.sum(states.global_step))
    return {
        "trace_seconds": traced - start, "compile_seconds": built - start, "seconds": seconds,
        "cpu_seconds": cpu_seconds, "steps": steps,
        "steps_per_second": steps / statistics.median(seconds), "returns": jax.jit(score)(states).tolist(),
        "devices": jax.device_count(),
        "versions": {name: importlib.metadata.version(name) for name in ("rejax", "jax", "jaxlib", "gymnax", "flax")},
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
