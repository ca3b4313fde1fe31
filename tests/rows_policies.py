"""The contract table's rows of agents that learn a policy."""

from rows import Row, world

from jaxrl.networks import Settings

_PPO = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}
_NORMALISED = _PPO | {"normalise_observations": True, "normalise_rewards": True}

ROWS = {
    "ppo": Row("ppo", world("random_mdp", max_steps=5), _PPO),
    "ppo, one row": Row("ppo", world("chain"), _PPO | {"num_minibatches": 1}, num_envs=1, rollout_length=1),
    "ppo, normalised": Row("ppo", world("counter", length=4), _NORMALISED),
    "ppo, continuous": Row("ppo", world("quadratic"), _PPO | {"normalise_observations": True}),
    "ppo, multi-discrete": Row("ppo", world("multi_discrete"), _PPO),
    "ppo, masked": Row("ppo", world("masked_walk", length=4), _PPO),
    "ppo, gru": Row(
        "ppo", world("t_maze", length=1), _PPO | {"chunk_length": 3}, Settings((8,), cell="gru", cell_size=4)
    ),
    "ppo, lstm, masked, normalised": Row(
        "ppo", world("masked_walk", length=4), _NORMALISED | {"chunk_length": 2},
        Settings((8,), cell="lstm", cell_size=4),
    ),
}  # fmt: skip
