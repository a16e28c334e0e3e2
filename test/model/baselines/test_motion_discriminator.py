"""The two players of the adversarial training, and whose gradients go where."""

import torch

from d3pose_core.model.baselines.motion_discriminator import MotionDiscriminator
from d3pose_core.model.decoder import sixd_to_rotations


def motions(people: int, frames: int, shake: float, rng: torch.Generator) -> torch.Tensor:
    """Constant poses [B, T, 24, 3, 3] that tremble by `shake`."""
    rest = torch.eye(3)[:, :2].flatten()
    pose = rest + 0.3 * torch.randn(people, 1, 24, 6, generator=rng)
    return sixd_to_rotations(pose + shake * torch.randn(people, frames, 24, 6, generator=rng))


def test_the_discriminator_learns_to_tell_a_tremor():
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    player = MotionDiscriminator(hidden=32, layers=1, attention=16)
    optimizer = torch.optim.Adam(player.parameters(), 3e-3)
    for _ in range(60):
        still, trembling = (motions(16, 12, shake, rng) for shake in (0.0, 0.3))
        optimizer.zero_grad()
        player.loss(still, trembling).backward()
        optimizer.step()
    with torch.no_grad():
        still, trembling = (player(motions(64, 12, shake, rng)) for shake in (0.0, 0.3))
    assert still.mean() - trembling.mean() > 0.4


def test_each_player_gets_only_its_own_gradient():
    player = MotionDiscriminator(hidden=16, layers=1, attention=8)
    rng = torch.Generator().manual_seed(1)
    made = motions(4, 10, 0.2, rng).requires_grad_()

    player.generator_loss(made).backward()
    assert made.grad is not None
    assert made.grad[:, :, 1:].abs().amax((0, 3, 4)).min() > 0  # every frame and joint but the root
    assert made.grad[:, :, 0].abs().max() == 0
    assert all(p.grad is None for p in player.parameters())

    made.grad = None
    player.loss(motions(4, 10, 0.0, rng), made).backward()
    assert made.grad is None
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in player.parameters())
