"""The contract table's rows of teams: an agent for all, an agent for each, and agents that know the team's state."""

from rows import Row, world

from jaxrl.agents.teams import Config
from jaxrl.networks import Settings

_PPO = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}
_REPLAY = {"buffer_size": 96, "batch_size": 16, "learning_starts": 48, "gradient_steps": 0.1, "learning_rate": 0.01}
_WINDOWS = _REPLAY | {"batch_size": 8, "length": 3}
_GRU = Settings((8,), cell="gru", cell_size=4)
_APART = Config("independent")

ROWS = {
    "ppo, team": Row("ppo", world("switch_riddle"), _PPO, team=Config(identity=True)),
    "ppo, independent": Row("ppo", world("coordination", num_agents=2, max_steps=5), _PPO, team=_APART),
    "ppo, independent, gru": Row(
        "ppo", world("switch_riddle"), _PPO | {"chunk_length": 3}, _GRU, team=_APART, slow=True
    ),
    "dqn, team": Row("dqn", world("switch_riddle"), _REPLAY),
    "dqn, independent": Row("dqn", world("switch"), _REPLAY, team=_APART, slow=True),
    "sac, independent": Row("sac", world("coordination", num_agents=2, max_steps=5), _REPLAY, team=_APART, slow=True),
    "mappo": Row("mappo", world("switch"), _PPO | {"normalise_rewards": True}),
    "mappo, gru": Row("mappo", world("switch_riddle"), _PPO | {"chunk_length": 3}, _GRU, slow=True),
    "maddpg": Row("maddpg", world("coordination", num_agents=2, max_steps=5), _REPLAY),
    "maddpg, discrete": Row("maddpg", world("switch_riddle"), _REPLAY, slow=True),
    "matd3": Row("matd3", world("switch"), _REPLAY),
    "coma": Row("coma", world("switch"), _PPO),
    "coma, gru": Row("coma", world("switch_riddle"), _PPO, _GRU, slow=True),
    "vdn": Row("vdn", world("switch"), _WINDOWS),
    "qmix": Row("qmix", world("switch_riddle"), _WINDOWS),
    "qmix, gru": Row("qmix", world("switch_riddle"), _WINDOWS, _GRU),
}
