"""`report.html`: an evaluation as one page that needs no other file and no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.evaluation.charts import (
    Line,
    bar_chart,
    line_chart,
    pose_picture,
    reliability_chart,
)
from d3pose_core.evaluation.matching import nearest_frame
from d3pose_core.evaluation.scores import Evaluation, summarize
from d3pose_core.recording import atomic_path
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS
from d3pose_core.viewer.pack import (
    as_text,
    asset,
    axes_of_frame,
    can_show,
    constants,
    pack,
    packed_body,
)

_MOMENTS = 4
# Two moments of one kind are at least so far apart, and further in a long recording.
_APART_S, _APART = 0.1, 0.05
# A longer recording is shown with every second, third, ... frame: the page must stay loadable.
MOST_FRAMES = 6000
_MOST_NAMES = 12  # in a legend
_OURS, _REFERENCE = "var(--accent)", "#9aa2ae"
_PERSON_COLORS = (
    "#1f77b4",
    "#e07b1a",
    "#2c8a57",
    "#a05fb4",
    "#c2a21c",
    "#7a5230",
    "#c8452d",
    "#6b7280",
)


def write_report(path: Path, evaluation: Evaluation, title: str) -> None:
    """Writes report.html atomically."""
    with atomic_path(path) as partial:
        partial.write_text(report_html(evaluation, title), encoding="utf-8")


def report_html(
    evaluation: Evaluation,
    title: str,
    picture: Callable[[int], str] | None = None,
    people: Mapping[int, str] | None = None,
    track: Callable[[int], int] = int,
) -> str:
    """The whole page.

    Args:
        picture: of a matched pair, as HTML; "" where there is none.
        people: what to call the reference's people; those left out are "person ID".
        track: the id to show of a recovered person's id.
    """
    ids = np.unique(evaluation.matching.reference.track_id).tolist()
    names = {i: f"person {i}" for i in ids} | dict(people or {})
    numbers = summarize(evaluation)
    data, facts = _viewer_data(evaluation)
    worst, best = _moments(evaluation)
    scripts = "\n".join(asset(name) for name in ("scene.js", "body.js", "report.js"))
    parts = {
        "title": escape(title),
        "subtitle": escape(_subtitle(numbers)),
        "style": asset("style.css"),
        "tiles": _tiles(numbers),
        "mesh_note": escape(_mesh_note(evaluation)),
        "time_legend": _time_legend(evaluation, names),
        "time_chart": _time_chart(evaluation),
        "joint_chart": _joint_chart(evaluation),
        "over_images": "; over images, as seen by the camera, without any alignment"
        if picture
        else "",
        "worst": _moment_cards(evaluation, worst, "worst", picture, names),
        "best": _moment_cards(evaluation, best, "best", picture, names),
        "reliability": _reliability_section(numbers),
        "people": _people_table(numbers, names, track),
        "protocol": _protocol_table(numbers, evaluation),
        "body_data": as_text(packed_body()),
        "people_data": as_text(data),
        # "</" would end the script element.
        "facts": json.dumps(facts).replace("</", "<\\/"),
        "script": scripts,
    }
    page = asset("report.html")
    for name, text in parts.items():
        page = page.replace(f"@{name}@", text)
    return page


def _subtitle(numbers: dict[str, Any]) -> str:
    protocol, tracking = numbers["protocol"], numbers["tracking"]
    people = len(numbers["per_person"])
    return (
        f"{protocol['frames_evaluated']} frames, {people} reference "
        f"{'person' if people == 1 else 'people'}, {tracking['found']} of "
        f"{tracking['reference_people_in_frames']} found. Protocol {protocol['name']}: "
        f"{protocol['description']}."
    )


def _tiles(numbers: dict[str, Any]) -> str:
    metrics, tracking = numbers["metrics"], numbers["tracking"]
    recall = tracking["recall"]
    tiles = [
        (_number(metrics["mpjpe"], 1), "mm", "MPJPE"),
        (_number(metrics["pa_mpjpe"], 1), "mm", "PA-MPJPE"),
        (_number(metrics["pve"], 1), "mm", "PVE"),
        (_number(metrics["accel"], 1), "mm/frame²", "acceleration error"),
        (_number(metrics["root_error"], 0), "mm", "position of the root"),
        (_number(None if recall is None else 100 * recall, 1), "", "% of the reference found"),
        (str(tracking["extra"]), "", "extra people in frames"),
        (str(tracking["id_switches"]), "", "id switches"),
    ]
    return "".join(
        f'<div class="tile"><b>{value}</b><span>{name}{unit and ", " + unit}</span></div>'
        for value, unit, name in tiles
    )


def _time_legend(e: Evaluation, names: Mapping[int, str]) -> str:
    people = np.unique(e.matching.reference.track_id).tolist()
    entries = [
        f'<span><i style="background:{_color(i)}"></i>{escape(names[person])}</span>'
        for i, person in enumerate(people[:_MOST_NAMES])
    ]
    if len(people) > _MOST_NAMES:
        entries.append(
            f"<span>and {len(people) - _MOST_NAMES} more, in the same colours again</span>"
        )
    entries.append("<span>solid: MPJPE; dotted: after Procrustes alignment; mm</span>")
    return f'<div class="legend">{"".join(entries)}</div>'


def _time_chart(e: Evaluation) -> str:
    """Errors of each person at each frame; nan where nobody was matched."""
    times, start = e.matching.frame_times, e.matching.frame_times[0]
    frame = nearest_frame(times, e.time)
    lines, strips, marks = [], [], []
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    for i, person in enumerate(np.unique(e.matching.reference.track_id)):
        rows = e.reference_id == person
        for values, dashed in ((e.mpjpe, False), (e.pa_mpjpe, True)):
            curve = np.full(len(times), np.nan)
            curve[frame[rows]] = values[rows]
            lines.append(Line(times - start, curve, _color(i), dashed))
        missed = e.matching.missed[e.matching.reference.track_id[e.matching.missed] == person]
        strips += [
            (float(times[f] - start), float(times[f] - start) + step, _color(i))
            for f in e.matching.reference.frame[missed]
        ]
    for switch in e.matching.switches:
        what = f"person {switch.reference_id}: track {switch.old_id} becomes {switch.new_id}"
        marks.append((switch.time - start, what))
    end = max(float(times[-1] - start), step)
    return line_chart(lines, (0.0, end), strips, marks)


def _joint_chart(e: Evaluation) -> str:
    if not len(e.time):
        return '<p class="soft">nobody was matched</p>'
    errors = e.joint_error.mean(axis=0), e.pa_joint_error.mean(axis=0)
    order = np.argsort(-errors[0], kind="stable")
    names = [e.joint_names[i] for i in order]
    values = [(float(errors[0][i]), float(errors[1][i])) for i in order]
    light = "color-mix(in srgb, var(--accent) 45%, transparent)"
    return bar_chart(names, values, (light, "var(--accent)"))


def _moments(e: Evaluation) -> tuple[list[int], list[int]]:
    """Pairs with the greatest and the least MPJPE, none near another."""

    apart_s = max(_APART_S, _APART * float(np.ptp(e.time))) if len(e.time) else 0.0

    def pick(order: np.ndarray) -> list[int]:
        chosen: list[int] = []
        for pair in order.tolist():
            if all(abs(e.time[pair] - e.time[other]) >= apart_s for other in chosen):
                chosen.append(pair)
            if len(chosen) == _MOMENTS:
                break
        return chosen

    order = np.argsort(e.mpjpe, kind="stable")
    return pick(order[::-1]), pick(order)


def _moment_cards(
    e: Evaluation,
    pairs: Sequence[int],
    kind: str,
    picture: Callable[[int], str] | None,
    names: Mapping[int, str],
) -> str:
    bones = bones_of(e.joint_names)
    up = (
        np.array([0.0, -1.0, 0.0])
        if axes_of_frame(e.recovered.frame_id) == "optical"
        else np.array([0, 0, 1.0])
    )
    cards = []
    for pair in pairs:
        row = e.matching.recovered_row[pair]
        reference_row = e.matching.reference_row[[pair]]
        theirs = e.matching.reference.at(e.reference.joints)[reference_row[0]]
        poses = [
            (_about_root(theirs, e.reference.joint_names, e), _REFERENCE),
            (_about_root(e.recovered.joints[row], e.recovered.joint_names, e), _OURS),
        ]
        seconds = e.time[pair] - e.matching.frame_times[0]
        cards.append(
            f'<button class="moment" data-time="{seconds:.6f}">{picture(pair) if picture else ""}'
            f"{pose_picture(poses, bones, up)}"
            f"<b>{e.mpjpe[pair]:.0f} mm</b> <span>{kind}, {seconds:.2f} s<br>"
            f"{escape(names[int(e.reference_id[pair])])}, after alignment {e.pa_mpjpe[pair]:.0f} mm"
            "</span></button>"
        )
    return "".join(cards)


def _about_root(joints: np.ndarray, names: Sequence[str], e: Evaluation) -> np.ndarray:
    """Joints [J, 3] of one person -> those compared, about the protocol's root."""
    root = joints[[list(names).index(name) for name in e.protocol.root]].mean(axis=0)
    return joints[[list(names).index(name) for name in e.joint_names]] - root


