"""Procedural motion: people who keep to the floor, to their joints' limits and to a person's pace."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.motions import SHARD_FPS, MotionLibrary
from d3pose_core.errors import InputError
from tools.make_motions import limits
from tools.make_motions.arms import arm_bank, clear_of_trunk
from tools.make_motions.checks import SINKS_M, faults
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, lower_envelope, sway
from tools.make_motions.ground import lie_down, settle
from tools.make_motions.kinds import KINDS, WEIGHTS
from tools.make_motions.legs import lengths
from tools.make_motions.rig import J, mirror, rig
from tools.make_motions.rotations import about, blend, matrix, rotvec
from tools.make_motions.shard import make_clips, write_shard
from tools.make_motions.sheets import draw_sheet

LEFT_FOOT, RIGHT_FOOT = J["left_foot"], J["right_foot"]


@pytest.fixture(scope="module")
def clips() -> dict[str, list[Clip]]:
    """Two or three clips of each kind."""
    made: dict[str, list[Clip]] = {kind: [] for kind in KINDS}
    for kind, clip, _ in make_clips(dict.fromkeys(KINDS, 1.0), hours=0.032, seed=3):
        made[kind].append(clip)
    return made


@pytest.fixture(scope="module")
def shard(clips, tmp_path_factory):
    path = tmp_path_factory.mktemp("procedural") / "shard.npz"
    write_shard(path, [(kind, clip) for kind, made in clips.items() for clip in made])
    return path


def every(clips: dict[str, list[Clip]]) -> list[tuple[str, Clip]]:
    return [(kind, clip) for kind, made in clips.items() for clip in made]


def joints_of(clip: Clip) -> np.ndarray:
    """[F, 24, 3] m, of the product's own body model."""
    body = load_body("free-low")
    frames = len(clip.pose)
    pose, betas = torch.from_numpy(clip.pose).float(), torch.zeros(frames, 10)
    transl = torch.from_numpy(clip.root).float() - body.joints_rest(betas)[:, 0]
    return body.joints(pose[:, 0], pose[:, 1:], betas, transl).numpy()


def lowest_skin(clip: Clip, every_nth: int = 5) -> np.ndarray:
    """The height [F / 5] of the lowest point of the whole mesh, m."""
    body = load_body("free-low")
    pose = torch.from_numpy(clip.pose[::every_nth]).float()
    betas = torch.zeros(len(pose), 10)
    transl = torch.from_numpy(clip.root[::every_nth]).float() - body.joints_rest(betas)[:, 0]
    return body(pose[:, 0], pose[:, 1:], betas, transl).vertices[..., 1].amin(1).numpy()


def test_a_motion_library_reads_the_shard(shard, clips):
    library = MotionLibrary([shard], "train")
    wanted = [clip for _, clip in every(clips)]
    assert len(library) == len(wanted)
    for index in (0, len(wanted) - 1):
        read = library.clip(index)
        close = blend(matrix(wanted[index].pose), read.rotations[0].double().numpy(), np.ones(()))
        turned = np.linalg.norm(
            rotvec(np.swapaxes(matrix(wanted[index].pose), -1, -2) @ close), axis=-1
        )
        assert np.degrees(turned).max() < 0.05
        np.testing.assert_allclose(read.pelvis[0], wanted[index].root, atol=1e-5)
    with pytest.raises(InputError, match="no clip of split 'val'"):
        MotionLibrary([shard], "val")
    times = torch.arange(20)[None].expand(4, -1) / SHARD_FPS
    assert library.sample(times, torch.Generator().manual_seed(0)).pelvis.isfinite().all()


def test_the_shard_has_every_field_of_recorded_ones(shard, clips):
    with np.load(shard, allow_pickle=False) as z:
        count, frames = len(every(clips)), sum(len(c.pose) for _, c in every(clips))
        assert z["start"][-1] == len(z["pose_i16"]) == len(z["root"]) == len(z["contact"]) == frames
        for name in ("name", "source", "licence", "subject", "split", "label", "text"):
            assert z[name].shape == (count,)
        assert len(set(z["name"])) == count
        assert set(z["licence"]) == {"CC0-1.0"}
        assert set(z["label"]) == {f"procedural_{kind}" for kind in KINDS}
        assert z["fps"] == SHARD_FPS
        assert z["skel_J"].shape == (24, 3)
        assert 0.2 < z["contact"].mean() < 0.95


