"""What `d3pose process` did in one run: as a table, and as process.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from d3pose_core.recording import atomic_path

_ROWS = 20  # workers shown one by one


@dataclass
class Totals:
    """What was done, and by whom."""

    done_before: int
    wall_s: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)  # name -> reason
    # Worker -> recordings, frames, seconds at work.
    workers: dict[str, tuple[int, int, float]] = field(default_factory=dict)

    def add(self, worker: str, frames: int, seconds: float) -> None:
        """One recording that is done."""
        number, frames_before, seconds_before = self.workers.get(worker, (0, 0, 0.0))
        self.workers[worker] = (number + 1, frames_before + frames, seconds_before + seconds)

    @property
    def frames(self) -> int:
        """Of all recordings done in this run."""
        return sum(frames for _, frames, _ in self.workers.values())

    def save(self, path: Path) -> None:
        """As JSON."""
        content = {
            "done": sum(number for number, _, _ in self.workers.values()),
            "done_before": self.done_before,
            "failed": self.failed,
            "frames": self.frames,
            "wall_s": round(self.wall_s, 3),
            "frames_per_s": round(self.frames / self.wall_s, 3) if self.wall_s else None,
            "workers": {
                name: {"recordings": number, "frames": frames, "seconds": round(seconds, 3)}
                for name, (number, frames, seconds) in sorted(self.workers.items())
            },
        }
        with atomic_path(path) as partial:
            partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def table(self) -> str:
        """By worker (while at work) and overall (by the clock), and what failed."""
        rows = [("worker", "recordings", "frames", "frames/s")]
        for name, (number, frames, seconds) in sorted(self.workers.items())[:_ROWS]:
            rows.append((name, str(number), str(frames), f"{frames / seconds:.1f}"))
        if len(self.workers) > _ROWS:
            rows.append((f"and {len(self.workers) - _ROWS} more", "", "", ""))
        done = sum(number for number, _, _ in self.workers.values())
        speed = f"{self.frames / self.wall_s:.1f}" if self.wall_s else "-"
        rows.append((f"all, in {self.wall_s:.1f} s", str(done), str(self.frames), speed))
        width = max(len(row[0]) for row in rows)
        lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows]
        rule = "-" * len(lines[0])
        failed = [f"failed: {name}: {reason}" for name, reason in sorted(self.failed.items())]
        return "\n".join([rule, *lines[:-1], rule, lines[-1], rule, *failed])
