"""The mean of two networks' weights: `python -m tools.mean_of_weights A.safetensors B.safetensors --out M`.

Two networks of which one was trained on from the other mostly lie in one valley: their mean is as good as
the better one in each respect (Wortsman et al. 2022, "Model soups"). What they say of distance is not; a
short training after it mends that (docs/training.md, stage 8). Weights that are to be used as they are need
`--validate`: what the two say of their confidence does not hold for the mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from d3pose_core.body.load import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.evaluation.held_out import held_out_batches, score
from d3pose_core.model.checkpoint import load_model, load_notes, save_model, weights_path
from d3pose_core.training.loop import calibrate_file

_OF_ITSELF = ("held_out", "calibration_error")  # notes that do not hold for a mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", help="a file of `d3pose train`, or the name of shipped weights")
    parser.add_argument("second", help="as the first, trained on from it; its notes are kept")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--validate",
        nargs="+",
        default=[],
        metavar="SHARD",
        help="score the mean on the `val` people of these motion shards, and make its confidences reliable",
    )
    parser.add_argument("--sequences", type=int, default=96, help="of 3 s each, to validate on")
    args = parser.parse_args()
    mean, second = load_model(args.first), load_model(args.second)
    if mean.config != second.config:
        parser.error(f"{args.first} and {args.second} are not of one configuration")
    other = second.state_dict()
    weights = {
        name: (value + other[name]) / 2 if value.is_floating_point() else value
        for name, value in mean.state_dict().items()
    }
    mean.load_state_dict(weights)
    notes = load_notes(weights_path(args.second))
    notes = {name: value for name, value in notes.items() if name not in _OF_ITSELF}
    if args.validate:
        body = load_body("free-low")
        held_out = held_out_batches(MotionLibrary(args.validate, "val"), body, args.sequences)
        scores = score(mean, held_out, body)
        notes["held_out"] = {name: round(value, 3) for name, value in scores.items()}
        print(notes["held_out"])
    save_model(mean, args.out, notes)
    if args.validate:
        calibrate_file(args.out, held_out)
    print(args.out)


if __name__ == "__main__":
    main()