def test_shards_of_bodies_of_other_sizes_are_made_alike(shard, tmp_path):
    with np.load(shard) as z:
        arrays = dict(z)
    larger = tmp_path / "larger.npz"
    np.savez(larger, **arrays | {"root": 2 * arrays["root"], "skel_J": 2 * arrays["skel_J"]})
    alone, both = MotionLibrary([shard], "train"), MotionLibrary([shard, larger], "train")
    assert both.rest_leg_m == alone.rest_leg_m
    half = len(alone.roots)
    torch.testing.assert_close(both.roots[half:], alone.roots)


def test_the_same_seed_makes_the_same_clips_whatever_else_is_made():
    def first(kinds, seed):
        chosen = dict.fromkeys(kinds, 1.0)
        return next(c for k, c, _ in make_clips(chosen, 0.003, seed) if k == "gesture")

    one, again, other = first(["gesture"], 5), first(["gesture", "sit"], 5), first(["gesture"], 6)
    np.testing.assert_array_equal(one.pose, again.pose)
    np.testing.assert_array_equal(one.root, again.root)
    assert one.pose.shape != other.pose.shape or np.abs(one.pose - other.pose).max() > 0.1


def test_joints_keep_to_their_limits(clips):
    for kind, clip in every(clips):
        beyond = np.degrees(limits.beyond(clip.pose))
        assert beyond.max() <= 10.0, kind
        assert (beyond > 2.0).mean() < 0.01, kind
        # Elbows and knees bend one way.
        assert np.degrees(clip.pose[:, J["left_elbow"], 1]).max() < 25, kind
        assert np.degrees(clip.pose[:, J["right_elbow"], 1]).min() > -25, kind
        knees = clip.pose[:, [J["left_knee"], J["right_knee"]], 0]
        assert np.degrees(knees).min() > -8, kind


def test_limits_are_mirror_images():
    np.testing.assert_allclose(mirror(limits.LOW[None])[0][1:, 0], limits.LOW[1:, 0])
    flipped = mirror(limits.LOW[None])[0]
    np.testing.assert_allclose(flipped[1:, 1:], limits.HIGH[1:, 1:])


def test_everyone_is_on_the_floor(clips):
    for kind, clip in every(clips):
        lowest = lowest_skin(clip)
        assert lowest.min() > -SINKS_M - 0.02, kind  # the mesh bulges a little more than the rig
        assert lowest.max() < 0.07, kind


def test_planted_feet_stay(clips):
    planted_frames = 0
    for kind in set(KINDS) - {"floor"}:
        for clip in clips[kind]:
            joints = joints_of(clip)
            for side, planted in clip.planted.items():
                both = planted[1:] & planted[:-1]
                ball = joints[:, J[f"{side}_foot"]]
                step = np.linalg.norm(np.diff(ball[:, [0, 2]], axis=0), axis=1)[both]
                assert step.max(initial=0) < 0.004, kind
                assert ball[planted, 1].max(initial=0) < rig().ball_height + 0.03, kind
                planted_frames += both.sum()
    assert planted_frames > 3000


def test_what_lies_on_the_floor_hardly_slides():
    def slides(joints):
        near = joints[..., 1] < 0.12
        speed = np.linalg.norm(np.diff(joints[..., [0, 2]], axis=0), axis=-1) * SHARD_FPS
        return speed[near[1:] & near[:-1]]

    free, pinned = [], []
    for seed in (0, 2, 3):
        clip = KINDS["floor"].perform(np.random.default_rng(seed))
        joints = joints_of(clip)
        free.append(slides(joints))
        pinned.append(slides(joints - clip.root[:, None] * [1, 0, 1]))
    free, pinned = np.concatenate(free), np.concatenate(pinned)
    assert np.median(free) < 0.06
    assert np.percentile(free, 90) < 0.6 * np.percentile(pinned, 90)


