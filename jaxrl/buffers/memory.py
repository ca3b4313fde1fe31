"""Whether what is about to be allocated can fit at all."""

import os

import jax

from jaxrl.errors import UsageError


def available_bytes() -> int | None:
    """What the first device may hold; the physical memory of the host where that is unknown; None if both are."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if limit is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return limit


def check_fits(num_bytes: int, capacity: int) -> None:
    """Refuse a buffer that is larger than the memory, before it is allocated."""
    limit = available_bytes()
    if limit is not None and num_bytes > limit:
        taken = f"a buffer of {capacity:,} transitions takes {num_bytes:,} bytes"
        raise UsageError(f"{taken}, expected at most the {limit:,} that there are: lower the capacity")
