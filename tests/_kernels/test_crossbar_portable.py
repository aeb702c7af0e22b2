"""The code that other processors run gives the same codes: the contract again, with AVX2 and with no lookup at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("features", "lookup"), [("", {8: False, 16: False}), ("+avx2", {8: True, 16: True})], ids=["masks", "avx2"]
)
def test_the_contract_holds_without_avx512(features: str, lookup: dict[int, bool]) -> None:
    looked = f"from ohmfield._kernels.crossbar_vectors import LOOKUP; assert LOOKUP == {lookup}, LOOKUP"
    environment = {**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features}
    subprocess.run([sys.executable, "-c", looked], env=environment, check=True)
    contract = str(Path(__file__).with_name("test_crossbar.py"))
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", contract], env=environment, check=True)
