"""The contract table's rows of deep agents that learn values."""

from rows import Row, world

from jaxrl.networks import Settings

_DQN = {"buffer_size": 96, "batch_size": 16, "learning_starts": 48, "gradient_steps": 0.1, "learning_rate": 0.01}
_R2D2 = _DQN | {"batch_size": 8, "length": 4, "stride": 2, "backup_steps": 2}
_PQN = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}

ROWS = {
    "dqn": Row("dqn", world("random_mdp", max_steps=5), _DQN),
    "dqn, masked": Row("dqn", world("masked_walk"), _DQN | {"target_period": 2, "target_rate": 1.0}),
    "dqn, normalised": Row("dqn", world("counter", length=4), _DQN | {"normalise_observations": True}),
    "double_dqn": Row("double_dqn", world("random_mdp", max_steps=5), _DQN),
    "dueling_dqn": Row("dueling_dqn", world("random_mdp", max_steps=5), _DQN),
    "c51": Row("c51", world("random_mdp", max_steps=5), _DQN | {"num_atoms": 5}),
    "c51, double, dueling, masked": Row(
        "c51", world("masked_walk"),
        _DQN | {"num_atoms": 5, "double": True, "dueling": True, "aggregation": "max", "backup_steps": 2},
    ),
    "prioritized_dqn": Row("prioritized_dqn", world("random_mdp", max_steps=5), _DQN),
    "rainbow": Row("rainbow", world("random_mdp", max_steps=5), _DQN | {"num_atoms": 5}),
    "rainbow, masked": Row("rainbow", world("masked_walk"), _DQN | {"num_atoms": 5}),
    "qr_dqn": Row("qr_dqn", world("random_mdp", max_steps=5), _DQN | {"num_quantiles": 3}),
    "iqn": Row("iqn", world("random_mdp", max_steps=5), _DQN | {"num_quantiles": 3}),
    "iqn, soft, noisy, dueling, masked": Row(
        "iqn", world("masked_walk"), _DQN | {"num_quantiles": 3, "soft": True, "noisy": True, "dueling": True}
    ),
    "munchausen_dqn": Row("munchausen_dqn", world("random_mdp", max_steps=5), _DQN),
    "her": Row("her", world("bit_flipping", num_bits=3), _DQN),
    "r2d2": Row(
        "r2d2", world("t_maze", length=1), _R2D2 | {"burn_in": 2}, Settings((8,), cell="gru", cell_size=4)
    ),
    "r2d2, lstm, masked": Row(
        "r2d2", world("masked_walk"),
        _R2D2 | {"burn_in": 0, "double": False, "dueling": False, "rescaled": False, "prioritized": False},
        Settings((8,), cell="lstm", cell_size=4, cell_memory=6),
    ),
    "pqn": Row("pqn", world("random_mdp", max_steps=5), _PQN, Settings((8,), "relu", normalisation="layer")),
    "pqn, masked": Row("pqn", world("masked_walk", length=4), _PQN | {"epsilon_start": 0.5}),
    "pqn, gru": Row(
        "pqn", world("t_maze", length=1), _PQN | {"chunk_length": 3},
        Settings((8,), cell="gru", cell_size=4, normalisation="layer"),
    ),
}  # fmt: skip
