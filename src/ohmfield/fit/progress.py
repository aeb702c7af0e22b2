"""The progress bar of a fit: PSNR or loss, samples per second, time left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Progress:
    """A bar on the standard error stream while a fit runs; silent when not `enabled`."""

    def __init__(self, steps: int, enabled: bool) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[quality]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not enabled,
        )
        self._task: TaskID = self._bar.add_task("compiling kernels, once", total=steps, quality="", rate="")

    def __enter__(self) -> Progress:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def update(self, step: int, shown: Mapping[str, float], samples_per_s: float) -> None:
        """Shows that `step` steps are done, with the `psnr_dB` (or else the `loss`) in `shown`."""
        fast = samples_per_s >= 1e5
        rate = f"{samples_per_s / 1e6:.2f} M samples/s" if fast else f"{samples_per_s:.0f} samples/s"
        quality = f"{shown['psnr_dB']:.2f} dB" if "psnr_dB" in shown else f"loss {shown['loss']:.3f}"
        self._bar.update(self._task, completed=step, description="fitting", quality=quality, rate=rate)
