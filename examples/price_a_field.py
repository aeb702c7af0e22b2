"""What would a hash-grid field cost per 512 x 512 frame, on every chip that ships and on two processors?

Energy and time follow from shapes alone, so nothing is trained; how many input bits are set is assumed, and said so.
Run: python examples/price_a_field.py
"""

import torch

from ohmfield.chip.files import list_baselines, list_chips, load_baseline, load_chip
from ohmfield.cost.baseline import baseline_bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.fields.presets import build
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Workload

shapes = trace(build("hash"), torch.rand(16, 2))
workload = Workload(shapes, items=512 * 512)

bills = [evaluate(chip, workload, place(shapes, chip)) for chip in map(load_chip, list_chips())]
bills += [baseline_bill(load_baseline(name), workload) for name in list_baselines()]
for bill in bills:
    low, mid, high = bill.energy_mJ
    print(f"{bill.name:20} {mid:8.3g} mJ ({low:.3g} to {high:.3g})  {bill.frames_per_s[1]:6.0f} frames/s")
    costly = max(bill.by_component().items(), key=lambda item: item[1][1])
    print(f"{'':20} most of it: {costly[0]}, {costly[1][1] / mid:.0%};  {bill.boundary}")