def _reliability_section(numbers: dict[str, Any]) -> str:
    """Nothing where the recovered people come without confidences."""
    confidence = numbers["confidence"]
    if confidence is None:
        return ""
    columns = [[row[key] for row in confidence["bins"]] for key in ("said", "found", "joints")]
    error = 100 * confidence["expected_calibration_error"]
    return (
        '<section class="card"><h2>Do the confidences mean what they say?</h2>'
        f"<p class='hint'>A joint's confidence is the probability that {escape(confidence['meaning'])}. "
        "On the dashed line it is honest, below it boasts, above it is too modest. Expected calibration "
        f"error: {error:.1f} percentage points, over {sum(columns[2])} joints.</p>"
        f"{reliability_chart(*columns)}</section>"
    )


def _people_table(
    numbers: dict[str, Any], names: Mapping[int, str], track: Callable[[int], int]
) -> str:
    people = numbers["per_person"]
    errors = {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "pve": "PVE", "root_error": "root"}
    told = [key for key in errors if any(each[key] is not None for each in people.values())]
    head = ("person", "frames", "found", "as track", "switches", *(errors[key] for key in told))
    rows = [
        (
            *(names[int(person)].removeprefix("person "), each["frames"], each["found"]),
            ", ".join(str(track(i)) for i in each["recovered_ids"]) or "–",
            each["id_switches"],
            *(_number(each[key], 0 if key == "root_error" else 1) for key in told),
        )
        for person, each in people.items()
    ]
    cells = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table><p class='hint'>Errors in mm.</p>"


