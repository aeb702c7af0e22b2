"""What every test stands on: thread count, enforced shapes, hypothesis profiles, a folder for a run."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

import shape_check

# Before the package is imported. Not the compiled kernels: numba would see the checker's wrapper.
CHECKED = (
    "chip",
    "compress",
    "cost",
    "deploy",
    "fields",
    "fit",
    "mapping",
    "networks",
    "numerics",
    "report",
    "signals",
    "simulate",
)
install_import_hook([f"ohmfield.{name}" for name in CHECKED], f"{shape_check.__name__}.check")

# One OpenMP thread: a second one, spinning beside our own kernel threads, makes a 2 ms operation take 16 ms.
torch.set_num_threads(1)
matplotlib.use("Agg")

# The quick profile draws the same examples every time; a thorough run looks for new ones.
settings.register_profile(
    "common",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("quick", settings.get_profile("common"), max_examples=25, derandomize=True)
settings.register_profile("thorough", settings.get_profile("common"), max_examples=400)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes share the cores (`pytest -n 2`), each and what it starts has one thread of its own."""
    if getattr(config.option, "numprocesses", None):
        for name in ("OHMFIELD_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Scaled photographs are kept here, not in the cache of whoever runs the tests."""
    os.environ["OHMFIELD_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def tmp_run(tmp_path: Path) -> Path:
    """A folder name for a run that does not exist yet."""
    return tmp_path / "run"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that is not ours to redistribute; the test skips where it is absent."""
    folder = Path(os.environ.get("OHMFIELD_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set OHMFIELD_DATA to use it")
    return folder
