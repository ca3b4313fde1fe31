"""Multi-step returns, advantages and off-policy targets, over one reverse linear recurrence.

Everything is time-major, [T, ...]. Entry t belongs to the transition from s_t to s_{t+1}: r_t = rewards[t],
v_t = values[t] = V(s_t) and v'_t = next_values[t] = V(s_{t+1}), where s_{t+1} is what the transition really reached,
never the state after a reset. Three things follow, and hold in every function:

- `terminated`: nothing is bootstrapped (v'_t counts as 0), also where the same step is `truncated`.
- `truncated`, and the last step of the arrays: bootstraps from v'_t. Nothing crosses the end of an episode.
- not `valid` (a dead agent, the reset row of a next-step auto-reset): the step gives 0, and the step before it ends
  as at a truncation. What the invalid step holds, even NaN, reaches no other step.

A discount and a trace decay are numbers or arrays that broadcast to [T, ...]. No gradient is stopped here.
"""

import chex
import jax
import jax.numpy as jnp

from jaxrl.types import Array

Factor = Array | float


def _recur(a: Array, b: Array) -> Array:
    """x_t = a_t + b_t x_{t+1} with x_T = 0: [T, ...] -> [T, ...]. Where b_t is 0, x_{t+1} may be NaN."""

    # A sequential scan: on CPU faster than an associative one (9 us for [128, 64]), quick to compile, and independent
    # of what follows an episode's end to the last bit.
    def step(x_next: Array, ab: tuple[Array, Array]) -> tuple[Array, Array]:
        a_t, b_t = ab
        x_t = jnp.where(b_t == 0, a_t, a_t + b_t * x_next)
        return x_t, x_t

    return jax.lax.scan(step, jnp.zeros_like(a[0]), (a, b.astype(a.dtype)), reverse=True)[1]


def _next(x: Array) -> Array:
    """x_{t+1} at t: [T, ...] -> [T, ...]; the last entry is none."""
    return jnp.roll(x, -1, axis=0)


def _enter(
    terminated: Array, truncated: Array, valid: Array | None, rewards: Array, next_values: Array, *others: Array
) -> list[Array]:
    """[goes_on, rewards, next_values, *others], all [T, ...]: `goes_on` where step t + 1 continues the episode.

    What must not be read is 0: v' at terminations, everything at invalid steps.
    """
    chex.assert_equal_shape([rewards, next_values, terminated, truncated, *others])
    chex.assert_type([terminated, truncated], bool)
    valid = jnp.ones_like(terminated) if valid is None else valid
    next_valid = jnp.concatenate([valid[1:], jnp.zeros_like(valid[:1])])
    goes_on = valid & next_valid & ~(terminated | truncated)
    next_values = jnp.where(terminated, 0, next_values)
    return [goes_on, *(jnp.where(valid, x, 0) for x in (rewards, next_values, *others))]


def lambda_returns(
    rewards: Array, next_values: Array, terminated: Array, truncated: Array, discount: Factor, trace_decay: Factor,
    valid: Array | None = None,
) -> Array:  # fmt: skip
    """TD(lambda) targets: [T, ...] -> [T, ...] (Sutton and Barto 2018, eq. 12.18).

    G_t = r_t + discount ((1 - lambda) v'_t + lambda G_{t+1}), with lambda = 0 where an episode ends.
    """
    goes_on, rewards, next_values = _enter(terminated, truncated, valid, rewards, next_values)
    decay = jnp.where(goes_on, trace_decay, 0.0)
    return _recur(rewards + discount * (1 - decay) * next_values, discount * decay)


def discounted_returns(
    rewards: Array, next_values: Array, terminated: Array, truncated: Array, discount: Factor,
    valid: Array | None = None,
) -> Array:  # fmt: skip
    """Monte Carlo returns, bootstrapped only where an episode was cut: [T, ...] -> [T, ...]."""
    return lambda_returns(rewards, next_values, terminated, truncated, discount, 1.0, valid)


