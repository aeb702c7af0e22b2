"""Trains the float models of `cifar.py` on the CIFAR-10 subset and saves them; half an hour of one core.

    python benchmarks/cifar_models.py --out runs/cifar [--resnet-epochs 70] [--vit-epochs 35]

10,000 training images, random crops from a border of 4 and flips, label smoothing 0.1, a linear warm-up and a cosine.
ResNet-20: SGD with momentum, bf16. ViT: AdamW, fp32. The test images are looked at once, at the end.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from ohmfield.networks import resnet, vit
from ohmfield.signals.examples import Examples
from ohmfield.signals.labels import cifar10

BORDER = 4
WARM_UP = 0.1  # share of the steps


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to `BORDER` pixels (zeros come in) and flipped or not."""
    count, _, height, width = images.shape
    padded = nn.functional.pad(images, (BORDER,) * 4)
    top, left = torch.randint(0, 2 * BORDER + 1, (2, count, 1, 1), generator=generator)
    flip = torch.rand((count, 1), generator=generator) < 0.5
    columns = torch.arange(width)[None]
    columns = torch.where(flip, width - 1 - columns, columns)[:, None, :] + left
    rows = torch.arange(height)[None, :, None] + top
    return padded.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], rows, columns].permute(0, 3, 1, 2)


def accuracy(model: nn.Module, data: Examples) -> float:
    """Share of `data` that `model` gets right."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in data.inputs.split(250)])
    return data.score(logits)["accuracy"]


def train(
    model: nn.Module, optimiser: torch.optim.Optimizer, data: Examples, epochs: int, batch: int, bf16: bool
) -> None:
    """`epochs` over the training part of `data`; prints the loss of every fifth."""
    generator, learn = torch.Generator().manual_seed(0), data.train
    steps, rates = epochs * (len(learn) // batch), [group["lr"] for group in optimiser.param_groups]
    step, started = 0, time.perf_counter()
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(learn), generator=generator).split(batch):
            if len(chosen) < batch:
                continue
            done = step / steps
            factor = (
                done / WARM_UP if done < WARM_UP else 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))
            )
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            images = augmented(learn.inputs[chosen], generator).contiguous(
                memory_format=torch.channels_last if bf16 else torch.contiguous_format
            )
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                logits = model(images)
            loss = nn.functional.cross_entropy(logits.float(), learn.labels[chosen], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
            step += 1
        if epoch % 5 == 4 or epoch == epochs - 1:
            print(
                f"epoch {epoch + 1}: loss {total * batch / len(learn):.3f}, {time.perf_counter() - started:.0f} s",
                flush=True,
            )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=Path("runs/cifar"))
    arguments.add_argument("--data", default=None, help="data folder, else OHMFIELD_DATA")
    arguments.add_argument("--resnet-epochs", type=int, default=70)
    arguments.add_argument("--vit-epochs", type=int, default=35)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = cifar10(chosen.data)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.resnet_epochs:
        model = resnet(20).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
        train(model, sgd, data, chosen.resnet_epochs, batch=128, bf16=True)
        save(model, data, chosen.out / "resnet20.safetensors")
    if chosen.vit_epochs:
        model = vit()
        adam = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
        train(model, adam, data, chosen.vit_epochs, batch=128, bf16=False)
        save(model, data, chosen.out / "vit.safetensors")


def save(model: nn.Module, data: Examples, path: Path) -> None:
    """Writes the weights and prints the accuracy on the test part."""
    print(f"{path.name}: {accuracy(model, data.test):.4f} of {len(data.test)} test images", flush=True)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    safetensors.torch.save_file(state, path)


if __name__ == "__main__":
    main()
