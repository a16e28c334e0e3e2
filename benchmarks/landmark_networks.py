"""BlazePose's two landmark networks on real footage: what they cost, whom they lose, whose sides they turn.

    python benchmarks/landmark_networks.py [CLIP] [--frames 150] [--hfov 60]

The clip (the demo's by default) level and rolled by 20 degrees either way, with each network, one thread. Of
each person: frames in which they were recovered, and how often they were seen the other way round and turned
(d3pose_core/sides.py); and how certain the network was of the limbs' joints (median). There is no truth to
compare with.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

from d3pose_core.camera import Intrinsics
from d3pose_core.landmark_models import LANDMARKS
from d3pose_core.model_files import model_path
from d3pose_core.observe import BlazePoseObserver
from d3pose_core.observe.cached import CachedObserver
from d3pose_core.recovery import MeshRecovery
from d3pose_core.skeleton import LANDMARK_TO_JOINT
from d3pose_core.video import ClipReader

HEIGHT = 500  # px, that images are shrunk to
LIMBS = [landmark for landmark, _ in LANDMARK_TO_JOINT]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="default: the demo's")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--hfov", type=float, default=60.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    frames = list(ClipReader(args.clip or model_path("demo.mp4"), max_frames=args.frames))
    columns = f"{'landmarks':17s}{'roll':>5s}{'ms a frame':>12s}{'turned':>8s}{'certainty':>11s}"
    print(f"{columns}   frames of each person")
    for name in LANDMARKS:
        for roll in (0, -20, 20):
            observer = BlazePoseObserver(landmarks=name, num_threads=1)
            recovery = MeshRecovery.from_pretrained(observer=CachedObserver())
            people: Counter[int] = Counter()
            turned, times, certainties = 0, [], []
            for frame in frames:
                image = _rolled(frame.image, roll)
                camera = Intrinsics.from_hfov(args.hfov, image.shape[1], image.shape[0])
                observations = observer(image, frame.time_s)
                times.append(observer.stage_times_ms["landmarks"])
                certainties += [person.certainty[LIMBS] for person in observations]
                found = recovery.recover(observations, frame.time_s, camera)
                people.update(person.track_id for person in found)
                turned += recovery.turned
            seen = " ".join(str(count) for _, count in sorted(people.items()))
            certainty = float(np.median(certainties)) if certainties else math.nan
            row = f"{name:17s}{roll:5d}{median(times):12.1f}{turned:8d}{certainty:11.2f}"
            print(f"{row}   {seen}", flush=True)


def _rolled(image: np.ndarray, degrees: float) -> np.ndarray:
    scale = HEIGHT / image.shape[0]
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(small, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


if __name__ == "__main__":
    main()
