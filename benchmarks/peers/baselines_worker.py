"""Trains with Stable-Baselines3, or with SBX where that is installed, times it and evaluates it; in their environment.

    python baselines_worker.py '{"algorithm": "ppo", ...}'        # the settings of tasks.Settings as JSON

Prints one JSON line, with the keys that `worker.py` prints. One training is timed from the first step to the last:
what SBX compiles on its way is in it. Evaluation and callbacks are off in the timed part.
"""

import importlib.metadata
import importlib.util
import json
import sys
import time
from typing import Any

import numpy as np

EPISODES = 128
ENVIRONMENTS = {"cartpole": "CartPole-v1", "pendulum": "Pendulum-v1"}
LIBRARY, DISTRIBUTION = ("sbx", "sbx-rl") if importlib.util.find_spec("sbx") else ("stable_baselines3",) * 2


def configuration(settings: dict[str, Any]) -> dict[str, Any]:
    """Our settings under their names."""
    config, rate = settings["config"], settings["config"]["learning_rate"]
    shared = {
        "seed": settings["seed"], "gamma": config["discount"], "device": "cpu",
        "policy_kwargs": {"net_arch": settings["network"]["hidden"]},
        "learning_rate": rate if config.get("total_updates") else lambda left: rate * left,
    }  # fmt: skip
    if settings["algorithm"] == "ppo":
        rollout = settings["num_envs"] * settings["rollout_length"]
        return shared | {
            "n_steps": settings["rollout_length"], "n_epochs": config["num_epochs"],
            "batch_size": rollout // config["num_minibatches"], "gae_lambda": config["trace_decay"],
            "clip_range": config["clip_range"], "ent_coef": config["entropy_coefficient"],
            "vf_coef": config["value_coefficient"], "max_grad_norm": config["max_gradient_norm"],
        }  # fmt: skip
    return shared | {
        "batch_size": config["batch_size"], "buffer_size": config["buffer_size"], "tau": config["target_rate"],
        "learning_starts": config["learning_starts"], "train_freq": settings["rollout_length"], "gradient_steps": -1,
    }  # fmt: skip


def main(settings: dict[str, Any]) -> dict[str, Any]:
    import torch
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)  # faster than two for networks of this size
    name = ENVIRONMENTS[settings["environment"]]
    agent = getattr(importlib.import_module(LIBRARY), settings["algorithm"].upper())
    envs = make_vec_env(name, n_envs=settings["num_envs"], seed=settings["seed"])
    begin, cpu_begin = time.perf_counter(), time.process_time()
    model = agent("MlpPolicy", envs, **configuration(settings)).learn(settings["num_steps"])
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    returns, _ = evaluate_policy(
        model, make_vec_env(name, seed=settings["seed"] + 1), EPISODES, deterministic=True, return_episode_rewards=True
    )
    return {
        "trace_seconds": 0.0, "compile_seconds": 0.0, "seconds": [seconds], "cpu_seconds": [cpu_seconds],
        "steps": model.num_timesteps, "steps_per_second": model.num_timesteps / seconds,
        "returns": [float(np.mean(returns))], "devices": 1,
        "versions": {each: importlib.metadata.version(each) for each in (DISTRIBUTION, "torch", "gymnasium")},
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
