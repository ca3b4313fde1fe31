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


def policy_iteration(model: Model, discount: float, legal: Any = None, max_rounds: int = 1_000) -> np.ndarray:
    """Optimal action values Q float64 [S, A] (Howard 1960), -inf where illegal: a few policies, each valued exactly."""
    reward, weight, next_state = _expected(model)
    allowed = np.ones_like(reward, bool) if legal is None else np.asarray(legal)
    policy = allowed.argmax(-1)
    for _ in range(max_rounds):
        values = policy_value(model, policy, discount=discount)
        q = np.where(allowed, reward + discount * (weight * values[next_state]).sum(-1), -np.inf)
        kept = np.take_along_axis(q, policy[:, None], -1)[:, 0]
        better = q.max(-1) > kept + 1e-9 * (
            1 + np.abs(kept)
        )  # a rounding is no improvement: it could alternate for ever
        if not better.any():
            return q
        policy = np.where(better, q.argmax(-1), policy)
    raise UsageError(f"the policy still improves after {max_rounds} rounds: expected values that are finite")


def greedy(values: Any, epsilon: float = 0.0, tolerance: float = 1e-8) -> np.ndarray:
    """The epsilon-greedy policy of values [S, A]: probabilities [S, A], which the best actions (ties) share equally.

    With probability epsilon any action is taken; one whose value is -inf is illegal and never is.
    """
    values = np.asarray(values, np.float64)
    legal, best = np.isfinite(values), values >= values.max(-1, keepdims=True) - tolerance
    return (1 - epsilon) * best / best.sum(-1, keepdims=True) + epsilon * legal / legal.sum(-1, keepdims=True)


def policy_value(model: Model, policy: Any, horizon: int | None = None, discount: float = 1.0) -> np.ndarray:
    """Values V float64 [S] of a policy, int [S] or probabilities [S, A]: the exact expected return.

    With a horizon, of that many steps from each state; without one, of the whole future (one linear system).
    """
    reward, weight, next_state = _expected(model)
    num_states, num_actions = reward.shape
    chosen = _probabilities(policy, num_actions)
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


def relative_value_iteration(
    model: Model, legal: Any = None, tolerance: float = 1e-10, max_sweeps: int = 1_000_000
) -> tuple[float, np.ndarray]:
    """(best average reward per step, differential action values Q float64 [S, A], whose best is 0 in the first state).

    Where an episode ends, the next one begins. Sweeps (White 1963) go half of the way (Schweitzer 1971), so that worlds
    whose states come round in turn converge too.
    """
    reward, transition = _continuing(model)
    allowed = np.ones_like(reward, bool) if legal is None else np.asarray(legal)
    values = np.zeros(len(reward))
    for _ in range(max_sweeps):
        q = np.where(allowed, reward + transition @ values, -np.inf)
        gains = q.max(-1) - values
        if np.ptp(gains) <= tolerance:
            return float(gains.mean()), q - q[0].max()
        values = values + 0.5 * (gains - gains[0])
    raise UsageError(f"values still change after {max_sweeps} sweeps: expected that every state can be reached again")


def average_reward(model: Model, policy: Any) -> float:
    """The exact reward per step of a policy, int [S] or [S, A]; where an episode ends, the next one begins."""
    chosen, (reward, transition) = _probabilities(policy, len(model.probability[0])), _continuing(model)
    reward, transition = (chosen * reward).sum(-1), np.einsum("sa,sat->st", chosen, transition)
    # rate + values = reward + transition values; the value of the first state is 0, and the rate stands in its place
    system = np.eye(len(reward)) - transition
    system[:, 0] = 1.0
    solution = np.linalg.lstsq(system, reward)[0]
    if np.abs(system @ solution - reward).max() > 1e-8 * (1 + np.abs(reward).max()):
        raise UsageError("this policy has no single average reward: expected that it can return to one state from all")
    return float(solution[0])


def start_value(model: Model, values: Any) -> float:
    """The mean of values [S] over the distribution of the first state."""
    return float(np.asarray(model.start, np.float64) @ np.asarray(values, np.float64))


def _expected(model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(expected reward [S, A], probability of going on [S, A, K], next state [S, A, K])."""
    probability = np.asarray(model.probability, np.float64)
    reward = (probability * np.asarray(model.reward, np.float64)).sum(-1)
    return reward, probability * ~np.asarray(model.terminated, bool), np.asarray(model.next_state)


def _probabilities(policy: Any, num_actions: int) -> np.ndarray:
    """A policy, int [S] or float [S, A], as float64 [S, A]."""
    chosen = np.asarray(policy)
    return np.eye(num_actions)[chosen] if chosen.ndim == 1 else chosen.astype(np.float64)


def _continuing(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """(expected reward [S, A], transition [S, A, S]) of a world in which the next episode follows the last."""
    reward, weight, next_state = _expected(model)
    num_states, num_actions = reward.shape
    transition = np.zeros((num_states, num_actions, num_states))
    np.add.at(transition, (*np.ogrid[:num_states, :num_actions, :1][:2], next_state), weight)
    ends = 1 - weight.sum(-1, keepdims=True)
    return reward, transition + ends * np.asarray(model.start, np.float64)
