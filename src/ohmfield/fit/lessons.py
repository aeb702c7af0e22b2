"""What training learns from in each step: points or examples of a shuffle, or rays through photographs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ohmfield._kernels.composite import composite
from ohmfield._kernels.threads import run_parallel
from ohmfield.fields.field import is_plain
from ohmfield.fields.radiance import Radiance
from ohmfield.fit.losses import Listed, items_of
from ohmfield.fit.options import FitOptions
from ohmfield.numerics import Noise
from ohmfield.render.march import inputs, seen
from ohmfield.render.occupancy import Occupancy
from ohmfield.render.options import RenderOptions
from ohmfield.signals.examples import Examples
from ohmfield.signals.views import Views

Signal = Listed | Views

CHUNKS = 2
"""Parts of a batch that threads work on; fixed, so that the bits do not depend on the number of threads."""

SMALLEST_CHUNK = 2048
"""Points that are worth a thread: below, handing over Python's lock costs more than it gains."""

LOOK_EVERY = 16
"""Steps between two looks at which cells are occupied; nerfacc's."""

FIRST_RAYS = 1024
"""Rays of the first step; afterwards as many as fill a batch of samples."""


class Lesson(ABC):
    """What one signal asks of a model. Which items a step takes depends on the seed and the step alone."""

    peak: float | None = None  # of a signal whose loss is a mean square
    plain: bool = False  # whether the batch is cut for threads: torch's own threads stay off then

    @abstractmethod
    def gradients(self, step: int) -> tuple[float, list[Tensor]]:
        """Loss and gradients of that step's batch."""

    def advance(self, step: int) -> None:  # noqa: B027
        """What changes beside the parameters once `step` steps are done."""

    @property
    @abstractmethod
    def per_step(self) -> int:
        """Items of a step: points, examples or rays."""

    def state(self) -> dict[str, Tensor]:
        """What going on later needs, beside parameters and step."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Goes back to a `state`."""

    def progress(self, loss: float) -> dict[str, float]:
        """`loss`, and for a mean square the `psnr_dB` it stands for."""
        if self.peak is None:
            return {"loss": loss}
        return {"loss": loss, "psnr_dB": 10.0 * math.log10(self.peak**2 / loss) if loss > 0 else math.inf}


