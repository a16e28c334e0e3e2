"""What an evaluation leaves behind: metrics.json, report.html, and a table to print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from d3pose_core.evaluation.report import write_report
from d3pose_core.evaluation.scores import Evaluation, summarize
from d3pose_core.recording import atomic_path, package_version


def save_results(evaluation: Evaluation, folder: Path, recovered: str, reference: str) -> str:
    """Writes metrics.json and report.html; returns what to print.

    `recovered` and `reference` say where the people come from.
    """
    numbers = {
        "recovered": recovered,
        "reference": reference,
        "version": package_version(),
        **summarize(evaluation),
    }
    metrics, report = folder / "metrics.json", folder / "report.html"
    with atomic_path(metrics) as partial:
        text = json.dumps(numbers, indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
    title = f"{_short(recovered)} against {_short(reference)}"
    write_report(report, evaluation, title)
    return _table(numbers, [metrics, report])


def _table(numbers: dict[str, Any], files: list[Path]) -> str:
    protocol, metrics, tracking = (numbers[key] for key in ("protocol", "metrics", "tracking"))

    def value(name: str, unit: str) -> str:
        number = metrics[name]
        return "-" if number is None else f"{number:.1f} {unit}"

    accel = f"{value('accel', 'mm/frame^2')}, {value('accel_si', 'm/s^2')}"
    pve = value("pve", "mm")
    if numbers["pve_missing_because"]:
        pve += f" ({numbers['pve_missing_because']})"
    found = (
        f"{tracking['found']} of {tracking['reference_people_in_frames']}, {tracking['extra']} extra, "
        f"{tracking['id_switches']} id switches"
    )
    what = f"{protocol['name']}, {len(protocol['joints'])} joints, {protocol['frames_evaluated']} frames"
    rows = [
        ("MPJPE", value("mpjpe", "mm")),
        ("PA-MPJPE", value("pa_mpjpe", "mm")),
        ("PVE", pve),
        ("acceleration error", accel),
        ("position of the root", value("root_error", "mm")),
        ("people found", found),
        ("protocol", what),
        *((("written", "")[min(index, 1)], str(path)) for index, path in enumerate(files)),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _short(path: str) -> str:
    """The last two parts: enough to know it by."""
    return "/".join(Path(path).parts[-2:])
