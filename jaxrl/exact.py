"""Exact dynamic programming on a `Model`: the oracle that tests and judged tabular results are held to.

Plain numpy in float64, on the host. S states, A actions, K outcomes of each.
"""

from typing import Any

import numpy as np

from jaxrl.errors import UsageError
from jaxrl.types import Model


def value_iteration(
    model: Model, discount: float, legal: Any = None, tolerance: float = 1e-10, max_sweeps: int = 100_000
) -> np.ndarray:
    """Optimal action values Q float64 [S, A] (Bellman 1957), -inf where legal bool [S, A] says no."""
    reward, weight, next_state = _expected(model)
    allowed = np.ones_like(reward, bool) if legal is None else np.asarray(legal)
    q = np.zeros_like(reward)
    for _ in range(max_sweeps):
        best = np.where(allowed, q, -np.inf).max(-1)
        before, q = q, reward + discount * (weight * best[next_state]).sum(-1)
        if np.abs(q - before).max() <= tolerance:
            return np.where(allowed, q, -np.inf)
    raise UsageError(f"values still change after {max_sweeps} sweeps: expected a discount below 1, not {discount}")


def policy_value(model: Model, policy: Any, horizon: int | None = None, discount: float = 1.0) -> np.ndarray:
    """Values V float64 [S] of a policy, int [S] or probabilities [S, A]: the exact expected return.

    With a horizon, of that many steps from each state; without one, of the whole future (one linear system).
    """
    reward, weight, next_state = _expected(model)
    num_states, num_actions = reward.shape
    chosen = np.asarray(policy)
    chosen = np.eye(num_actions)[chosen] if chosen.ndim == 1 else chosen.astype(np.float64)
    reward, weight = (chosen * reward).sum(-1), chosen[..., None] * weight
    if horizon is not None:
        values = np.zeros(num_states)
        for _ in range(horizon):
            values = reward + discount * (weight * values[next_state]).sum((1, 2))
        return values
    transition = np.zeros((num_states, num_states))
    np.add.at(transition, (np.arange(num_states)[:, None, None], next_state), weight)
    try:
        return np.linalg.solve(np.eye(num_states) - discount * transition, reward)
    except np.linalg.LinAlgError:
        raise UsageError("this policy has no finite value: expected a horizon, or a discount below 1") from None


def start_value(model: Model, values: Any) -> float:
    """The mean of values [S] over the distribution of the first state."""
    return float(np.asarray(model.start, np.float64) @ np.asarray(values, np.float64))


def _expected(model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(expected reward [S, A], probability of going on [S, A, K], next state [S, A, K])."""
    probability = np.asarray(model.probability, np.float64)
    reward = (probability * np.asarray(model.reward, np.float64)).sum(-1)
    return reward, probability * ~np.asarray(model.terminated, bool), np.asarray(model.next_state)
