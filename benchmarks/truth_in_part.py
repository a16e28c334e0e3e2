"""What D3Pose's error on rendered people is made of: the same reports with parts of them put right.

    python benchmarks/truth_in_part.py RECORDING.npz [RECORDING.npz ...] [--weights W]

RECORDING: of tools.measure_landmarks. Landmarks that are put right lie where BlazePose puts them on average
(`definition` of d3pose_core/data/error_statistics.py); those right in the image are reported as certain,
without rivals. The network, which knows nothing of it, is run step by step, without `sides`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import torch

from d3pose_core.body import load_body
from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.stance import Stance
from d3pose_core.data.told_depth import as_defined
from d3pose_core.evaluation.rendered import limb_scores
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.view import project

CERTAIN = 0.9  # of clear landmarks


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", nargs="+")
    parser.add_argument("--weights", default="d3pose-landmarks")
    args = parser.parse_args()
    torch.set_num_threads(1)
    body, model = load_body("free-low"), load_model(args.weights)
    for path in args.recordings:
        print(f"{path}, 12 limb joints: MPJPE, PA-MPJPE, mm, acceleration error, mm/frame^2")
        for name, recorded in put_right(RenderedSet.load(path)):
            scores = limb_scores(model, recorded, body)
            numbers = (f"{scores[key]:7.1f}" for key in ("mpjpe", "pa_mpjpe", "accel"))
            print(f"{name:<48}{''.join(numbers)}", flush=True)


def put_right(recorded: RenderedSet) -> Iterator[tuple[str, RenderedSet]]:
    """The recording as it is, and with more and more of the truth in its reports, by name."""
    statistics = fitted_statistics()
    seen = recorded.seen[..., None]
    stance = Stance.of(recorded.true_landmarks)
    metric = as_defined(stance.relative, statistics) * seen[..., None]
    image = {
        "rays": project(statistics.definition @ recorded.true_landmarks) * seen[..., None],
        "certainty": CERTAIN * seen.expand_as(recorded.certainty),
        "rival_certainty": torch.zeros_like(recorded.rival_certainty),
    }
    across = torch.cat([metric[..., :2], recorded.landmarks[..., 2:]], -1)
    deep = torch.cat([recorded.landmarks[..., :2], metric[..., 2:]], -1)
    hint = {"depth_hint": statistics.hint_slope * metric[..., 2] / stance.distance[..., None]}
    yield "as reported", recorded
    yield "right depth", replace(recorded, landmarks=deep, **hint)
    yield "right in the image", replace(recorded, **image)
    yield (
        "right in the image and across the line of sight",
        replace(recorded, landmarks=across, **image),
    )
    yield "all right", replace(recorded, landmarks=metric, **image, **hint)


if __name__ == "__main__":
    main()