def n_step_returns(
    rewards: Array, next_values: Array, terminated: Array, truncated: Array, discount: Factor, n: int,
    valid: Array | None = None,
) -> Array:  # fmt: skip
    """n-step targets: [T, ...] -> [T, ...] (Sutton and Barto 2018, eq. 7.1).

    G^1_t = r_t + discount v'_t and G^k_t = r_t + discount G^{k-1}_{t+1}; where an episode ends, G^k_t = G^1_t.
    """
    chex.assert_scalar_positive(n)
    goes_on, rewards, next_values = _enter(terminated, truncated, valid, rewards, next_values)

    def longer(_: Array, returns: Array) -> Array:
        return rewards + discount * jnp.where(goes_on, _next(returns), next_values)

    return jax.lax.fori_loop(1, min(n, rewards.shape[0]), longer, rewards + discount * next_values)


def gae(
    rewards: Array, values: Array, next_values: Array, terminated: Array, truncated: Array, discount: Factor,
    trace_decay: Factor, valid: Array | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Generalised advantages and their value targets: [T, ...] -> 2 x [T, ...] (Schulman et al. 2016, eq. 16).

    A_t = sum_k (discount lambda)^k delta_{t+k} = G_t - v_t, with the lambda return G_t as the target of v_t.
    """
    chex.assert_equal_shape([values, rewards])
    targets = lambda_returns(rewards, next_values, terminated, truncated, discount, trace_decay, valid)
    advantages = targets - values
    return advantages if valid is None else jnp.where(valid, advantages, 0), targets


def vtrace(
    rewards: Array, values: Array, next_values: Array, ratios: Array, terminated: Array, truncated: Array,
    discount: Factor, trace_decay: Factor = 1.0, max_rho: float = 1.0, max_c: float = 1.0, valid: Array | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """V-trace advantages and value targets: [T, ...] -> 2 x [T, ...] (Espeholt et al. 2018, eq. 1 and section 4.2).

    With ratios[t] = pi(a_t | s_t) / mu(a_t | s_t), rho_t = min(max_rho, ratio), c_t = lambda min(max_c, ratio):
    G_t = v_t + rho_t (r_t + discount v'_t - v_t) + discount c_t (G_{t+1} - v'_t), with c_t = 0 where an episode ends;
    A_t = rho_t (r_t + discount ((1 - lambda) v'_t + lambda G_{t+1}) - v_t). On-policy, clipped at 1, this is `gae`.
    """
    goes_on, rewards, next_values, values, ratios = _enter(
        terminated, truncated, valid, rewards, next_values, values, ratios
    )
    decay = jnp.where(goes_on, trace_decay, 0.0)
    rho, c = jnp.minimum(max_rho, ratios), decay * jnp.minimum(max_c, ratios)
    targets = _recur((1 - rho) * values + rho * rewards + discount * (rho - c) * next_values, discount * c)
    following = (1 - decay) * next_values + jnp.where(goes_on, decay * _next(targets), 0)
    return rho * (rewards + discount * following - values), targets


def retrace(
    rewards: Array, action_values: Array, next_values: Array, ratios: Array, terminated: Array, truncated: Array,
    discount: Factor, trace_decay: Factor = 1.0, valid: Array | None = None,
) -> Array:  # fmt: skip
    """Retrace(lambda) targets of Q(s_t, a_t): [T, ...] -> [T, ...] (Munos et al. 2016, eq. 3 and 4).

    With q_t = action_values[t] = Q(s_t, a_t), v'_t = next_values[t] = sum_a pi(a | s_{t+1}) Q(s_{t+1}, a) and
    c_t = lambda min(1, pi(a_t | s_t) / mu(a_t | s_t)): G_t = r_t + discount (v'_t + c_{t+1} (G_{t+1} - q_{t+1})).
    """
    goes_on, rewards, next_values, action_values, ratios = _enter(
        terminated, truncated, valid, rewards, next_values, action_values, ratios
    )
    c = trace_decay * jnp.minimum(1.0, ratios)
    correction = jnp.where(goes_on, _next(c * action_values), 0)
    return _recur(rewards + discount * (next_values - correction), discount * jnp.where(goes_on, _next(c), 0))
