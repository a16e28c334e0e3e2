"""The mean of two networks' weights: `python -m tools.mean_of_weights A.safetensors B.safetensors --out M`.

Two networks of which one was trained on from the other mostly lie in one valley: their mean is as good as
the better one in each respect (Wortsman et al. 2022, "Model soups"). What they say of distance is not; a
short training after it mends that (docs/training.md, stage 8).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from d3pose_core.model.checkpoint import load_model, load_notes, save_model, weights_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", help="a file of `d3pose train`, or the name of shipped weights")
    parser.add_argument("second", help="as the first, trained on from it; its notes are kept")
    parser.add_argument("--out", type=Path, required=True)
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
    save_model(mean, args.out, load_notes(weights_path(args.second)))
    print(args.out)


if __name__ == "__main__":
    main()
