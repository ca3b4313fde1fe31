"""The contract table's rows of agents that learn a policy."""

import functools

from cue_world import cue_world
from rows import Row, world

from jaxrl.agents.curiosity import Config as Curiosity
from jaxrl.networks import Settings

_PPO = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}
_NORMALISED = _PPO | {"normalise_observations": True, "normalise_rewards": True}
_RND = Curiosity(bonus="rnd", num_features=4, num_epochs=2, num_minibatches=2, learning_rate=0.01)

_REINFORCE = {"learning_rate": 0.01}
_CRITIC = {"learning_rate": 0.1}
_STALE = {"delay": 2, "num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}
_TRPO = {"cg_steps": 4, "num_epochs": 2, "num_minibatches": 2, "learning_rate": 0.01}
_GRU, _LSTM = Settings((8,), cell="gru", cell_size=4), Settings((8,), cell="lstm", cell_size=4)
_BOTH = {"normalise_observations": True, "normalise_rewards": True}
_REPLAY = {"buffer_size": 96, "batch_size": 16, "learning_starts": 48, "gradient_steps": 0.1, "learning_rate": 0.01}

ROWS = {
    "ddpg": Row("ddpg", world("quadratic"), _REPLAY),
    "ddpg, normalised, prioritized, three steps": Row(
        "ddpg", world("quadratic"), _REPLAY | {"normalise_observations": True, "prioritized": True, "backup_steps": 3},
        slow=True,
    ),
    "td3": Row("td3", world("quadratic"), _REPLAY),
    "sac": Row("sac", world("quadratic"), _REPLAY),
    "sac, fixed, normalised": Row(
        "sac", world("quadratic"), _REPLAY | {"normalise_observations": True, "tuned": False, "temperature": 0.2},
        slow=True,
    ),
    "sac_discrete": Row("sac_discrete", world("random_mdp", max_steps=5), _REPLAY),
    "sac_discrete, masked": Row("sac_discrete", world("masked_walk"), _REPLAY),
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
        Settings((8,), cell="lstm", cell_size=4), slow=True,
    ),
    "ppo, masked, multi-discrete, gru": Row(
        "ppo", functools.partial(cue_world, "multi-discrete", masked=True), _PPO | {"chunk_length": 3}, _GRU,
        slow=True,
    ),
    "ppo, dictionary, gru": Row(
        "ppo", functools.partial(cue_world, nested=True), _PPO | {"chunk_length": 3}, _GRU, slow=True
    ),
    "ppo, dictionary, masked, multi-discrete, lstm, normalised": Row(
        "ppo", functools.partial(cue_world, "multi-discrete", True, True), _NORMALISED | {"chunk_length": 2}, _LSTM
    ),
    "ppo, continuous, gru": Row(
        "ppo", functools.partial(cue_world, "continuous"), _PPO | {"chunk_length": 3}, _GRU, slow=True
    ),
    "ppo, dictionary, continuous, lstm, held noise": Row(
        "ppo", functools.partial(cue_world, "continuous", True), _PPO | {"chunk_length": 2},
        _LSTM._replace(noise_period=2, log_deviation=2.5), slow=True,
    ),
    "ppo, held noise": Row(
        "ppo", world("quadratic"), _PPO, Settings((8,), noise_period=3, log_deviation=0.5), slow=True
    ),
    "ppo, batch norm": Row("ppo", world("random_mdp", max_steps=5), _PPO, Settings((8,), normalisation="batch")),
    "ppo, microbatches, gru": Row(
        "ppo", world("t_maze", length=1), _PPO | {"chunk_length": 3}, _GRU._replace(microbatch_size=2)
    ),
    "ppo, auxiliary": Row("ppo", world("random_mdp", max_steps=5), _PPO | {"auxiliary": ("reward", "control")}),
    "ppo, rnd": Row("ppo", world("random_mdp", max_steps=5), _PPO, curiosity=_RND._replace(episodic=True), slow=True),
    "ppo, icm": Row("ppo", world("quadratic"), _PPO, curiosity=_RND._replace(bonus="icm"), slow=True),
    "dqn, rnd": Row(
        "dqn", world("masked_walk"),
        {"buffer_size": 96, "batch_size": 16, "learning_starts": 48, "gradient_steps": 0.1, "learning_rate": 0.01},
        curiosity=_RND,
    ),
    "ppo, kl control": Row(
        "ppo", world("random_mdp", max_steps=5),
        _PPO | {"kl_stop": True, "kl_adaptive": True, "entropy_span": 0.5, "total_updates": 20.0, "kl_target": 0.02},
    ),
    "a2c": Row("a2c", world("random_mdp", max_steps=5), _REINFORCE),
    "a2c, continuous": Row("a2c", world("quadratic"), _REINFORCE, slow=True),
    "a2c, masked, gru": Row("a2c", world("masked_walk", length=4), _REINFORCE | {"chunk_length": 3}, _GRU, slow=True),
    "reinforce": Row("reinforce", world("random_mdp", max_steps=5), _REINFORCE),
    "reinforce, continuous, normalised": Row("reinforce", world("quadratic"), _REINFORCE | _BOTH, slow=True),
    "reinforce, multi-discrete": Row("reinforce", world("multi_discrete"), _REINFORCE, slow=True),
    "reinforce, masked": Row("reinforce", world("masked_walk", length=4), _REINFORCE, rollout_length=3, slow=True),
    "reinforce_baseline": Row("reinforce_baseline", world("random_mdp", max_steps=5), _REINFORCE),
    "reinforce_baseline, gru": Row("reinforce_baseline", world("t_maze", length=1), _REINFORCE, _GRU),
    "actor_critic": Row("actor_critic", world("random_mdp", max_steps=5), _CRITIC),
    "actor_critic, masked": Row("actor_critic", world("masked_walk", length=4), _CRITIC, rollout_length=2, slow=True),
    "actor_critic, gru": Row("actor_critic", world("t_maze", length=1), _CRITIC, _GRU, slow=True),
    "actor_critic_lambda": Row("actor_critic_lambda", world("random_mdp", max_steps=5), _CRITIC),
    "actor_critic_lambda, continuous, normalised": Row(
        "actor_critic_lambda", world("quadratic"), _REINFORCE | _BOTH, slow=True,
    ),
    "actor_critic_lambda, multi-discrete": Row("actor_critic_lambda", world("multi_discrete"), _CRITIC, slow=True),
    "actor_critic_lambda, masked, lstm": Row(
        "actor_critic_lambda", world("masked_walk", length=4), _CRITIC, _LSTM, slow=True
    ),
    "differential_actor_critic": Row("differential_actor_critic", world("random_mdp", max_steps=5), _CRITIC),
    "impala": Row("impala", world("random_mdp", max_steps=5), _STALE),
    "impala, continuous, normalised": Row("impala", world("quadratic"), _STALE | _BOTH, slow=True),
    "impala, multi-discrete": Row("impala", world("multi_discrete"), _STALE, slow=True),
    "impala, masked, gru": Row("impala", world("masked_walk", length=4), _STALE, _GRU),
    "trpo": Row("trpo", world("random_mdp", max_steps=5), _TRPO),
    "trpo, continuous, normalised": Row("trpo", world("quadratic"), _TRPO | _BOTH, slow=True),
    "trpo, multi-discrete": Row("trpo", world("multi_discrete"), _TRPO, slow=True),
    "trpo, masked": Row("trpo", world("masked_walk", length=4), _TRPO, slow=True),
    "trpo, gru": Row("trpo", world("t_maze", length=1), _TRPO | {"chunk_length": 3}, _GRU),
}  # fmt: skip