def _protocol_table(numbers: dict[str, Any], e: Evaluation) -> str:
    p = numbers["protocol"]
    missing = p["joints_missing"]
    acceleration = (
        f"{_number(numbers['metrics']['accel'], 2)} mm/frame², "
        f"{_number(numbers['metrics']['accel_si'], 2)} m/s²: difference of second differences of the "
        "joints, aligned as for MPJPE, over runs of neighbouring frames under one id"
    )
    matching = (
        f"{p['matching']['method']}; at most {p['matching']['max_distance_m']:g} m apart; the reference "
        f"is interpolated between samples at most {p['matching']['max_reference_gap_s']:g} s apart"
    )
    rows = [
        (
            "Joints",
            ", ".join(p["joints"]) + (f"; not in both: {', '.join(missing)}" if missing else ""),
        ),
        ("MPJPE", f"mean joint error in mm after {p['alignment']['mpjpe']}"),
        ("PA-MPJPE", f"the same after {p['alignment']['pa_mpjpe']}"),
        (
            "PVE",
            f"not computed: {e.no_vertices_because}"
            if e.no_vertices_because
            else f"mean vertex error in mm after {p['alignment']['pve']}",
        ),
        ("Acceleration error", acceleration),
        ("Position of the root", "distance of the roots in mm, without alignment"),
        ("Averages", p["averaging"]),
        ("Who is whom", matching),
        ("Counted", f"{p['frames_evaluated']} frames, {p['pairs_evaluated']} matched pairs"),
        ("Bodies", f"recovered: {p['recovered_body']}; reference: {p['reference_body']}"),
        ("Frame of reference", p["frame_of_reference"]),
    ]
    body = "".join(f"<tr><td>{a}</td><td>{escape(str(b))}</td></tr>" for a, b in rows)
    return f'<table class="facts">{body}</table>'


