"""The kinds of motion; each module has `perform(rng)` that makes one clip."""

from types import ModuleType

from tools.make_motions.kinds import balance, bend, floor, gesture, random_poses, reach, sit, squat

KINDS: dict[str, ModuleType] = {
    "balance": balance,
    "gesture": gesture,
    "reach": reach,
    "squat": squat,
    "bend": bend,
    "sit": sit,
    "floor": floor,
    "random": random_poses,
}
# Shares of the time.
WEIGHTS = {
    "balance": 0.25,
    "gesture": 0.15,
    "reach": 0.15,
    "squat": 0.12,
    "bend": 0.08,
    "sit": 0.05,
    "floor": 0.08,
    "random": 0.12,
}
