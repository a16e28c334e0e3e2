"""Tables of BlazePose's measured errors, printed."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import groups_of_landmarks
from d3pose_core.data.rendered import RenderedSet, Start, landmark_scores
from d3pose_core.data.sight import Sight
from d3pose_core.errors import InputError
from d3pose_core.skeleton import LANDMARK_NAMES
from tools.measure_landmarks.errors import LIMBS, Errors
from tools.measure_landmarks.offsets import landmark_offsets
from tools.measure_landmarks.rivals import rival_errors
from tools.measure_landmarks.told import depth_left

_PERCENTILES = (0.5, 0.9, 0.99)
_ASTRAY = 0.06  # image error of a limb, person heights


def print_tables(recorded: RenderedSet) -> None:
    """All tables, over the seen frames that are not flipped unless the title says otherwise.

    Raises InputError where no clip has a second of these.
    """
    errors = Errors.of(recorded)
    if not errors.clips_used:
        most = int(errors.usable.sum(1).max())
        raise InputError(
            "no clip has 30 frames in which the person is seen with sides right, which tables need; "
            f"the best of {len(recorded)} has {most}: record longer clips (--frames)"
        )
    _found(recorded)
    _image_errors(recorded, errors)
    _flips(recorded, errors)
    _metric_errors(recorded, errors)
    _depth_range(recorded, errors)
    _memory(recorded, errors)
    _confidence(recorded, errors)
    _rivals(recorded, errors)
    _bias(recorded, errors)
    _offsets(recorded, errors)


def _title(text: str) -> None:
    print(f"\n## {text}")


def _quantiles(values: Tensor, of: tuple[float, ...] = _PERCENTILES) -> str:
    if not len(values):
        return "  ".join(["    -"] * len(of))
    return "  ".join(f"{v:7.2f}" for v in torch.quantile(values, torch.tensor(of)).tolist())


def _found(recorded: RenderedSet) -> None:
    _title(f"Found: {len(recorded)} clips of {recorded.seen.shape[1]} frames")
    print(f"frames with the person {recorded.seen.float().mean():.3f}, ", end="")
    print(f"with something else {recorded.stray.float().mean():.3f}")
    after = recorded.seen[:, 15:].float().mean()
    print(f"after the first half second {after:.3f}")
    first = recorded.start.long() * (recorded.start.ne(0).cumsum(1) == 1)
    by = first.amax(1)
    for start in (Start.FOUND, Start.TOLD, Start.NONE):
        print(f"  first {start.name.lower():6s}: {(by == start).float().mean():.3f} of the clips")
    again = recorded.start.ne(0).sum(1) - by.ne(0).long()
    print(f"restarts after the first: {again.float().mean():.2f} a clip")
    in_view = (recorded.sight != Sight.OUTSIDE).float().mean(-1)
    for low, high in ((0.0, 0.34), (0.34, 0.67), (0.67, 0.99), (0.99, 1.01)):
        chosen = (in_view >= low) & (in_view < high)
        if chosen.any():
            share = recorded.seen[chosen].float().mean()
            print(
                f"  found where {low:.2f}..{high:.2f} of the landmarks are in the image: {share:.3f}"
            )
    scores = {name: round(value, 2) for name, value in landmark_scores(recorded).items()}
    print(f"metric landmarks, 12 limb joints: {scores}")


def _image_errors(recorded: RenderedSet, errors: Errors) -> None:
    _title("Image error, % of the person's height: 50 %, 90 %, 99 % and count")
    for group, landmarks in groups_of_landmarks().items():
        for sight in Sight:
            chosen = errors.usable[..., None] & (recorded.sight[..., landmarks] == sight)
            values = 100 * errors.image_size[..., landmarks][chosen]
            print(f"{group:16s} {sight.name.lower():14s} {_quantiles(values)} {len(values):8d}")
    for facing, frames in errors.facing.items():
        chosen = errors.usable & frames
        visible = chosen[..., None] & (recorded.sight == Sight.VISIBLE)
        values = 100 * errors.image_size[..., LIMBS][visible[..., LIMBS]]
        print(f"visible limbs, {facing:15s} {_quantiles(values)} {len(values):8d}")
    tall = 1.7 * recorded.camera[:, None, 1] / errors.distance
    for low, high in ((0, 80), (80, 120), (120, 200), (200, 350), (350, 5000)):
        chosen = errors.usable & (tall >= low) & (tall < high)
        visible = chosen[..., None] & (recorded.sight == Sight.VISIBLE)
        values = 100 * errors.image_size[..., LIMBS][visible[..., LIMBS]]
        found = recorded.seen[(tall >= low) & (tall < high)].float().mean()
        shown = _quantiles(values)
        print(
            f"visible limbs, 1.7 m are {low:3d}..{high:4d} px: {shown} {len(values)}; found {found:.2f}"
        )
    limb = 100 * errors.image_size[..., LIMBS].mean(-1)
    by_clip = torch.stack([limb[c][errors.usable[c]].median() for c in errors.clips_used])
    print(f"median of each clip, over clips, 10/50/90 %: {_quantiles(by_clip, (0.1, 0.5, 0.9))}")


def _flips(recorded: RenderedSet, errors: Errors) -> None:
    _title("Left/right flips: share of seen frames; number and length of runs")
    for facing, frames in errors.facing.items():
        chosen = recorded.seen & frames
        share = errors.flipped[chosen].float().mean()
        lying = errors.metric_flipped[chosen].float().mean()
        print(f"{facing:6s} image {share:.3f}  metric {lying:.3f}  of {int(chosen.sum())} frames")
    print("run lengths, s (10/50/90 %)", end=" ")
    step = float(recorded.times_s[0].diff().mean())
    runs = _run_lengths(errors.flipped) * step
    print(_quantiles(runs, (0.1, 0.5, 0.9)), f" {len(runs)} runs")
    has = errors.flipped.any(1).float().mean()
    print(f"clips with a flip: {has:.3f}")
    for side, part in {"legs only": errors.legs_flipped, "arms only": errors.arms_flipped}.items():
        alone = part & ~errors.flipped
        lengths = _run_lengths(alone) * step
        share = alone[recorded.seen].float().mean()
        print(f"{side}: {share:.3f} of the frames, lengths {_quantiles(lengths, (0.1, 0.5, 0.9))}")


def _run_lengths(flags: Tensor) -> Tensor:
    lengths = []
    for row in flags.tolist():
        length = 0
        for flag in [*row, False]:
            if flag:
                length += 1
            elif length:
                lengths.append(length)
                length = 0
    return torch.tensor(lengths, dtype=torch.float32)


def _metric_errors(recorded: RenderedSet, errors: Errors) -> None:
    _title("Metric error of 12 limb joints about the mid-hip, mm: mean |x|, |y|, |z|; then mean z")
    for facing, frames in errors.facing.items():
        for name, sights in (("visible", [0]), ("hidden", [1, 2]), ("outside", [3])):
            sight = torch.isin(recorded.sight[..., LIMBS].long(), torch.tensor(sights))
            chosen = (errors.usable & frames)[..., None] & sight
            values = 1000 * errors.metric[..., LIMBS, :][chosen]
            if len(values):
                size = "  ".join(f"{v:6.1f}" for v in values.abs().mean(0).tolist())
                print(
                    f"{facing:6s} {name:8s} {size}   {values[:, 2].mean():+6.1f} {len(values):7d}"
                )
    astray = (errors.image_size[..., LIMBS] > _ASTRAY).sum(-1)
    for few, many in ((0, 0), (1, 2), (3, 4), (5, 7), (8, len(LIMBS))):
        frames = errors.usable & (astray >= few) & (astray <= many)
        values = 1000 * errors.metric[..., LIMBS, :][frames]
        if len(values):
            size = "  ".join(f"{v:6.1f}" for v in values.abs().mean((0, 1)).tolist())
            share = len(values) / int(errors.usable.sum())
            name = f"{few}..{many} of them {_ASTRAY:.0%} astray in the image"
            print(f"{name}: {size}   of {share:.2f} of the frames")


def _depth_range(recorded: RenderedSet, errors: Errors) -> None:
    _title("Slope of reported on true (limb joints about the mid-hip), and correlation")
    truth = errors.true_metric[..., LIMBS, :]
    hint = recorded.depth_hint[..., LIMBS] * errors.distance[..., None]
    for facing, frames in errors.facing.items():
        chosen = errors.usable & frames
        line = [f"{facing:6s}"]
        for axis, name in enumerate("xyz"):
            x, y = truth[chosen][..., axis].flatten(), recorded.landmarks[..., LIMBS, :][chosen]
            line.append(f"{name} {_slope(x, y[..., axis].flatten())}")
        line.append(f"depth hint {_slope(truth[chosen][..., 2].flatten(), hint[chosen].flatten())}")
        print("   ".join(line))
    slopes = []
    for c in errors.clips_used:
        x = truth[c][errors.usable[c]][..., 2].flatten()
        y = recorded.landmarks[c][errors.usable[c]][:, LIMBS, 2].flatten()
        if x.std() > 0.05:
            slopes.append((x * y).sum() / x.square().sum())
    print(f"z slope of each clip, 10/50/90 %: {_quantiles(torch.stack(slopes), (0.1, 0.5, 0.9))}")
    same = recorded.landmarks[..., 2][errors.usable].flatten()
    hint_all = (recorded.depth_hint * errors.distance[..., None])[errors.usable].flatten()
    print(f"depth hint on metric z: {_slope(same, hint_all)}")
    observed = recorded.landmarks[..., LIMBS, :][errors.usable].square().sum((-2, -1)).sqrt()
    ratio = observed / truth[errors.usable].square().sum((-2, -1)).sqrt()
    print(f"size of the body, reported / true, 10/50/90 %: {_quantiles(ratio, (0.1, 0.5, 0.9))}")
    left = 1000 * depth_left(recorded, errors).abs()
    if len(left):
        print(
            f"missed by a regression of their depth on a frame's whole report: {left.mean():.0f} mm"
        )


def _slope(x: Tensor, y: Tensor) -> str:
    if len(x) < 2:
        return "  -  "
    slope = (x * y).sum() / x.square().sum()
    correlation = torch.corrcoef(torch.stack([x, y]))[0, 1]
    return f"{slope:.2f} (r {correlation:.2f})"


def _memory(recorded: RenderedSet, errors: Errors) -> None:
    _title("Memory of the errors of visible limb joints: correlation at lag 1, 3, 10, 30 frames")
    visible = errors.usable[..., None] & (recorded.sight == Sight.VISIBLE)
    size = {"image x, y": errors.image, "metric x, y": errors.metric[..., :2]}
    size["metric z"] = errors.metric[..., 2:]
    for name, error in size.items():
        error = error[..., LIMBS, :]
        # One wild landmark must not decide.
        bound = 5 * error[visible[..., LIMBS]].abs().median()
        error = error.clamp(-bound, bound)
        weight = visible[..., LIMBS].float()[..., None]
        line = []
        about_mean = error - (error * weight).sum((0, 1)) / weight.sum((0, 1))
        variance = (about_mean.square() * weight).sum() / weight.expand_as(error).sum()
        for lag in (1, 3, 10, 30):
            both = weight[:, lag:] * weight[:, :-lag]
            product = about_mean[:, lag:] * about_mean[:, :-lag] * both
            line.append(float(product.sum() / both.expand_as(product).sum() / variance))
        clip_mean = (about_mean * weight).sum(1, keepdim=True) / weight.sum(
            1, keepdim=True
        ).clamp_min(1)
        of_clips = (clip_mean.square() * weight).sum() / weight.expand_as(error).sum()
        listed = "  ".join(f"{v:.2f}" for v in line)
        print(
            f"{name:12s} {listed}   constant over a clip: {of_clips / variance:.2f} of the variance"
        )


def _confidence(recorded: RenderedSet, errors: Errors) -> None:
    _title("Visibility, presence, certainty when truly ...: 5, 25, 50, 75, 95 %")
    points = (0.05, 0.25, 0.5, 0.75, 0.95)
    for field in ("visibility", "presence", "certainty"):
        for group, landmarks in groups_of_landmarks().items():
            for sight in Sight:
                chosen = errors.usable[..., None] & (recorded.sight[..., landmarks] == sight)
                values = getattr(recorded, field)[..., landmarks][chosen]
                print(
                    f"{field:10s} {group:16s} {sight.name.lower():14s} {_quantiles(values, points)}"
                )
    chosen = errors.usable[..., None].expand_as(recorded.visibility[..., LIMBS])
    error = errors.image_size[..., LIMBS][chosen]
    for field, bounds in (
        ("visibility", (0, 0.2, 0.5, 0.8, 0.95, 0.99, 1.01)),
        ("certainty", (0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.01)),
    ):
        value = getattr(recorded, field)[..., LIMBS][chosen]
        ranks = torch.stack([value, error]).argsort(1).argsort(1).float()
        print(f"rank correlation of {field} and image error: {torch.corrcoef(ranks)[0, 1]:.2f}")
        for low, high in pairwise(bounds):
            values = 100 * error[(value >= low) & (value < high)]
            shown = _quantiles(values)
            print(f"  image error at {field} {low:.2f}..{high:.2f}: {shown} {len(values)}")
    for title, frames in (("flipped", errors.flipped), ("other", errors.usable)):
        values = recorded.certainty[..., LIMBS][frames].flatten()
        print(f"certainty in {title} frames: {_quantiles(values, points)}")


def _rivals(recorded: RenderedSet, errors: Errors) -> None:
    _title("Rivals of limb landmarks, flipped frames too, by the image error, % of the height")
    to_truth, _ = rival_errors(recorded, errors)
    there = recorded.rival_certainty > 0
    miss = 100 * to_truth.norm(dim=-1).where(there, torch.inf).amin(-1)[..., LIMBS]
    error = 100 * errors.image_size[..., LIMBS]
    count = there.sum(-1)[..., LIMBS]
    for low, high in pairwise((0, 2, 4, 8, 16, 1000)):
        chosen = recorded.seen[..., None] & (error >= low) & (error < high)
        one, two = ((count[chosen] >= n).float().mean() for n in (1, 2))
        better, near = ((miss < least)[chosen].float().mean() for least in (error, 4.0))
        print(
            f"error {low:3d}..{high:4d}: one {one:.2f}, two {two:.2f}; nearer to the truth {better:.2f}, "
            f"within 4 % of it {near:.2f}; {int(chosen.sum())}"
        )


def _bias(recorded: RenderedSet, errors: Errors) -> None:
    _title("Mean metric error in the body's axes (to its left, up, forward), mm; by facing")
    print(" " * 18 + "".join(f"{facing:^22s}" for facing in errors.facing))
    for i, name in enumerate(LANDMARK_NAMES):
        line = f"{name:18s}"
        for frames in errors.facing.values():
            chosen = errors.usable & frames & (recorded.sight[..., i] == Sight.VISIBLE)
            if chosen.sum() < 30:
                chosen = errors.usable & frames
            mean = 1000 * errors.in_body[..., i, :][chosen].mean(0)
            line += "   " + " ".join(f"{v:+5.0f}" for v in mean.tolist()) + " "
        print(line)


def _offsets(recorded: RenderedSet, errors: Errors) -> None:
    _title(
        "Where BlazePose puts the landmarks: the offset in the frame of the bone (SMPL rest axes: "
        "left, up, front), mm, that explains their image errors best, and the share it explains"
    )
    offset, explained, rest = landmark_offsets(recorded, errors)
    for name, mm, share in zip(LANDMARK_NAMES, 1000 * offset, explained.tolist(), strict=True):
        print(f"{name:18s} " + " ".join(f"{v:+5.0f}" for v in mm.tolist()) + f"   {share:.2f}")
    print("Image error of visible landmarks, % of the person's height, without these offsets:")
    for group, landmarks in groups_of_landmarks().items():
        chosen = errors.usable[..., None] & (recorded.sight[..., landmarks] == Sight.VISIBLE)
        left = 100 * rest.norm(dim=-1)[..., landmarks][chosen]
        print(f"{group:16s} {_quantiles(left)}")