def _viewer_data(e: Evaluation) -> tuple[bytes, dict[str, Any]]:
    """The people of every shown frame, packed, and what the script must know about them."""
    times = e.matching.frame_times
    stride = -(-len(times) // MOST_FRAMES)
    rows = np.sort(np.concatenate([e.matching.recovered_row, e.matching.extra]))
    frame = nearest_frame(times, e.recovered.time[rows])
    rows, frame = rows[frame % stride == 0], frame[frame % stride == 0]
    people = e.matching.reference
    theirs = np.flatnonzero(people.frame % stride == 0)
    error = np.full(len(times), np.nan)
    of_pair = nearest_frame(times, e.time)
    for index in np.unique(of_pair):
        error[index] = e.mpjpe[of_pair == index].mean()
    arrays = {
        "time": (times - times[0])[::stride],
        "error": error[::stride].astype(np.float32),
        "ours_frame": (frame // stride).astype(np.int32),
        "ours_id": e.recovered.track_id[rows].astype(np.int32),
        "ours_joints": e.recovered.joints[rows],
        "theirs_frame": (people.frame[theirs] // stride).astype(np.int32),
        "theirs_joints": people.at(e.reference.joints)[theirs],
    }
    parameters = e.recovered.parameters
    mesh = parameters is not None and can_show(parameters.body_model)
    if parameters is not None and mesh:
        orient, pose = parameters.global_orient[rows], parameters.body_pose[rows]
        arrays["ours_pose"] = np.concatenate([orient, pose.reshape(-1, 69)], axis=1)
        arrays["ours_betas"] = parameters.betas[rows]
        arrays["ours_transl"] = parameters.transl[rows]
    facts = {
        **constants(),
        "mesh": mesh,
        "axes": axes_of_frame(e.recovered.frame_id),
        "ourJoints": len(e.recovered.joint_names),
        "bones": bones_of(e.recovered.joint_names),
        "referenceJoints": len(e.reference.joint_names),
        "referenceBones": bones_of(e.reference.joint_names),
    }
    return pack(arrays), facts


def _mesh_note(e: Evaluation) -> str:
    if e.recovered.parameters is None:
        return "No mesh: the recovered people come without SMPL parameters."
    name = e.recovered.parameters.body_model
    if can_show(name):
        return ""
    return (
        f"No mesh: a page may hold free bodies only, and these are {name or 'of an unnamed body'}."
    )


def bones_of(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of joints to connect: each with the nearest of its SMPL ancestors that is among `names`."""
    bones = []
    for index, name in enumerate(names):
        joint = JOINT_NAMES.index(name) if name in JOINT_NAMES else -1
        while joint > 0:
            joint = JOINT_PARENTS[joint]
            if JOINT_NAMES[joint] in names:
                bones.append((list(names).index(JOINT_NAMES[joint]), index))
                break
    return bones


def _color(index: int) -> str:
    return _PERSON_COLORS[index % len(_PERSON_COLORS)]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
