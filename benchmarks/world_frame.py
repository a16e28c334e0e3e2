"""How still people stand in the world while a simulated robot drives by; how well who moves is followed.

    python benchmarks/world_frame.py [SHARD.npz ...] [--people 24] [--weights W] [--exact-landmarks]
        [--tilt rough]

Rows: the network alone; its distance smoothed in the camera, as without a camera pose; the world filter. The
camera passes people who stand, drives around them, toward them, and turns on the spot. Then people walk
off, and, if shards are given, recorded motions of the "val" split are followed (docs/training.md). Which way
is up is known, as to a node with target_frame, to some degrees (d3pose_core/data/tilt.py).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
from dataclasses import dataclass, field
from unittest import mock

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from d3pose_core.body import BodyModel, load_body
from d3pose_core.data.drive_past import WAYS, Drive, Performance, drive_past, setting_off, standing
from d3pose_core.data.landmark_noise import Realism, report_landmarks
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.tilt import ROUGH, TILTS, known_up
from d3pose_core.evaluation.held_out import Stepping
from d3pose_core.lean import turn_upright
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.view import out_of_view, pelvis_of
from d3pose_core.recovery import DISTANCE_CUTOFF_HZ, DISTANCE_SPEED_GAIN, MEMORY_S
from d3pose_core.rigid import rotation_vector
from d3pose_core.root_motion import RootMotion
from d3pose_core.runtime.both_ways import BothWays
from d3pose_core.skeleton import JOINT_NAMES
from d3pose_core.smoothing import OneEuroFilter

SETTLING_S = 5.0  # of people who stand, as in test/test_world.py
WARMING_S = 1.0  # of those who move
STAND_S, WALK_S = 5.0, 2.5
LAG_AT_S = (0.2, 0.4, 0.6, 1.0, 2.0)
EXACT = Realism(errors=0.0)
ALONE, IN_CAMERA, IN_WORLD = "network alone", "smoothed in the camera", "filtered in the world"


@dataclass
class Track:
    """One person by one method: [T] each, NaN where they were not seen."""

    position: np.ndarray  # [T, 3] m
    rotation: np.ndarray  # [T, 3, 3]
    age_s: np.ndarray  # [T] since they were last met for the first time

    @classmethod
    def empty(cls, frames: int) -> Track:
        return cls(*(np.full((frames, *shape), np.nan) for shape in ((3,), (3, 3), ())))


@dataclass
class Errors:
    """Over all people and frames after settling."""

    position_m: list[np.ndarray] = field(default_factory=list)
    step_m: list[np.ndarray] = field(default_factory=list)
    turn_deg: list[np.ndarray] = field(default_factory=list)
    wander_m: list[float] = field(
        default_factory=list
    )  # of each person, the furthest from their middle
    wander_deg: list[float] = field(default_factory=list)


@torch.inference_mode()
def recovered(
    step: Stepping, body: BodyModel, drive: Drive, tilt: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame by frame in the camera: pelvis [B, T, 3] m, root rotation [B, T, 3, 3], ankles [B, T, 2, 3] m."""
    people, frames = drive.observations.seen.shape
    state = step.initial_state(people)
    which = [JOINT_NAMES.index(f"{side}_ankle") for side in ("left", "right")]
    pelvis, root, ankles = [], [], []
    up = known_up(drive.cameras.up, drive.observations.step_s, tilt)
    for t in range(frames):
        prediction, view, state = step.step(drive.observations[:, t : t + 1], state)
        place = pelvis_of(prediction.place, view)[:, 0]
        rotations = out_of_view(prediction.rotations, view)[:, 0]
        joints = body.joints_matrices(rotations, prediction.betas[:, 0], torch.zeros(people, 3))
        turn = turn_upright(joints, place, up[:, t])
        joints = (joints - joints[:, :1]) @ turn.transpose(-1, -2)
        pelvis.append(place)
        root.append(turn @ rotations[:, 0])
        ankles.append(joints[:, which] + place[:, None])
    return tuple(torch.stack(x, 1).double().numpy() for x in (pelvis, root, ankles))  # type: ignore[return-value]


def tracks(
    performance: Performance, drive: Drive, step: Stepping, body: BodyModel, tilt: str
) -> list[dict[str, Track]]:
    """Of each person, by method."""
    pelvis, root, ankles = recovered(step, body, drive, tilt)
    result = []
    for n, times in enumerate(performance.times.tolist()):
        of_person = {name: Track.empty(len(times)) for name in (ALONE, IN_CAMERA, IN_WORLD)}
        result.append(of_person)
        met_s = last_s = -np.inf
        for t, time in enumerate(times):
            if not drive.observations.seen[n, t]:
                continue
            if time - last_s > MEMORY_S:
                # Longer out of sight: somebody new, as in the product.
                met_s = time
                distance = OneEuroFilter(DISTANCE_CUTOFF_HZ, DISTANCE_SPEED_GAIN)
                motion = RootMotion()
            last_s = time
            camera, raw = drive.camera(n, t), pelvis[n, t]
            raw_root = camera.rotation @ root[n, t]
            log = float(np.log(np.linalg.norm(raw)))
            nearer = raw * np.exp(distance(log, time) - log)
            answers = {
                ALONE: (camera.apply(raw), raw_root),
                IN_CAMERA: (camera.apply(nearer), raw_root),
                IN_WORLD: motion(raw, root[n, t], ankles[n, t], camera, time),
            }
            for name, (position, rotation) in answers.items():
                track = of_person[name]
                track.position[t], track.rotation[t] = position, rotation
                track.age_s[t] = time - met_s
    return result


