"""Names, parents and left/right pairs of the SMPL joints and the BlazePose landmarks.

The SMPL order is that of Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015); the
landmark order that of BlazePose GHUM (Bazarevsky et al. 2020).
"""

JOINT_NAMES: tuple[str, ...] = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
NUM_JOINTS = len(JOINT_NAMES)

# Parent of each joint; the pelvis has none (-1). Parents always come before their children.
JOINT_PARENTS: tuple[int, ...] = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
    *(9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21),
)


def path_to(joint: int) -> list[int]:
    """Joints from the pelvis to `joint`, both among them."""
    path = [joint]
    while path[-1]:
        path.append(JOINT_PARENTS[path[-1]])
    return path[::-1]


LANDMARK_NAMES: tuple[str, ...] = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
NUM_LANDMARKS = len(LANDMARK_NAMES)
RIVALS = 2  # other places that an observation may name for each landmark


def _mirror(names: tuple[str, ...]) -> tuple[int, ...]:
    """Index of each name's left/right counterpart; a name without a side is its own."""
    swap = {"left": "right", "right": "left"}
    mirrored = ["_".join(swap.get(word, word) for word in name.split("_")) for name in names]
    return tuple(names.index(name) for name in mirrored)


JOINT_MIRROR = _mirror(JOINT_NAMES)
LANDMARK_MIRROR = _mirror(LANDMARK_NAMES)
# What the mirror that exchanges left and right, M = diag(-1, 1, 1), does to the numbers of a rotation
# matrix: R -> M R M; and to those of a point, whose first one it turns round.
MIRRORED_ROTATION = ((1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (-1.0, 1.0, 1.0))
MIRRORED_POINT = (-1.0, 1.0, 1.0)

# Landmarks that lie at (or next to) an SMPL joint: (landmark index, joint index).
LANDMARK_TO_JOINT: tuple[tuple[int, int], ...] = tuple(
    (LANDMARK_NAMES.index(name), JOINT_NAMES.index(name))
    for name in (
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist"),
        *("right_wrist", "left_hip", "right_hip", "left_knee", "right_knee"),
        *("left_ankle", "right_ankle"),
    )
)