def test_people_move_at_a_persons_pace(clips):
    """Of the recorded clips (CMU, ACCAD), wrists do 0.6 m/s and 4.5 m/s2 in the median and 4.3 m/s and
    45 m/s2 at the 99th percentile."""
    joints = [joints_of(clip) for _, clip in every(clips)]
    wrists = [J["left_wrist"], J["right_wrist"]]
    speed = np.concatenate([np.diff(j[:, wrists], axis=0).reshape(-1, 3) for j in joints])
    change = np.concatenate([np.diff(j[:, wrists], n=2, axis=0).reshape(-1, 3) for j in joints])
    speed = np.linalg.norm(speed, axis=1) * SHARD_FPS
    change = np.linalg.norm(change, axis=1) * SHARD_FPS**2
    assert 0.2 < np.median(speed) < 1.2
    assert 2.0 < np.percentile(speed, 99) < 6.0
    assert 1.0 < np.median(change) < 8.0
    assert 12.0 < np.percentile(change, 99) < 60.0
    head = np.concatenate([np.diff(j[:, J["head"]], n=2, axis=0) for j in joints])
    assert np.percentile(np.linalg.norm(head, axis=1) * SHARD_FPS**2, 99) < 25.0


def test_the_kinds_are_what_they_say(clips):
    def together(kind, measure):
        return np.concatenate([measure(joints_of(clip)) for clip in clips[kind]])

    def lifted(j):  # how much higher one foot is than the other
        return np.abs(j[:, LEFT_FOOT, 1] - j[:, RIGHT_FOOT, 1])

    def pelvis(j):
        return j[:, 0, 1]

    def trunk_lean(j):
        along = j[:, J["neck"]] - j[:, 0]
        return np.degrees(np.arccos(along[:, 1] / np.linalg.norm(along, axis=1)))

    def hands(j):
        return j[:, [J["left_wrist"], J["right_wrist"]], 1].reshape(-1)

    def span(j):  # of the wrists, m
        return np.linalg.norm(j[:, J["left_wrist"]] - j[:, J["right_wrist"]], axis=1)

    assert (together("balance", lifted) > 0.12).mean() > 0.3
    assert (together("gesture", lifted) > 0.12).mean() < 0.05
    assert np.percentile(together("balance", span), 75) > 1.0
    assert together("gesture", pelvis).min() > 0.7
    assert (together("gesture", hands) > 1.5).mean() > 0.1
    assert together("squat", pelvis).min() < 0.65
    assert together("bend", trunk_lean).max() > 60
    assert together("reach", hands).min() < 0.5
    assert together("reach", hands).max() > 1.7
    assert 0.38 < np.percentile(together("sit", pelvis), 25) < 0.7
    assert together("floor", pelvis).min() < 0.3


def test_who_balances_has_his_mass_over_his_foot():
    off = []
    for seed in range(12):
        # Not mirrored, so the left foot stands.
        clip = KINDS["balance"].perform(np.random.default_rng(seed))
        joints = joints_of(clip)
        alone = (joints[:, RIGHT_FOOT, 1] > 0.25) & clip.planted["left"]
        mass = joints.transpose(0, 2, 1) @ rig().mass
        foot = 0.4 * joints[:, J["left_ankle"]] + 0.6 * joints[:, LEFT_FOOT]
        if not faults(clip):
            off.append(np.linalg.norm((mass - foot)[alone][:, [0, 2]], axis=1))
    off = np.concatenate(off)
    assert len(off) > 500
    assert np.median(off) < 0.04
    assert np.percentile(off, 99) < 0.08


def test_faults_are_found(clips):
    clip = clips["gesture"][0]
    assert not faults(clip)
    up = np.array([0, 0.1, 0])
    assert "sinks, m" in faults(replace(clip, root=clip.root - up))
    assert "floats, m" in faults(replace(clip, root=clip.root + up))
    ramp = np.linspace(0, 0.3, len(clip.root))[:, None] * [1, 0, 0]
    assert "slides, m" in faults(replace(clip, root=clip.root + ramp))
    broken = clip.pose.copy()
    broken[:, J["left_knee"], 0] = -0.8
    assert "outside the limits, deg" in faults(replace(clip, pose=broken))
    through = clip.pose.copy()
    through[:, J["left_shoulder"]] = [0, -1.4, 0]  # the arm across
    through[:, J["left_elbow"]] = [0, -2.2, 0]  # and its hand into the chest
    assert "overlap, m" in faults(replace(clip, pose=through))
    jump = clip.root.copy()
    jump[40:] += [0.4, 0, 0]
    assert {"speed, m/s", "acceleration, m/s2"} <= set(faults(replace(clip, root=jump)))


