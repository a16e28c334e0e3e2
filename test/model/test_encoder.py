"""The windowed attention against a slow reference that looks at one query at a time."""

import pytest
import torch

from d3pose_core.model.encoder import WindowBlock
from d3pose_core.model.timeline import Timeline


def reference_attention(block: WindowBlock, x, cache, timeline: Timeline) -> torch.Tensor:
    """What `WindowBlock` computes, before its feed-forward layer, straight from its definition."""
    batch, new, slots, dim = x.shape
    head_dim, history = dim // block.heads, block.history
    q, kv = block.qkv(block.norm(x)).split([dim, 2 * dim], -1)
    out = torch.zeros_like(x)

    def place(slot: int) -> int:
        """Where a slot lies after the shift; neighbours there share a window."""
        return (slot - block.shift) % slots

    for b in range(batch):
        for t in range(new):
            for s in range(slots):
                scores, values = [], []
                for frame in range(t - history, t + 1):  # never ahead of t, never further back
                    for other in range(slots):
                        if place(other) // block.window != place(s) // block.window:
                            continue
                        wrapped = (other < block.shift) != (s < block.shift)
                        itself = frame == t and other == s
                        if wrapped or not (itself or timeline.visible[b, frame + history, other]):
                            continue
                        # The cache holds slots in shifted order.
                        row = (
                            kv[b, frame, other]
                            if frame >= 0
                            else cache[b, frame + history, place(other)]
                        )
                        key, value = row.split(dim)
                        age = timeline.age_s[b, frame + history] - timeline.age_s[b, t + history]
                        bias = block.time_bias(age)
                        bias = (
                            bias
                            + block.slot_bias[
                                :, place(s) % block.window, place(other) % block.window
                            ]
                        )
                        heads = (q[b, t, s] * key).view(block.heads, head_dim).sum(-1)
                        scores.append(heads * head_dim**-0.5 + bias)
                        values.append(value.view(block.heads, head_dim))
                weight = torch.stack(scores).softmax(0)
                out[b, t, s] = (weight[..., None] * torch.stack(values)).sum(0).flatten()
    return x + block.project(out)


@pytest.mark.parametrize(("shift", "frames"), [(0, 1), (3, 1), (0, 11), (3, 11)])
@torch.no_grad()
def test_window_block_equals_the_reference(shift, frames):
    torch.manual_seed(shift + frames)
    block = WindowBlock(16, 2, 12, 6, shift, frames=4, mlp_ratio=2.0).eval()
    torch.nn.init.normal_(block.slot_bias)
    batch, history = 2, block.history
    x = torch.randn(batch, frames, 12, 16)
    cache = torch.randn(batch, history, 12, 32)
    timeline = Timeline(
        age_s=torch.rand(batch, history + frames).sort(1, descending=True).values,
        seen=torch.ones(batch, history + frames, dtype=torch.bool),
        visible=torch.rand(batch, history + frames, 12) > 0.3,
    )
    got, new_cache = block(x, cache, timeline)
    attended = reference_attention(block, x, cache, timeline)
    expected = attended + block.feed_forward(attended)
    assert torch.allclose(got, expected, atol=1e-5)
    assert new_cache.shape == cache.shape