class ItemLesson(Lesson):
    """Points, samples of a shape, rays of a scan or labelled examples, in batches of a shuffle."""

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor], signal: Listed, options: FitOptions) -> None:
        self.model, self.parameters, self.items, self.size = model, parameters, items_of(signal), options.batch
        self.peak = self.items.peak
        self.pixels = Noise(options.seed).at("fit", "pixels")
        self.plain = not isinstance(signal, Examples) and is_plain(model)  # batch norms count on whole batches
        self.epoch, self.order = -1, torch.empty(0, dtype=torch.int64)  # the shuffle in use

    @property
    def per_step(self) -> int:
        """Points or examples of a step."""
        return min(self.size, len(self.items))

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step: all points, or the next ones of a shuffle that each epoch draws anew.

        Each point is met once before any is met again (but for a rest smaller than a batch), which is worth 0.8 dB
        over independent draws after 25 epochs of the demo photo.
        """
        num_points, size = len(self.items), self.size
        if size >= num_points:
            return self.items.inputs, self.items.targets
        epoch, place = divmod(step, num_points // size)
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = torch.from_numpy(self.pixels.bits((num_points,), first=epoch).argsort(kind="stable"))
        taken = self.order[place * size : (place + 1) * size]
        return self.items.inputs[taken], self.items.targets[taken]

    def gradients(self, step: int) -> tuple[float, list[Tensor]]:
        """Loss and gradients of a batch: chunks side by side, summed in their order."""
        inputs, targets = self.batch(step)
        items = self.items
        scale = 1.0 / (len(inputs) * items.terms)

        def chunk(part: tuple[Tensor, Tensor]) -> tuple[float, tuple[Tensor, ...]]:
            loss = items.loss(items.observe(self.model, part[0]), part[1]) * scale
            return float(loss.detach()), _gradients(loss, self.parameters)

        if not self.plain:
            loss, gradients = chunk((inputs, targets))
            return loss, list(gradients)
        size = max(-(-SMALLEST_CHUNK // items.points), -(-len(inputs) // CHUNKS))
        parts = run_parallel(chunk, list(zip(inputs.split(size), targets.split(size), strict=True)))
        total = list(parts[0][1])
        for _, gradients in parts[1:]:
            for sum_, gradient in zip(total, gradients, strict=True):
                sum_.add_(gradient)
        return sum(loss for loss, _ in parts), total


class RayLesson(Lesson):
    """Rays through random pixels of the training views of `Views`, as many as fill a batch of samples.

    Where views have alpha, cells outside their silhouettes are carved away first, and each ray is compared over a
    background of its own random colour, so that what is transparent is learnt as such.
    """

    peak = 1.0
    plain = True

    def __init__(self, model: Radiance, parameters: Sequence[Tensor], views: Views, options: FitOptions) -> None:
        self.model, self.parameters, self.views, self.samples = model, parameters, views, options.batch
        self.noise = Noise(options.seed).at("fit", "rays")
        self.chosen = torch.tensor(views.split("train"))
        self.pictures = torch.stack([views.picture(int(view)) for view in self.chosen])
        self.options = RenderOptions()
        model.set_box(views.centre, views.half, views.near)
        self.occupancy = Occupancy(model)
        if views.has_alpha and not model.contracted:  # whose cells are no cubes of space
            self.occupancy.carve(model, views, tuple(views.split("train")))
        self.rays, self.kept = FIRST_RAYS, 0

    @property
    def per_step(self) -> int:
        """Rays of a step."""
        return self.rays

    def gradients(self, step: int) -> tuple[float, list[Tensor]]:
        """Loss and gradients: density says first how far each ray is followed, and only that far is learnt."""
        num, noise = self.rays, self.noise.at(step)
        view = noise.at("view").integers(len(self.chosen), (num,))
        height, width = self.pictures.shape[1:3]
        pixel = noise.at("pixel").integers(height * width, (num,))
        y, x = pixel // width, pixel % width
        origins, directions = self.views.cameras.rays(self.chosen[view], x, y)
        samples = seen(self.model, origins, directions, noise.at("jitter").uniform((num,)), self.options)
        self.kept = len(samples)
        made = self.model(inputs(samples))
        colour, opacity, _ = composite(samples, made[:, 3].contiguous(), made[:, :3].contiguous())
        wanted = self.pictures[view, y, x].float() / 255.0
        alpha = wanted[:, 3:]
        behind = noise.at("behind").uniform((num, 3)) if self.views.has_alpha else torch.zeros(num, 3)
        error = colour + (1.0 - opacity)[:, None] * behind - wanted[:, :3] * alpha - (1.0 - alpha) * behind
        loss = error.square().mean()
        return float(loss.detach()), list(_gradients(loss, self.parameters))

    def advance(self, step: int) -> None:
        """As many rays next time as fill the samples; now and then a look at the grid."""
        wanted = self.rays * self.samples / max(self.kept, 1)
        self.rays = int(min(max(wanted, 0.5 * self.rays, 64), 2.0 * self.rays, self.samples))
        if step % LOOK_EVERY == 0:
            self.occupancy.look(self.model, self.noise.at("look", step), self.options.step)

    def state(self) -> dict[str, Tensor]:
        """The grid, and how many rays come next."""
        return {**self.occupancy.state(), "rays": torch.tensor(self.rays)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes back to a `state`."""
        self.occupancy.restore(state)
        self.rays = int(state["rays"])


def lesson_of(model: nn.Module, parameters: Sequence[Tensor], signal: Signal, options: FitOptions) -> Lesson:
    """What `model` learns from `signal`."""
    if isinstance(signal, Views):
        assert isinstance(model, Radiance)  # `fit` has looked
        return RayLesson(model, parameters, signal, options)
    return ItemLesson(model, parameters, signal, options)


def _gradients(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
