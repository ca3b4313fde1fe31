"""Which buffer a configuration asks for: the options of replay, which agents that learn from it have in common."""

from typing import Any

from jaxrl.buffers.hindsight import hindsight
from jaxrl.buffers.prioritized import prioritized
from jaxrl.buffers.uniform import uniform
from jaxrl.errors import UsageError
from jaxrl.types import Buffer, Environment


def replay(env: Environment, config: Any, batches: int = 1) -> Buffer:
    """A buffer that deals `batches` batches at once: of goals in hindsight, by priority, or all alike."""
    if config.hindsight is not None and config.prioritized:
        raise UsageError(f"hindsight is {config.hindsight}, which has no priorities: turn hindsight or prioritized off")
    size, batch, least, num_steps = (
        config.buffer_size, config.batch_size * batches, config.learning_starts, config.backup_steps,
    )  # fmt: skip
    if config.hindsight is not None:
        return hindsight(
            size, batch, env.hindsight, env.max_steps, config.hindsight, min_size=least, num_steps=num_steps
        )
    if config.prioritized:
        return prioritized(
            size, batch, least, num_steps, priority_exponent=config.priority_exponent,
            importance_start=config.importance_start, importance_updates=config.importance_updates,
        )  # fmt: skip
    return uniform(size, batch, least, num_steps)
