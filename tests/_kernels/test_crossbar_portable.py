"""The code that other processors run gives the same codes: the contract again, compiled for AVX2 only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}


@pytest.mark.slow
def test_the_contract_holds_without_avx512() -> None:
    looked = "from ohmfield._kernels.crossbar_vectors import LOOKUP; assert not any(LOOKUP.values()), LOOKUP"
    environment = {**os.environ, **AVX2}
    subprocess.run([sys.executable, "-c", looked], env=environment, check=True)
    contract = str(Path(__file__).with_name("test_crossbar.py"))
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", contract], env=environment, check=True)
