"""How still people stand in the world while a simulated robot drives past; how well walkers are followed.

    python benchmarks/world_frame.py [SHARD.npz ...] [--people 24] [--weights W] [--exact-landmarks]

Rows: the network alone; its distance smoothed in the camera, as without a camera pose; the world filter. The
walkers are recorded motions of the "val" split, if shards are given (docs/training.md).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
from unittest import mock

import numpy as np
import torch

from d3pose_core.body import load_body
from d3pose_core.data.drive_past import Drive, Performance, drive_past, standing
from d3pose_core.data.landmark_noise import Realism, report_landmarks
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.view import out_of_view, pelvis_of
from d3pose_core.recovery import DISTANCE_CUTOFF_HZ, DISTANCE_SPEED_GAIN
from d3pose_core.rigid import rotation_vector
from d3pose_core.root_motion import RootOrientation, RootPosition
from d3pose_core.smoothing import OneEuroFilter

SETTLING_S = 3.0
EXACT = Realism(errors=0.0)


@torch.inference_mode()
def recovered(model: D3Pose, drive: Drive) -> tuple[np.ndarray, np.ndarray]:
    """Pelvis [B, T, 3] m and root rotation [B, T, 3, 3] in the camera, frame by frame."""
    people, frames = drive.observations.seen.shape
    state = model.initial_state(people)
    pelvis, root = [], []
    for t in range(frames):
        prediction, view, state = model.step(drive.observations[:, t : t + 1], state)
        pelvis.append(pelvis_of(prediction.place, view)[:, 0])
        root.append(out_of_view(prediction.rotations, view)[:, 0, 0])
    return torch.stack(pelvis, 1).double().numpy(), torch.stack(root, 1).double().numpy()


def errors(
    performance: Performance, drive: Drive, model: D3Pose
) -> dict[str, tuple[list, list, list]]:
    """By method: position error, m; its step from frame to frame, m; orientation error, degrees."""
    pelvis, root = recovered(model, drive)
    truth = performance.pelvis.double().numpy()
    true_root = performance.rotations[:, :, 0].double().numpy()
    result: dict[str, tuple[list, list, list]] = {
        "network alone": ([], [], []),
        "smoothed in the camera": ([], [], []),
        "filtered in the world": ([], [], []),
    }
    for n in range(len(pelvis)):
        distance = OneEuroFilter(DISTANCE_CUTOFF_HZ, DISTANCE_SPEED_GAIN)
        place, turn = RootPosition(), RootOrientation()
        before: dict[str, np.ndarray] = {}
        for t, time in enumerate(performance.times[n].tolist()):
            if not drive.observations.seen[n, t]:
                before = {}
                continue
            camera = drive.camera(n, t)
            raw_root = camera.rotation @ root[n, t]
            raw = pelvis[n, t]
            log = float(np.log(np.linalg.norm(raw)))
            answers = {
                "network alone": (camera.apply(raw), raw_root),
                "smoothed in the camera": (
                    camera.apply(raw * np.exp(distance(log, time) - log)),
                    raw_root,
                ),
                "filtered in the world": (place(raw, camera, time), turn(raw_root, time)),
            }
            for name, (position, rotation) in answers.items():
                error = position - truth[n, t]
                if time >= SETTLING_S:
                    positions, steps, angles = result[name]
                    positions.append(np.linalg.norm(error))
                    angle = np.linalg.norm(rotation_vector(true_root[n, t].T @ rotation))
                    angles.append(np.degrees(angle))
                    if name in before:
                        steps.append(np.linalg.norm(error - before[name]))
                before[name] = error
    return result


def report(title: str, performance: Performance, model: D3Pose, rng: torch.Generator) -> None:
    drive = drive_past(load_body("free-low"), performance, rng)
    print(
        f"{title}: position error cm p50/p90/p99, jitter mm/frame p50, orientation error deg p50/p90"
    )
    for name, (position, step, angle) in errors(performance, drive, model).items():
        centimetres = 100 * np.percentile(position, (50, 90, 99))
        degrees = np.percentile(angle, (50, 90))
        print(
            f"  {name:24s} {centimetres[0]:6.1f} {centimetres[1]:6.1f} {centimetres[2]:6.1f}"
            f" {1000 * np.median(step):9.1f} {degrees[0]:9.1f} {degrees[1]:6.1f}"
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
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(5)
    model = load_model(args.weights).eval()
    people = standing(load_body("free-low"), args.people, 10.0, rng)
    exact = mock.patch(
        "d3pose_core.data.drive_past.report_landmarks",
        functools.partial(report_landmarks, realism=EXACT),
    )
    with exact if args.exact_landmarks else contextlib.nullcontext():
        report("standing", people, model, rng)
        if args.shards:
            report("recorded motion", walkers(args.shards, args.people, 8.0, rng), model, rng)


if __name__ == "__main__":
    main()
