"""`python -m tools.measure_landmarks ...`: see the package's docstring."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch

from d3pose_core.data.certainty import CertaintyStatistics
from d3pose_core.data.error_statistics import ErrorStatistics, FittedNumbers
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet, landmark_scores
from d3pose_core.data.rivals import RivalStatistics
from d3pose_core.errors import InputError
from d3pose_core.landmark_models import FULL, LANDMARKS

_EVALUATION_ONLY = "eval_only"


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    arguments = _parser().parse_args()
    if arguments.command == "analyse":
        from tools.measure_landmarks.analyse import print_tables

        print_tables(RenderedSet.load(*arguments.recordings))
        return
    if arguments.command == "fit":
        from tools.measure_landmarks.calibrate import calibrated
        from tools.measure_landmarks.fit import fit

        recorded = RenderedSet.load(*arguments.recordings)
        calibrated(recorded, fit(recorded)).save(arguments.out)
        print(arguments.out)
        return
    if arguments.command == "fit-certainty":
        from tools.measure_landmarks.certainty import fit_certainty

        fit_certainty(RenderedSet.load(*arguments.recordings)).save(arguments.out)
        print(arguments.out)
        return
    if arguments.command == "fit-rivals":
        from tools.measure_landmarks.rivals import fit_rivals

        fit_rivals(RenderedSet.load(*arguments.recordings)).save(arguments.out)
        print(arguments.out)
        return
    if arguments.command == "compare":
        from tools.measure_landmarks.compare import side_by_side

        recorded = RenderedSet.load(*arguments.recordings)
        print(side_by_side(recorded, arguments.seed, arguments.weights))
        return

    from tools.measure_landmarks.record import Studio, record, shown

    if arguments.split == "train" and any(_EVALUATION_ONLY in str(p) for p in arguments.motions):
        raise InputError("an evaluation-only shard has no place among the training's recordings")
    motions = MotionLibrary(arguments.motions, arguments.split)
    studio = Studio(
        motions, arguments.frames, arguments.rate, arguments.seed, varied=arguments.varied
    )
    numbers = range(arguments.first, arguments.first + arguments.clips)
    if arguments.command == "record":
        recorded = record(studio, numbers, arguments.out, landmarks=arguments.landmarks)
        scores = landmark_scores(recorded) | {"stray": float(recorded.stray.float().mean())}
        print({name: round(value, 4) for name, value in scores.items()})
    else:
        from tools.measure_landmarks.drawing import contact_sheet

        arguments.out.mkdir(parents=True, exist_ok=True)
        keep = tuple(range(10, arguments.frames, max(1, arguments.frames // 4)))
        for number, (scene, watched) in zip(numbers, shown(studio, numbers, keep), strict=True):
            path = arguments.out / f"clip_{number:04d}.png"
            cv2.imwrite(str(path), contact_sheet(scene, watched))
            print(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_landmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (
        ("record", "render clips, run BlazePose on them, save both"),
        ("show", "draw some frames with landmarks"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--motions", type=Path, nargs="+", required=True, help="shards (.npz)")
        command.add_argument("--split", choices=("train", "val", "test"), required=True)
        command.add_argument("--clips", type=int, default=120)
        command.add_argument("--first", type=int, default=0, help="number of the first clip")
        command.add_argument("--frames", type=int, default=60, help="of each clip")
        command.add_argument("--rate", type=float, default=30.0, help="frames per second")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--varied", action="store_true", help="change the motions as the training does"
        )
        command.add_argument("--out", type=Path, required=True, help="a file, or show's folder")
        if name == "record":
            command.add_argument(
                "--landmarks", choices=LANDMARKS, default=FULL, help="which BlazePose"
            )
    analyse = commands.add_parser("analyse", help="print the measured errors")
    analyse.add_argument("recordings", type=Path, nargs="+")
    fitted: tuple[tuple[type[FittedNumbers], str], ...] = (
        (ErrorStatistics, "fit the simulator's error statistics"),
        (CertaintyStatistics, "fit the certainty to the errors"),
        (RivalStatistics, "gather where else landmarks may be"),
    )
    for statistics, purpose in fitted:
        fit = commands.add_parser(statistics.command, help=purpose)
        fit.add_argument("recordings", type=Path, nargs="+")
        fit.add_argument(
            "--out", type=Path, default=statistics.shipped, help="default: the file that ships"
        )
    compare = commands.add_parser("compare", help="print measured and simulated errors together")
    compare.add_argument("recordings", type=Path, nargs="+")
    compare.add_argument("--seed", type=int, default=0)
    compare.add_argument("--weights", default="", help="of D3Pose; default: those that ship")
    return parser


if __name__ == "__main__":
    main()
