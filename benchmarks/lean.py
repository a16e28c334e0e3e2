"""How far upright people lean towards the camera: recovered, reported by the landmark network, and truly.

    python benchmarks/lean.py SHARD.npz [SHARD.npz ...] [--split test] [--rendered RECORDING.npz ...]
        [--tilt rough] [--shares 0 0.5 1]

From the front or from behind a lean is hardly seen: it shortens a body by the cosine. What says so instead
is the landmark network's depth, and what is usual in the training. Angles are between the line from ankles to
shoulders and the plane of the image, in a camera turned at the person, positive towards it; a person who
stands straight leans by as much as the camera is above them. Only frames in which the body is stretched and
seen from the front or from behind count. `--tilt rough`: it is known which way is up, as exactly as a robot's
transforms tell it (d3pose_core/data/tilt.py), and part of the lean is turned back (d3pose_core/lean.py).
`--shares` tells what becomes of the errors of all frames with other shares than that, and what of those of
people who lean along the line of sight by 20 degrees and more.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from d3pose_core.body import BodyModel, load_body
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.data.tilt import TILTS, UNKNOWN, known_up
from d3pose_core.evaluation.held_out import Recovered, free_run, held_out_batches, turned_upright
from d3pose_core.evaluation.metrics import mean_position_error_mm
from d3pose_core.evaluation.robustness import CLEAR, facing
from d3pose_core.lean import turn_upright
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.view import look_at_rotation, project
from d3pose_core.runtime.both_ways import BothWays
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_NAMES

BINS = (-40, -10, 0, 10, 20, 40)  # degrees
STRETCHED_M = 1.1  # from ankles to shoulders
ACROSS = 0.35  # of that, at most to the side
LEANING_DEG = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", nargs="+", help="motion shards (docs/training.md)")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--sequences", type=int, default=256, help="of 3 s each")
    parser.add_argument(
        "--tilt",
        default=UNKNOWN,
        choices=TILTS,
        help="what is known of the camera's (default: unknown)",
    )
    parser.add_argument("--shares", nargs="*", type=float, default=[], help="with --tilt")
    parser.add_argument("--rendered", nargs="*", default=[], help="recordings")
    args = parser.parse_args()
    if args.shares and args.tilt == UNKNOWN:
        parser.error(
            "--shares needs --tilt rough or exact: where up is not known, nothing is turned"
        )
    torch.set_num_threads(1)

    body, step = load_body("free-low"), BothWays.of(load_model(args.weights))
    realism = Realism(errors=CLEAR)
    motions = MotionLibrary(args.shards, args.split)
    sets = {
        f"simulated, landmark errors times {CLEAR}": held_out_batches(
            motions, body, args.sequences, realism=realism
        )
    }
    if args.rendered:
        sets["rendered"] = RenderedSet.load(*args.rendered).batches(body)
    for title, batches in sets.items():
        print(f"{title}: mean degrees towards the camera")
        print(f"{'lean':>12s}{'frames':>8s}{'true':>8s}{'D3Pose':>8s}{'BlazePose':>11s}")
        runs = [free_run(step, batch) for batch in batches]
        print(_table(*_leans(runs, batches, body, args.tilt)), flush=True)
        if args.shares:
            print(_errors(runs, batches, body, args.tilt, args.shares), flush=True)


@torch.inference_mode()
def _leans(
    runs: Sequence[Recovered], batches: Sequence[TrainingBatch], body: BodyModel, tilt: str
) -> tuple[Tensor, ...]:
    """True, recovered and reported, [N] degrees, of the frames that count."""
    found = []
    for seed, (run, batch) in enumerate(zip(runs, batches, strict=True)):
        turn = look_at_rotation(project(batch.truth.pelvis))
        true = _upward(batch.truth.joints @ turn, JOINT_NAMES)
        recovered = turned_upright(run, batch, body, tilt, seed)
        ours = _upward(recovered.joints(body) @ turn, JOINT_NAMES)
        theirs = _upward(batch.observations.landmarks, LANDMARK_NAMES)
        length, angle = true.norm(dim=-1), facing(batch)
        counts = batch.observations.seen & ((angle < 60) | (angle > 120))
        counts &= (length > STRETCHED_M) & (true[..., 0].abs() < ACROSS * length)
        found.append(torch.stack([_lean(v)[counts] for v in (true, ours, theirs)]))
    return tuple(torch.cat(found, 1))


@torch.inference_mode()
def _errors(
    runs: Sequence[Recovered],
    batches: Sequence[TrainingBatch],
    body: BodyModel,
    tilt: str,
    shares: Sequence[float],
) -> str:
    """By share: MPJPE of the 24 joints over all frames, and over those of people who lean."""
    errors: list[Tensor] = []
    leaning: list[Tensor] = []
    for seed, (run, batch) in enumerate(zip(runs, batches, strict=True)):
        joints, pelvis, seen = run.joints(body), run.pelvis, batch.observations.seen
        up = known_up(batch.truth.up, batch.observations.step_s, tilt, seed)
        truth = batch.truth.joints - batch.truth.joints[:, :, :1]
        turns = [turn_upright(joints, pelvis, up, share) for share in shares]
        found = [mean_position_error_mm(joints @ t.transpose(-1, -2), truth)[seen] for t in turns]
        errors.append(torch.stack(found))
        axis, true_up = _upward(truth, JOINT_NAMES), batch.truth.up
        across = torch.linalg.cross(batch.truth.pelvis, true_up)
        across = torch.nn.functional.normalize(across, dim=-1)
        along = (torch.linalg.cross(axis, true_up) * across).sum(-1)
        lean = torch.rad2deg(torch.atan2(along, (axis * true_up).sum(-1)))
        leaning.append((lean.abs() >= LEANING_DEG)[seen])
    all_errors, leans = torch.cat(errors, 1), torch.cat(leaning)
    lines = [
        f"{'share':>8s}{'MPJPE, mm':>11s}   leaning ({100 * float(leans.float().mean()):.0f} %)"
    ]
    for share, error in zip(shares, all_errors, strict=True):
        lines.append(f"{share:8.2f}{float(error.mean()):11.2f}{float(error[leans].mean()):12.2f}")
    return "\n".join(lines)


def _upward(points: Tensor, names: Sequence[str]) -> Tensor:
    """From the middle of the ankles to the middle of the shoulders: [..., 3]."""

    def middle(part: str) -> Tensor:
        return points[..., [names.index(f"{side}_{part}") for side in ("left", "right")], :].mean(
            -2
        )

    return middle("shoulder") - middle("ankle")


def _lean(upward: Tensor) -> Tensor:
    return torch.rad2deg(torch.atan2(-upward[..., 2], -upward[..., 1]))


def _table(true: Tensor, ours: Tensor, theirs: Tensor) -> str:
    lines = []
    for low, high in itertools.pairwise(BINS):
        inside = (true >= low) & (true < high)
        if inside.any():
            means = (float(x[inside].mean()) for x in (true, ours, theirs))
            row = f"{low:5d} to {high:3d}{int(inside.sum()):8d}"
            lines.append(row + "{:8.1f}{:8.1f}{:11.1f}".format(*means))
    inside = (true >= BINS[0]) & (true < BINS[-1])
    off = (float((x - true)[inside].square().mean().sqrt()) for x in (ours, theirs))
    lines.append(f"{'error (root mean square)':>28s}" + "{:8.1f}{:11.1f}".format(*off))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
