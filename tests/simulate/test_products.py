"""How a layer multiplies: the same outputs in NumPy and in torch, copies and offsets included."""

import numpy as np
import pytest
import torch

from ohmfield.chip.cells import RramCell
from ohmfield.simulate.products import CrossbarProduct
from small_chip import crossbar, made, random_codes

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_a_product_gives_the_same_on_every_device(device: str, encoding: str) -> None:
    unit = crossbar(RramCell(), copies=3, array={"encoding": encoding}, adc={"bits": 6, "enob": 5.0})
    weights, inputs = random_codes(1, -127, 127, 6, 140), random_codes(2, 0, 255, 11, 140).astype(np.int32)
    product, _ = made(weights, unit, copies=3)
    assert isinstance(product, CrossbarProduct)
    want, counts = product.run(inputs, 5)
    placed = torch.from_numpy(inputs).to(device)
    have, also = product.run_tensor(placed, 5)
    assert have.device.type == device
    np.testing.assert_array_equal(have.cpu().numpy(), want)
    assert also == counts
