"""`python -m tools.make_motions`: see the package's docstring."""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import torch
from tqdm import tqdm

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions.kinds import KINDS, WEIGHTS
from tools.make_motions.shard import make_clips, write_shard
from tools.make_motions.sheets import draw_sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.make_motions")
    parser.add_argument("--out", type=Path, required=True, metavar="SHARD.npz")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--sheets", type=Path, metavar="DIR", help="draw a picture of every clip")
    args = parser.parse_args()
    if args.hours <= 0:
        parser.error(f"--hours must be more than 0, got {args.hours}")
    torch.set_num_threads(1)

    clips = []
    seconds: dict[str, float] = defaultdict(float)
    refused: dict[str, int] = defaultdict(int)
    with tqdm(total=round(args.hours * 3600), unit="s") as bar:
        weights = {kind: WEIGHTS[kind] for kind in args.kinds}
        for kind, clip, tries in make_clips(weights, args.hours, args.seed):
            clips.append((kind, clip))
            seconds[kind] += len(clip.pose) / SHARD_FPS
            refused[kind] += tries
            bar.update(round(len(clip.pose) / SHARD_FPS))
            if args.sheets:
                args.sheets.mkdir(parents=True, exist_ok=True)
                draw_sheet(clip, args.sheets / f"{kind}_{len(clips):04d}.png")
    write_shard(args.out, clips)
    for kind in args.kinds:
        made = sum(k == kind for k, _ in clips)
        print(f"{kind:8} {made:4} clips {seconds[kind] / 60:6.1f} min, {refused[kind]} thrown away")
    print(args.out)


if __name__ == "__main__":
    main()
