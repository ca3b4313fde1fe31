"""What every test shares: two CPU devices, and compiled programs that are kept between runs of the suite."""

import gc
import os
import sys
from pathlib import Path

import jax
import pytest

from jaxrl import backend

sys.path.insert(0, str(Path(__file__).parent))  # so that the tables of `contracts` are found in every import mode


def pytest_configure(config: pytest.Config) -> None:
    """Before the first array: seeds are spread over two devices, everything else runs on the first of them."""
    if "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", 2)
    if getattr(config, "cache", None) and not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("xla")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_collection_finish() -> None:
    """Traces make many small objects that live: looking through all of them again and again took half of their time."""
    backend.freeze_imports()
    gc.set_threshold(50_000, 10, 3)
