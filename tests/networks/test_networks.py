"""Networks: the sizes that papers state, plain children, a config that builds the same again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ohmfield.networks import NETWORKS, build, resnet, vit
from ohmfield.spec import InputError

SMALL: dict[str, nn.Module] = {
    "resnet": resnet(8, width=4, num_classes=4, channels=1),
    "vit": vit(size=8, patch=4, dim=16, depth=1, heads=2, hidden=24, num_classes=4, channels=1),
}


def test_every_network_has_a_small_one_here() -> None:
    assert set(SMALL) == set(NETWORKS)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_maps_images_to_logits_with_plain_children(name: str) -> None:
    model = SMALL[name].eval()
    assert model(torch.rand(3, 1, 8, 8)).shape == (3, 4)
    for module in model.modules():
        if any(True for _ in module.parameters(recurse=False)) and module is not model:
            assert type(module).__module__.startswith("torch.nn."), type(module)


@pytest.mark.parametrize("name", SMALL)
def test_a_config_builds_the_same_network(name: str) -> None:
    model = SMALL[name].eval()
    again = build(model.config).eval()  # type: ignore[arg-type]
    again.load_state_dict(model.state_dict())
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(again(images), model(images))


def test_resnet_20_has_the_macs_and_the_weights_that_the_paper_states() -> None:
    # He et al. 2016, table 6: 0.27 M parameters; 40.5 M MACs follow from the shapes, and 0.3 M for the 1x1 shortcuts.
    model, macs = resnet(20), 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output[0].numel() * module.weight[0].numel() if output.ndim == 4 else module.weight.numel()  # type: ignore[union-attr, operator]

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    model.eval()(torch.rand(1, 3, 32, 32))
    shortcuts = 2 * 16 * 16 * 16 * 32
    assert macs - shortcuts == 40_551_040
    assert len([m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]) == 19


def test_attention_mixes_tokens_and_the_mlp_does_not() -> None:
    block = SMALL["vit"].blocks[0].eval()  # type: ignore[index, union-attr]
    tokens = torch.rand(1, 4, 16)
    other = tokens.clone()
    other[0, 3] += torch.rand(16)
    assert not torch.equal(block(tokens)[0, :3], block(other)[0, :3])
    assert torch.equal(block.mlp(tokens)[0, :3], block.mlp(other)[0, :3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resnet(18), "depth = 18 is not allowed; use 6 n"),
        (lambda: resnet(20, width=0), "width = 0 is not allowed"),
        (lambda: resnet(20, num_classes=True), "num_classes = True"),
        (lambda: vit(size=30), "size = 30 must be a multiple of patch = 4"),
        (lambda: vit(dim=97), "dim = 97"),
        (lambda: build({"preset": "vgg"}), "network 'vgg' is not known; known networks: resnet, vit"),
        (lambda: build({"preset": "vit", "wide": 3}), "unexpected keyword"),
    ],
)
def test_sizes_that_make_no_network_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
