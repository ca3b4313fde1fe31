"""Presets of the tabular agents, and of the random one."""

from jaxrl.presets.preset import Preset

PRESETS: dict[tuple[str, str | None], Preset] = {
    ("random", None): Preset("no learning", num_steps=100_000, num_envs=8, rollout_length=128),
    **{
        (name, None): Preset(source, num_steps=500_000, num_envs=64, rollout_length=16)
        for name, source in {
            "q_learning": "Watkins 1989", "double_q_learning": "van Hasselt 2010",
            "expected_sarsa": "van Seijen et al. 2009", "sarsa": "Rummery and Niranjan 1994",
            "n_step_sarsa": "Sutton and Barto 2018, section 7.2", "tree_backup": "Precup et al. 2000",
            "monte_carlo": "Sutton and Barto 2018, chapter 5", "td_prediction": "Sutton and Barto 2018, section 7.1",
        }.items()
    },
    **{  # with traces, whose cost grows with the rows
        (name, None): Preset(source, num_steps=200_000, num_envs=8, rollout_length=16)
        for name, source in {
            "sarsa_lambda": "Rummery and Niranjan 1994", "q_lambda": "Watkins 1989", "td_lambda": "Sutton 1988",
        }.items()
    },
    **{  # that plan; for one row, as in the book
        (name, None): Preset(source, num_steps=20_000, num_envs=1, rollout_length=1, config={"ties": "random"})
        for name, source in {
            "dyna_q": "Sutton and Barto 2018, section 8.2", "dyna_q_plus": "Sutton and Barto 2018, section 8.3",
            "prioritised_sweeping": "Moore and Atkeson 1993",
        }.items()
    },
    ("differential_sarsa", None): Preset(
        "Sutton and Barto 2018, section 10.3", num_steps=500_000, num_envs=1, rollout_length=50,
    ),
    ("differential_sarsa", "access_control"): Preset(
        "tuned here on seeds 0 to 15", num_steps=2_000_000, num_envs=64, rollout_length=50,
        config={
            "learning_rate": 0.2, "learning_rate_decay": 1e-3, "average_step": 0.1, "epsilon": 0.3,
            "exploration_decay": 1e-4,
        },
    ),
    ("linear_sarsa", None): Preset(
        "Sutton and Barto 2018, section 12.7", num_steps=100_000, num_envs=1, rollout_length=1,
    ),
    ("linear_sarsa", "mountain_car"): Preset(
        "MushroomRL's exploration by optimism, tuned here on seeds 0 to 31", num_steps=50_000, num_envs=1,
        rollout_length=1,
        config={"tilings": 32, "learning_rate": 1.7, "discount": 1.0, "trace_decay": 0.95, "epsilon": 0.0},
    ),
    ("sarsa", "windy_gridworld"): Preset(
        "tuned here on seeds 0 to 51", num_steps=1_000_000, num_envs=16, rollout_length=4,
        config={
            "learning_rate": 1.0, "learning_rate_decay": 0.01, "discount": 1.0, "epsilon": 0.3,
            "exploration_decay": 3e-4,
        },
    ),
    ("q_learning", "frozen_lake"): Preset(
        "step sizes of Wainwright 2019, tuned here on seeds 0 to 9", num_steps=4_000_000, num_envs=256,
        rollout_length=16,
        config={"learning_rate": 1.0, "learning_rate_decay": 0.02, "epsilon": 0.3, "initial_value": 1.0},
    ),
}  # fmt: skip
