"""The journal of a study: a line of JSON for each finished score, on the disk before the next one starts."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from ohmfield.spec import InputError

FORMAT = 1


class Journal:
    """Scores by (seed, age) in the file `path`, which belongs to the deployment called `key`.

    A line that a kill cut short is dropped. Raises `InputError` for a file of another deployment or a damaged one, and
    where the disk takes no more.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.scores = path, dict[tuple[int, float], float]()
        self._lock = threading.Lock()
        held = self._held()
        if held is None:
            self._append({"format": FORMAT, "deployment": key})
            return
        head, *records = held
        if head.get("format") != FORMAT:
            raise InputError(f"{path}: journal of format {head.get('format')!r}, this version reads {FORMAT}; {NEW}")
        if head.get("deployment") != key:
            raise InputError(f"{path}: is the journal of another deployment (model, chip, recipe, data or seed); {NEW}")
        try:
            self.scores = {(int(r["seed"]), float(r["elapsed_s"])): float(r["score"]) for r in records}
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged ({error}); {NEW}") from None

    def add(self, seed: int, elapsed_s: float, score: float) -> None:
        """Writes one score; it is on the disk when this returns."""
        with self._lock:  # as text, which also holds infinity, and reads back to the same bits
            self._append({"seed": seed, "elapsed_s": elapsed_s, "score": repr(score)})
            self.scores[seed, elapsed_s] = score

    def _held(self) -> list[dict[str, Any]] | None:
        """The whole lines of the file, what a kill cut off removed; None where there is no line yet."""
        try:
            if not self.path.exists():
                return None
            data = self.path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(self.path, len(whole))
            lines = [json.loads(line) for line in whole.splitlines()]
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}); {NEW}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path}: damaged ({error}); {NEW}") from None
        if not all(isinstance(line, dict) for line in lines):
            raise InputError(f"{self.path}: damaged (a line is no record); {NEW}")
        return lines or None

    def _append(self, record: dict[str, Any]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(json.dumps(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); free some space or choose another folder; "
                "the scores so far are kept"
            ) from None


NEW = "remove it or choose another folder"
