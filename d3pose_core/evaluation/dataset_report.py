"""metrics.json and report.html of a dataset: any evaluation's page, the protocol's own numbers first."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from d3pose_core.evaluation.dataset_evaluation import IDS_A_SEQUENCE, DatasetEvaluation
from d3pose_core.evaluation.published import Published, published_for
from d3pose_core.evaluation.report import report_html
from d3pose_core.recording import atomic_path, package_version

# How the metrics of protocols are called in tables.
TITLES = {
    "mpjpe": "MPJPE",
    "pa_mpjpe": "PA-MPJPE",
    "pve": "PVE",
    "pa_pve": "PA-PVE",
    "accel": "accel",
    "accel_si": "accel",
    "mpjae": "MPJAE",
    "pa_mpjae": "PA-MPJAE",
    "pck": "PCK",
    "auc": "AUC",
    "jitter": "jitter",
    "wa_mpjpe": "WA-MPJPE",
    "w_mpjpe": "W-MPJPE",
    "rte": "RTE",
    "foot_sliding": "foot sliding",
}


def save_dataset_results(result: DatasetEvaluation, folder: Path, recovered: str) -> str:
    """Writes metrics.json and report.html; returns what to print.

    `recovered` says where the people come from, e.g. the weights.
    """
    others = published_for(result.protocol.name)
    numbers = {
        "recovered": recovered,
        "version": package_version(),
        **result.numbers,
        "published": [
            {"system": p.system, "year": p.year, "source": p.source, "remark": p.remark}
            | {"metrics": dict(p.metrics)}
            for p in others
        ],
    }
    metrics, report = folder / "metrics.json", folder / "report.html"
    with atomic_path(metrics) as partial:
        partial.write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    title = f"{recovered} on {result.numbers['dataset']}, protocol {result.protocol.name}"
    page = report_html(
        result.evaluation, title, result.pictures, result.people, lambda i: i % IDS_A_SEQUENCE
    )
    page = _without_general_numbers(page)
    sections = _metrics_section(result, recovered, others) + _action_section(result.numbers)
    with atomic_path(report) as partial:
        partial.write_text(page.replace("</header>", f"</header>{sections}", 1), encoding="utf-8")
    return text_block(result.numbers) + f"\n\nwritten to {metrics} and {report}"


def _without_general_numbers(page: str) -> str:
    """The page less its tiles and its table of definitions: the protocol has its own of both."""
    for start in ('<section class="tiles">', '<section class="card"><h2>What these numbers mean'):
        before, found, after = page.partition(start)
        if found:
            page = before + after.partition("</section>")[2]
    return page


def text_block(numbers: dict[str, Any]) -> str:
    """The metrics with their units, and under them everything that they mean."""
    protocol = numbers["protocol"]
    rows = [
        (TITLES[name], f"{'-' if value is None else f'{value:.2f}'}  {protocol['units'][name]}")
        for name, value in numbers["metrics"].items()
    ]
    if numbers["metrics_missing_because"]:
        rows.append(("not computed", numbers["metrics_missing_because"]))
    tracking = numbers["tracking"]
    people = tracking["found"] + tracking["missed"]
    rows.append(("found", f"{tracking['found']} of {people} people in frames"))
    rows.append(("id switches", str(tracking["id_switches"])))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    return "\n".join([*lines, "", f"protocol {protocol['name']}", *_protocol_lines(protocol)])


def _protocol_lines(protocol: dict[str, Any]) -> list[str]:
    return [f"  {name}: {text}" for name, text in protocol_facts(protocol)]


def protocol_facts(protocol: dict[str, Any]) -> list[tuple[str, str]]:
    """What stands beside every number."""
    alignment = "; ".join(
        f"{TITLES[k]}: {v}" for k, v in protocol["alignment"].items() if k in protocol["units"]
    )
    gt = {"own": "SMPL of the person's own gender", "neutral": "neutral SMPL"}
    return [
        ("what", protocol["description"]),
        ("joint set", protocol["joint_set"]),
        ("regressor", protocol["regressor"] or "none: SMPL's own joints"),
        ("recovered joints", protocol["recovered_joints"]),
        ("alignment", alignment or "per segment, see the units"),
        (
            "ground-truth body",
            f"{gt[protocol['gt_body']]} ({protocol['reference_body']})"
            if protocol["gt_body"] in gt
            else "none: the dataset's own joints",
        ),
        ("recovered body", protocol["recovered_body"]),
        *([("feet", protocol["feet"])] if protocol["feet"] else []),
        ("frames", protocol["frames"]),
        (
            "counted",
            (
                f"{protocol['sequences_evaluated']} sequences, {protocol['frames_evaluated']} frames, "
                f"{protocol['pairs_evaluated']} matched people at {protocol['fps']:g} fps"
            ),
        ),
        ("who is whom", protocol["matching"]),
    ]


def _metrics_section(result: DatasetEvaluation, recovered: str, others: list[Published]) -> str:
    numbers = result.numbers
    names = list(numbers["metrics"])
    units = numbers["protocol"]["units"]
    head = "".join(_column_title(name, units[name]) for name in names)
    rows = [
        "<tr><td><b>this&nbsp;run</b></td><td></td>"
        + "".join(f"<td><b>{_cell(numbers['metrics'][name])}</b></td>" for name in names)
        + f"<td>{escape(recovered)}</td></tr>"
    ]
    for each in others:
        remark = f"{each.source}; {each.remark}" if each.remark else each.source
        cells = "".join(f"<td>{_cell(each.metrics.get(name))}</td>" for name in names)
        rows.append(
            f"<tr><td>{escape(each.system)}</td><td>{each.year}</td>{cells}<td>{escape(remark)}</td></tr>"
        )
    missing = numbers["metrics_missing_because"]
    note = f"<p class='hint'>Not computed: {escape(missing)}.</p>" if missing else ""
    facts = "".join(
        f"<tr><td>{name}</td><td>{escape(text)}</td></tr>"
        for name, text in protocol_facts(numbers["protocol"])
    )
    return (
        "<section class='card'><h2>By the protocol, beside published results</h2>"
        f"<table class='published'><tr><th>system</th><th>year</th>{head}<th>source</th></tr>"
        f"{''.join(rows)}</table>"
        f"{note}<p class='hint'>Published numbers are copied from the source named, not run here. Errors of "
        "this run are averaged over the people found; those of the others mostly over given boxes.</p>"
        f"<table class='facts'>{facts}</table></section>"
    )


def _column_title(name: str, unit: str) -> str:
    """Never broken at a hyphen."""
    short = unit.split(",")[0].replace("^2", "²").replace("^3", "³")
    title = TITLES[name].replace("-", "&#8209;")
    return f"<th>{title}<br><span class='soft'>{escape(short)}</span></th>"


def _action_section(numbers: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{_cell(each['mpjpe'])}</td><td>{_cell(each['pa_mpjpe'])}</td>"
        f"<td>{each['pairs']}</td></tr>"
        for name, each in numbers["per_action"].items()
    )
    return (
        "<section class='card'><h2>Error by action, or by sequence</h2><table><tr><th></th><th>MPJPE, mm</th>"
        f"<th>PA-MPJPE, mm</th><th>people in frames</th></tr>{rows}</table></section>"
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if abs(value) >= 2 else f"{value:.3f}"