def errors(
    performance: Performance, people: list[dict[str, Track]], after_s: float, name: str
) -> Errors:
    result = Errors()
    truth = performance.pelvis.double().numpy()
    true_root = performance.rotations[:, :, 0].double().numpy()
    for n, of_person in enumerate(people):
        track = of_person[name]
        error = track.position - truth[n]
        settled = track.age_s >= after_s  # False for NaN
        if not settled.any():
            continue
        result.position_m.append(np.linalg.norm(error[settled], axis=-1))
        step = np.linalg.norm(np.diff(error, axis=0), axis=-1)[settled[1:]]
        result.step_m.append(step[np.isfinite(step)])
        turns = np.array(
            [
                rotation_vector(a.T @ b)
                for a, b in zip(true_root[n], track.rotation, strict=True)
                if np.isfinite(b).all()
            ]
        )[settled[np.isfinite(track.age_s)]]
        result.turn_deg.append(np.degrees(np.linalg.norm(turns, axis=-1)))
        middle = np.median(track.position[settled], axis=0)
        result.wander_m.append(
            float(np.linalg.norm(track.position[settled] - middle, axis=-1).max())
        )
        rotations = Rotation.from_matrix(track.rotation[settled])
        result.wander_deg.append(
            float(np.degrees((rotations.mean().inv() * rotations).magnitude().max()))
        )
    return result


def report(
    title: str,
    performance: Performance,
    people: list[dict[str, Track]],
    after_s: float,
    still: bool,
) -> None:
    wander = "; furthest from their own middle cm p50/max, deg p50/max" if still else ""
    print(
        f"{title}: position error cm p50/p90/p99, jitter mm/frame p50, orientation error deg p50/p90{wander}"
    )
    for name in (ALONE, IN_CAMERA, IN_WORLD):
        of = errors(performance, people, after_s, name)
        centimetres = 100 * np.percentile(np.concatenate(of.position_m), (50, 90, 99))
        degrees = np.percentile(np.concatenate(of.turn_deg), (50, 90))
        line = (
            f"  {name:24s} {centimetres[0]:6.1f} {centimetres[1]:6.1f} {centimetres[2]:6.1f}"
            f" {1000 * np.median(np.concatenate(of.step_m)):9.1f} {degrees[0]:9.1f} {degrees[1]:6.1f}"
        )
        if still:
            cm, deg = 100 * np.array(of.wander_m), np.array(of.wander_deg)
            line += f" {np.median(cm):9.1f} {cm.max():6.1f} {np.median(deg):9.1f} {deg.max():6.1f}"
        print(line, flush=True)


def report_lag(performance: Performance, people: list[dict[str, Track]]) -> None:
    """How far behind people are who set off, along their way, more than they were before."""
    print(f"walking off: behind cm p50/p90, after {', '.join(map(str, LAG_AT_S))} s of walking")
    truth = performance.pelvis.double().numpy()
    forward = performance.rotations[:, 0, 0, :, 2].double().numpy()
    for name in (ALONE, IN_CAMERA, IN_WORLD):
        behind = []
        for n, of_person in enumerate(people):
            along = (truth[n] - of_person[name].position) @ forward[n]
            before = np.nanmedian(along[round(30 * (STAND_S - 0.5)) : round(30 * STAND_S)])
            behind.append([along[round(30 * (STAND_S + s))] - before for s in LAG_AT_S])
        centimetres = 100 * np.nanpercentile(np.array(behind), (50, 90), axis=0).T
        print(
            f"  {name:24s} " + "   ".join(f"{a:5.0f} {b:4.0f}" for a, b in centimetres), flush=True
        )


def walkers(shards: list[str], people: int, seconds: float, rng: torch.Generator) -> Performance:
    """Recorded motions, on bodies of random size."""
    motions = MotionLibrary(shards, "val")
    frames = round(30 * seconds)
    times = (torch.arange(frames) / 30).expand(people, frames)
    windows = motions.sample(times, rng)
    betas = torch.randn(people, 10, generator=rng).clamp(-2, 2)
    return Performance(times, windows.rotations, windows.pelvis, betas)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="*", help="motion shards (docs/training.md)")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument(
        "--exact-landmarks", action="store_true", help="landmarks without random errors"
    )
    parser.add_argument("--tilt", default=ROUGH, choices=TILTS, help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(5)
    step, body = BothWays.of(load_model(args.weights)), load_body("free-low")

    def followed(performance: Performance, way: str) -> list[dict[str, Track]]:
        drive = drive_past(body, performance, rng, way)
        return tracks(performance, drive, step, body, args.tilt)

    exact = mock.patch(
        "d3pose_core.data.drive_past.report_landmarks",
        functools.partial(report_landmarks, realism=EXACT),
    )
    with exact if args.exact_landmarks else contextlib.nullcontext():
        for way in WAYS:
            people = standing(body, args.people, 10.0, rng)
            title = (
                f"standing, camera drives {way}" if way != "turning" else "standing, camera turns"
            )
            report(title, people, followed(people, way), SETTLING_S, still=True)
        people = setting_off(body, args.people, STAND_S, WALK_S, rng)
        report_lag(people, followed(people, "past"))
        if args.shards:
            people = walkers(args.shards, args.people, 8.0, rng)
            report("recorded motion", people, followed(people, "past"), WARMING_S, still=False)


if __name__ == "__main__":
    main()
