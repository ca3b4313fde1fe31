"""Tabular agents: one file each, on the table of `core` and the ways to explore of `exploration`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl.agents.tabular import (
    differential_sarsa,
    double_q_learning,
    dyna_q,
    expected_sarsa,
    linear_sarsa,
    monte_carlo,
    n_step_sarsa,
    prioritised_sweeping,
    q_lambda,
    q_learning,
    sarsa_lambda,
    td_lambda,
    td_prediction,
    tree_backup,
)
from jaxrl.types import Agent


class Named(NamedTuple):
    config: Any
    constructor: Callable[..., Agent]  # (observation space, action space, config) -> Agent
    defaults: dict[str, Any] = {}  # what differs from the config's own
    about: str = ""  # in one line, where that is not the first of the constructor's module


AGENTS: dict[str, Named] = {
    "q_learning": Named(q_learning.Config, q_learning.q_learning),
    "double_q_learning": Named(double_q_learning.Config, double_q_learning.double_q_learning),
    "expected_sarsa": Named(expected_sarsa.Config, expected_sarsa.expected_sarsa),
    "sarsa": Named(
        n_step_sarsa.Config, n_step_sarsa.n_step_sarsa, {"backup_steps": 1}, "Sarsa (Rummery and Niranjan 1994)."
    ),
    "n_step_sarsa": Named(n_step_sarsa.Config, n_step_sarsa.n_step_sarsa),
    "tree_backup": Named(tree_backup.Config, tree_backup.tree_backup),
    "sarsa_lambda": Named(sarsa_lambda.Config, sarsa_lambda.sarsa_lambda),
    "q_lambda": Named(q_lambda.Config, q_lambda.q_lambda),
    "monte_carlo": Named(monte_carlo.Config, monte_carlo.monte_carlo),
    "td_prediction": Named(td_prediction.Config, td_prediction.td_prediction),
    "td_lambda": Named(td_lambda.Config, td_lambda.td_lambda),
    "dyna_q": Named(dyna_q.Config, dyna_q.dyna_q),
    "dyna_q_plus": Named(
        dyna_q.Config, dyna_q.dyna_q, {"plan_untried": True, "time_bonus": 1e-3}, "Dyna-Q+ (Sutton 1990)."
    ),
    "prioritised_sweeping": Named(prioritised_sweeping.Config, prioritised_sweeping.prioritised_sweeping),
    "differential_sarsa": Named(differential_sarsa.Config, differential_sarsa.differential_sarsa),
    "linear_sarsa": Named(linear_sarsa.Config, linear_sarsa.linear_sarsa),
}
