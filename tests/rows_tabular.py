"""The contract table's rows of tabular agents."""

from rows import Row, world

ROWS = {
    "random": Row("random", world("multi_discrete")),
    "random, masked": Row("random", world("masked_walk")),
    "q_learning": Row("q_learning", world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "q_learning, masked": Row("q_learning", world("taxi", masked=True, max_steps=4), {"initial_value": 1.0}),
    "double_q_learning": Row("double_q_learning", world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "double_q_learning, masked, ties": Row(
        "double_q_learning", world("taxi", masked=True, max_steps=4), {"exploration": "ucb", "ties": "random"}
    ),
    "expected_sarsa": Row("expected_sarsa", world("random_mdp", max_steps=5), {"exploration_decay": 0.1}),
    "expected_sarsa, masked": Row(
        "expected_sarsa", world("taxi", masked=True, max_steps=4), {"exploration": "boltzmann"}
    ),
    "sarsa": Row("sarsa", world("random_mdp"), {"backup_steps": 1, "epsilon": 0.5, "exploration": "count_bonus"}),
    "n_step_sarsa": Row("n_step_sarsa", world("random_mdp", max_steps=5), {"backup_steps": 3, "epsilon": 0.5}),
    "tree_backup": Row("tree_backup", world("random_mdp", max_steps=5), {"backup_steps": 3, "epsilon": 0.5}),
    "tree_backup, masked": Row("tree_backup", world("taxi", masked=True, max_steps=4), {"backup_steps": 2}),
    "sarsa_lambda": Row("sarsa_lambda", world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "q_lambda": Row("q_lambda", world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "q_lambda, masked": Row("q_lambda", world("taxi", masked=True, max_steps=4), {"traces": "replacing"}),
    "monte_carlo": Row("monte_carlo", world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "monte_carlo, masked": Row("monte_carlo", world("taxi", masked=True, max_steps=4), {"visits": "every"}),
    "td_prediction": Row("td_prediction", world("random_mdp", max_steps=5), {"backup_steps": 3}),
    "td_prediction, masked": Row("td_prediction", world("taxi", masked=True, max_steps=4)),
    "td_lambda": Row("td_lambda", world("random_mdp", max_steps=5), {"traces": "replacing"}),
    "dyna_q": Row("dyna_q", world("random_mdp", max_steps=5), {"planning_steps": 3, "epsilon": 0.5}),
    "dyna_q, masked": Row("dyna_q", world("taxi", masked=True, max_steps=4), {"planning_steps": 2}),
    "dyna_q_plus": Row("dyna_q_plus", world("random_mdp", max_steps=5), {"planning_steps": 3}),
    "dyna_q_plus, masked": Row("dyna_q_plus", world("taxi", masked=True, max_steps=4), {"planning_steps": 2}),
    "prioritised_sweeping": Row("prioritised_sweeping", world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "prioritised_sweeping, masked": Row(
        "prioritised_sweeping", world("taxi", masked=True, max_steps=4), {"planning_steps": 2}
    ),
    "differential_sarsa": Row("differential_sarsa", world("random_mdp", max_steps=5), {"epsilon": 0.5}),
    "differential_sarsa, masked": Row(
        "differential_sarsa", world("taxi", masked=True, max_steps=4), {"learning_rate": 0.1}
    ),
    "linear_sarsa": Row("linear_sarsa", world("counter", length=4), {"epsilon": 0.5}),
    "linear_sarsa, masked, true online": Row(
        "linear_sarsa", world("masked_walk", length=4), {"tiles": 1, "tilings": 2, "true_online": True}
    ),
}  # fmt: skip
