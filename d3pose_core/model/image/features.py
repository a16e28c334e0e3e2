"""What the image variant reads: a backbone's features of each frame, and where the crop was taken."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from d3pose_core.model.view import ViewCamera, look_at_rotation


@dataclass
class FrameFeatures:
    """B people over T frames. Features of an unseen frame (`seen` False) are never read."""

    features: Tensor  # [B, T, tokens, width] from the backbone
    center: Tensor  # [B, T, 2] viewing ray (x/z, y/z) of the crop's centre, optical frame
    size: Tensor  # [B, T] side of the crop, tangent units
    seen: Tensor  # [B, T] bool
    step_s: Tensor  # [B, T] seconds since the frame before (any value at a track's first frame)

    def __getitem__(self, index) -> FrameFeatures:
        """Index or slice every array alike, e.g. `batch[:, 10:20]`."""
        return FrameFeatures(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def view(self) -> ViewCamera:
        """The camera turned at the crop's centre; its size is the usual spread of a body in its box."""
        seen = self.seen
        center = self.center.where(seen[..., None], 0.0)
        size = (self.size * _SPREAD_IN_BOX).where(seen, 1.0).clamp_min(1e-4)
        return ViewCamera(look_at_rotation(center), size)

    def frame_numbers(self) -> Tensor:
        """[B, T, FRAME_NUMBERS] direction, log size and log time step: what a crop does not show."""
        view = self.view()
        center = self.center.where(self.seen[..., None], 0.0)
        log_step = torch.log(self.step_s.clamp(1e-3, 10.0) * 30)
        return torch.cat([center, view.size.log()[..., None], log_step[..., None]], -1)


FRAME_NUMBERS = 4
# The root mean square distance of limb joints from the centre, over the side of a square box with a
# little room around an upright person: so that `place` means what it does with landmarks.
_SPREAD_IN_BOX = 0.25
