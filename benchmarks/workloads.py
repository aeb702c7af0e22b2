"""Seconds from a model without weights to its operators: traces on the meta device, an export, sizes alone.

    python benchmarks/workloads.py

One process, processor time, median of five after one that does not count. Models are built beforehand; no weight is
allocated.
"""

from __future__ import annotations

import torch

from common import in_turns, show, write
from ohmfield.mapping.frames import radiance_frame
from ohmfield.mapping.tokens import decode, prefill
from ohmfield.mapping.trace import trace
from ohmfield.networks import ResNet18
from ohmfield.networks.transformers import transformer


def main() -> None:
    torch.set_num_threads(2)
    with torch.device("meta"):
        resnet, image = ResNet18().eval(), torch.empty(1, 3, 224, 224)
    program = torch.export.export(resnet, (image,))
    llama, experts, vit = (transformer(name) for name in ("llama-3-8b", "gpt-oss-120b", "vit-b-16"))
    runs = {
        "ResNet-18, module on meta": lambda: trace(resnet, image),
        "ResNet-18, exported program": lambda: trace(program),
        "Llama-3-8B, token at 4096": lambda: decode(llama, 4096),
        "Llama-3-8B, prompt of 4096": lambda: prefill(llama, 4096),
        "gpt-oss-120B, token at 4096": lambda: decode(experts, 4096),
        "ViT-B/16, image": lambda: prefill(vit),
        "instant-ngp, frame of 800 x 800": lambda: radiance_frame(800, 800, samples_per_ray=8.0, steps_per_ray=40.0),
    }
    seconds = in_turns(runs, cpu=True)
    figures = {}
    for name, run in runs.items():
        made = run()
        shapes = getattr(made, "shapes", made)
        figures[name] = {"seconds": seconds[name], "operators": len(shapes.operators), "macs": made.macs}
    rows = [[name, row["operators"], row["macs"] / 1e9, row["seconds"]] for name, row in figures.items()]
    show("From a model without weights to its operators", ["what", "operators", "GMACs", "processor seconds"], rows)
    write("workloads", {"rows": figures})


if __name__ == "__main__":
    main()