def test_curves_reach_their_keys_and_stay_between_them():
    schedule = Schedule(np.array([0.0, 2.0, 4.0]), np.array([0.5, 3.0, 5.0]))
    curve = schedule.curve(np.array([0.0, 1.0, -1.0]), 150, softness=0.03)
    np.testing.assert_allclose(curve[[0, 75, 140]], [0, 1, -1], atol=1e-3)
    assert curve.min() >= -1
    assert curve.max() <= 1
    # As gentle as least jerk: 1.875 times the mean speed, and no kinks.
    assert np.abs(np.diff(curve)).max() * SHARD_FPS < 1.9 * 2.0
    assert np.abs(np.diff(curve, n=2)).max() * SHARD_FPS**2 < 5.8 * 2.1


def test_a_lower_envelope_is_smooth_and_never_above():
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=200)) * 0.02
    envelope = lower_envelope(values, 0.12)
    assert (envelope <= values + 1e-12).all()
    assert np.abs(np.diff(envelope, n=2)).max() < 0.3 * np.abs(np.diff(values, n=2)).max()


def test_sway_has_the_wanted_size_and_frequencies():
    wave = sway(np.random.default_rng(1), 3000, (40,), 0.3, (0.2, 1.0))
    assert wave.std() == pytest.approx(0.3, rel=0.1)
    power = np.abs(np.fft.rfft(wave * np.hanning(3000)[:, None], axis=0)) ** 2
    frequency = np.fft.rfftfreq(3000, 1 / SHARD_FPS)
    assert power[(frequency < 0.15) | (frequency > 1.05)].sum() < 0.01 * power.sum()


def test_arms_of_the_bank_are_inside_limits_and_outside_the_trunk():
    bank = arm_bank()
    assert len(bank.poses) > 10_000
    assert clear_of_trunk(bank.elbow, bank.hand).all()
    whole = np.zeros((len(bank.poses), 24, 3))
    whole[:, [J[f"left_{n}"] for n in ("collar", "shoulder", "elbow", "wrist")]] = bank.poses
    assert limits.beyond(whole).max() == 0
    # The rig agrees about where the elbow is.
    world, joints = rig().pose(matrix(whole[:50]), np.zeros((50, 3)))
    local = (
        np.swapaxes(world[:, J["spine3"]], 1, 2)
        @ (joints[:, J["left_elbow"]] - joints[:, J["spine3"]])[..., None]
    )
    np.testing.assert_allclose(local[..., 0], bank.elbow[:50], atol=1e-9)
    near = bank.reach(np.random.default_rng(0), np.array([0.3, 0.3, 0.45]), None)
    index = np.linalg.norm(bank.poses - near, axis=(1, 2)).argmin()
    assert np.linalg.norm(bank.hand[index] - [0.3, 0.3, 0.45]) < 0.1


def test_the_rig_is_the_product_body():
    rng = np.random.default_rng(0)
    pose = rng.normal(size=(3, 24, 3)) * 0.4
    clip = Clip(pose, rng.normal(size=(3, 3)))
    _, joints = rig().pose(matrix(pose), clip.root)
    np.testing.assert_allclose(joints, joints_of(clip), atol=1e-5)
    assert sum(lengths("left")) == pytest.approx(sum(lengths("right")), abs=1e-6)
    assert rig().mass.sum() == pytest.approx(1)


def test_a_body_that_lies_down_lies_firmly():
    pose = np.zeros((1, 24, 3))
    pose[0, J["left_shoulder"], 2], pose[0, J["right_shoulder"], 2] = -1.2, 1.2
    tilted = about(0, np.array([-1.1]))  # nearly on the back, on the heels
    turned = lie_down(pose, tilted)
    up = turned[0, :, 2] @ [0, 1, 0]  # the chest faces up
    assert up > 0.97
    solved, root = settle(pose.repeat(5, 0), turned.repeat(5, 0), np.zeros(2))
    assert np.abs(lowest_skin(Clip(solved, root), 1)).max() < 0.03


def test_a_sheet_shows_the_clip(clips, tmp_path):
    draw_sheet(clips["gesture"][0], tmp_path / "sheet.png", columns=3)
    assert (tmp_path / "sheet.png").stat().st_size > 5000


def test_weights_name_every_kind():
    assert set(WEIGHTS) == set(KINDS)
    assert sum(WEIGHTS.values()) == pytest.approx(1)
