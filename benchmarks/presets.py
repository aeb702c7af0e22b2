"""Presets of fabricated chips, a full array of each beside its published row. Run: python benchmarks/presets.py

Writes results/presets.json.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from common import show, write
from validation.preset_rows import FOLLOWED, billed

if __name__ == "__main__":
    found = {preset: asdict(billed(preset)) for preset in FOLLOWED}
    show(
        "Bill over published",
        ["preset", *next(iter(found.values()))],
        [[name, *f.values()] for name, f in found.items()],
    )
    known = {name: {key: value for key, value in f.items() if not math.isnan(value)} for name, f in found.items()}
    write("presets", known)
