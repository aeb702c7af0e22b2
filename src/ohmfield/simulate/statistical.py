"""The moment-matched product: one integer product and one random number per output, in place of every conversion.

Per copy and output, gain, offset and spread are fitted to what the exact kernel gives on calibration vectors. It keeps
mean and variance of the error, not its dependence on the inputs, nor between outputs: a choice to be named, never made
for you.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ohmfield._kernels.crossbar import LoweredArray
from ohmfield._kernels.moments import BytePlane
from ohmfield.numerics import Noise
from ohmfield.simulate.calibrate import layer_inputs
from ohmfield.simulate.choose import exact_product
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.products import Counts, CrossbarProduct, InputOrder
from ohmfield.spec import InputError

VECTORS = 512  # that each layer is fitted on: the spread is known to 3 %


@dataclass(frozen=True, eq=False)
class Moments:
    """One copy: its weights on 8 bits, and float32 [gain, offset, sd] per output, in units of the output."""

    plane: BytePlane
    values: Float[np.ndarray, "3 outputs"]


class MomentMatchedProduct:
    """Vector i meets copy i % copies, as in the exact product; its random number depends on its own number alone."""

    def __init__(self, copies: Sequence[Moments], step: float, noise: Noise, order: InputOrder) -> None:
        self.copies = tuple(copies)
        self.step = step
        self.noise = noise
        self.order = order

    def run(
        self, codes: Int[np.ndarray, "vectors inputs"], first: int
    ) -> tuple[Int[np.ndarray, "vectors outputs"], Counts]:
        """int32 outputs in units of `step` levels; counts as the arrays would make them."""
        many = len(self.copies)
        if many == 1:
            own = self.copies[0]
            out = own.plane.finished(codes, own.values, self.noise.at("moments", 0), first)
            return out, self.order.count(codes)
        out = np.empty((len(codes), self.copies[0].values.shape[1]), dtype=np.int32)
        for start in range(min(many, len(codes))):
            copy = (first + start) % many
            own = self.copies[copy]
            noise = self.noise.at("moments", copy)
            out[start::many] = own.plane.finished(codes[start::many], own.values, noise, (first + start) // many)
        return out, self.order.count(codes)


def match_moments(module: nn.Module, coords: Shaped[Tensor, "num *dims"]) -> nn.Module:
    """`module`, products through converters replaced by moment-matched ones, fitted on what they see at `coords`."""
    inputs = layer_inputs(module, coords, VECTORS)
    for path, layer in chip_layers(module).items():
        if isinstance(layer.product, CrossbarProduct):
            order = exact_product(layer.weight_codes().numpy(), layer.plan, layer.chip).order
            layer.product = matched(layer.product, inputs[path], order, path)
    return module


def matched(
    product: CrossbarProduct, inputs: Int[np.ndarray, "vectors inputs"], order: InputOrder, path: str = "product"
) -> MomentMatchedProduct:
    """`product` fitted on `inputs`, each copy on all of them. Raises `InputError` for inputs of more than 8 bits."""
    if inputs.size and (inputs.max() > 255 or inputs.min() < -128):
        raise InputError(f"{path}: moment-matched products take inputs of at most 8 bits; use arithmetic: exact")
    copies = []
    for copy, array in enumerate(product.copies):
        exact, _ = product.of_copy(copy, product.noise.at("fit", copy)).run(inputs, 0)
        plane = BytePlane(_byte_weights(array, product), signed=order.drive != "unsigned")
        copies.append(Moments(plane, _fit(plane.sums(inputs).astype(np.float64), exact.astype(np.float64))))
    return MomentMatchedProduct(copies, product.step, product.noise, order)


def _byte_weights(array: LoweredArray, product: CrossbarProduct) -> Int[np.ndarray, "inputs outputs"]:
    """The weights that the cells hold, errors included, scaled and rounded to +-127; the fit takes the scale back."""
    per_code = np.full(array.num_banks, float(array.grid)) if array.step is None else array.step
    banks = array.bank_weights
    banks = np.repeat(banks, np.diff(array.starts), axis=0) if banks.ndim == 3 else banks.reshape(array.num_banks, -1)
    banks = np.broadcast_to(banks / per_code[:, None], array.levels.shape)
    weights = np.einsum("kbn,kbn->kn", array.levels.astype(np.float64), banks)
    if product.sums:
        weights -= np.repeat(product.sums.per_sum, np.diff(product.sums.starts), axis=0) / product.step
    largest = np.abs(weights).max(initial=0.0)
    return np.floor(weights * (127.0 / largest if largest else 0.0) + 0.5).astype(np.int8)


def _fit(sums: Float[np.ndarray, "vectors outputs"], exact: Float[np.ndarray, "vectors outputs"]) -> np.ndarray:
    """float32 [gain, offset, sd] per output by least squares; sd of the residual, two freedoms taken off."""
    middle, centre = sums.mean(axis=0), exact.mean(axis=0)
    spread = sums - middle
    power = (spread**2).sum(axis=0)
    gain = (spread * (exact - centre)).sum(axis=0) / np.where(power > 0.0, power, 1.0)
    offset = centre - gain * middle
    residual = exact - gain * sums - offset
    sd = np.sqrt((residual**2).sum(axis=0) / max(1, len(sums) - 2))
    return np.stack([gain, offset, sd]).astype(np.float32)
