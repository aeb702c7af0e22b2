"""Residual networks for small images and for photographs: convolutions, batch norms and one linear layer."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.networks.sizes import within
from ohmfield.spec import InputError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the way around them; a 1x1 convolution where sizes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.act2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "items inputs height width"]) -> Float[Tensor, "items outputs h w"]:
        """Features of half the height and width where the stride is two."""
        inner = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return self.act2(inner + self.downsample(x))


class ResNet(nn.Module):
    """Three stages of blocks at full, half and quarter resolution, a mean over positions, a linear classifier."""

    def __init__(self, blocks: int, width: int, num_classes: int, channels: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.layer1 = _stage(width, width, blocks, stride=1)
        self.layer2 = _stage(width, 2 * width, blocks, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "items channels height width"]) -> Float[Tensor, "items classes"]:
        """Logits of images with values in [0, 1]."""
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.flatten(self.avgpool(x)))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


def resnet(depth: int = 20, width: int = 16, num_classes: int = 10, channels: int = 3) -> ResNet:
    """The CIFAR residual network of `depth` layers (6 n + 2), `width` channels in its first stage.

    Parameters start from torch's generator. Shortcuts that change sizes are 1x1 convolutions ("option B").
    Source: He et al., CVPR 2016, section 4.2.

    >>> sum(p.numel() for p in resnet(20).parameters())
    272474
    """
    if depth < 8 or depth > 254 or depth % 6 != 2:
        raise InputError(f"resnet: depth = {depth} is not allowed; use 6 n + 2 from 8 to 254: 8, 14, 20, 32, 56, ...")
    within("resnet", 1, 1024, width=width, channels=channels)
    within("resnet", 2, 2**16, num_classes=num_classes)
    made = ResNet((depth - 2) // 6, width, num_classes, channels)
    made.config = {
        "preset": "resnet", "depth": depth, "width": width, "num_classes": num_classes, "channels": channels
    }  # fmt: skip
    return made


class ResNet18(nn.Module):
    """Residual network for images of 224 x 224 pixels: a stem of stride 4, four stages of two blocks, a classifier.

    Source: He et al., CVPR 2016, table 1, 18 layers; shortcuts that change sizes are 1x1 convolutions.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        within("resnet18", 2, 2**16, num_classes=num_classes)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.act1 = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, 2, stride=1)
        self.layer2 = _stage(64, 128, 2, stride=2)
        self.layer3 = _stage(128, 256, 2, stride=2)
        self.layer4 = _stage(256, 512, 2, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x: Float[Tensor, "items 3 height width"]) -> Float[Tensor, "items classes"]:
        """Logits of images."""
        x = self.maxpool(self.act1(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.flatten(self.avgpool(x)))
