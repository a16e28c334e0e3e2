"""What a training run writes down on its way: a line a validation, and TensorBoard's event files."""

from __future__ import annotations

import csv
from pathlib import Path


class Curves:
    """Appends to `curve.csv`, and to TensorBoard's files where the tensorboard package is installed."""

    def __init__(self, folder: Path, enabled: bool = True) -> None:
        self._csv = folder / "curve.csv"
        self._enabled = enabled
        self._board = None
        if not enabled:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            print("d3pose: no TensorBoard curves: `pip install tensorboard` for them")
        else:
            self._board = SummaryWriter(str(folder))

    def add(self, step: int, values: dict[str, float]) -> None:
        """One row; every call must bring the same names."""
        if not self._enabled:
            return
        new = not self._csv.is_file()
        with self._csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, ["step", *values])
            if new:
                writer.writeheader()
            writer.writerow({"step": step} | {name: round(v, 5) for name, v in values.items()})
        if self._board is not None:
            for name, value in values.items():
                group = "held_out" if name.startswith("held_out_") else "train"
                self._board.add_scalar(f"{group}/{name.removeprefix('held_out_')}", value, step)
            self._board.flush()
