"""One streaming step of `D3Pose`, written for a single new frame and nothing else.

`D3Pose.forward` serves many frames at once; for one frame most of what it does is bookkeeping: rolling,
padding, cutting into runs, masks of a single row. Here the same function of the same weights is laid out so
that few and plain operators remain, for a step is so small that their number is what it costs:

* tokens are rows of a matrix, and every layer is one matrix product with a bias;
* a shifted window's roll is a permutation of the tokens before its block, and one after;
* keys and values are kept as attention reads them, head by head;
* masks are made once for all blocks of a stage, and the time biases of all blocks by one small network;
* what the corrections read of the observation is one product for all blocks.

A runtime executes this module (`onnx_step`, `cuda_step`); `D3Pose.step` stays the reference.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import BETAS_MEMORY, D3Pose
from d3pose_core.model.decoder import FEEDBACK_SIZE, NUM_BETAS, PoseHead
from d3pose_core.model.fit import FIT_SIZE
from d3pose_core.runtime.frame_decoder import FrameDecoder
from d3pose_core.runtime.frame_encoder import FrameEncoder
from d3pose_core.runtime.frame_pose import Orthonormal, pose_columns
from d3pose_core.runtime.frame_refinement import FrameRefinement
from d3pose_core.runtime.frame_view import Look
from d3pose_core.runtime.frames import OBSERVATION_NAMES
from d3pose_core.runtime.layers import Affine, age_features, constant
from d3pose_core.skeleton import NUM_JOINTS


def state_shapes(config: D3PoseConfig) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Name, shape without people, and type of each tensor of the state, in order.

    All zeros is the state of a person who was never seen before.
    """
    encoder, decoder = config.encoder_frames - 1, config.decoder_frames - 1
    history = max(encoder, decoder)
    number = torch.get_default_dtype()
    shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "age_s": ((history,), number),  # how long before the newest frame each was taken
        "was_seen": ((history,), torch.bool),  # the person was found in it
        "exists": ((history,), torch.bool),  # the track had begun
        "visible": ((encoder, _layout_slots(config)), number),  # landmarks behind each slot
    }
    block = 0
    for stage, depth in enumerate(config.depths):
        window, heads = config.slot_windows[stage], config.heads[stage]
        rows = config.slots[stage] // window * heads
        size = window * config.embed_dims[stage] // heads
        for _ in range(depth):
            for kind in ("keys", "values"):
                shapes[f"encoder_{kind}_{block}"] = ((rows, encoder, size), number)
            block += 1
    heads = config.decoder_heads
    for block in range(len(config.depths)):
        for name in ("self_keys", "self_values", "cross_keys", "cross_values"):
            shapes[f"decoder_{name}_{block}"] = (
                (heads, decoder, config.decoder_dim // heads),
                number,
            )
    shapes |= {"past": ((FEEDBACK_SIZE,), number), "betas_sum": ((NUM_BETAS + 1,), number)}
    return shapes | ({"carried": ((FIT_SIZE,), number)} if config.refinement else {})


def _layout_slots(config: D3PoseConfig) -> int:
    """Slots of all stages, those with shifted windows twice."""
    return sum(
        slots * (2 if depth > 1 and window // 2 and window < slots else 1)
        for slots, window, depth in zip(
            config.slots, config.slot_windows, config.depths, strict=True
        )
    )


class SingleFrame(nn.Module):
    """`D3Pose.step` as a function of plain tensors; a copy of the network's weights, frozen."""

    def __init__(self, model: D3Pose) -> None:
        super().__init__()
        self.config = config = model.config
        like = model.betas_weight.weight
        with torch.no_grad():
            self.look = Look(config.min_presence, like)
            self.encoder = FrameEncoder(model.encoder)
            last_head = cast(PoseHead, model.stage_heads[-1])
            self.decoder = FrameDecoder(model.decoder, last_head)
            head, variance = model.decoder.pose_head, model.decoder.variance_head
            weight, bias = pose_columns(head)
            more = [variance.weight, model.betas_weight.weight, model.stature_head.weight[:, :-1]]
            more_bias = [variance.bias, model.betas_weight.bias, model.stature_head.bias]
            self.head = Affine(
                torch.cat([weight, *(w.T for w in more)], 1), torch.cat([bias, *more_bias])
            )
            self.orthonormal = Orthonormal()
            self.refinement: FrameRefinement | None = None
            if config.refinement:
                decoder = model.decoder
                self.refinement = FrameRefinement(model.refinement, decoder.skeleton, head)
            self.evidence = constant(model.stature_head.weight[0, -1:])

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """One frame of B people.

        Args:
            inputs: the fields of `ObservationBatch`, [B, 1, ...], then the state as of `state_shapes`.

        Returns:
            the fields of `PosePrediction` and of `ViewCamera`, [B, 1, ...], then the new state.
        """
        config, observed = self.config, inputs[: len(OBSERVATION_NAMES)]
        state = list(inputs[len(OBSERVATION_NAMES) :])
        carried = [state.pop()] if self.refinement is not None else []
        age_s, seen, exists, visible, *cache, past, betas_sum = state
        now, step_s = observed[-2:]
        view = self.look(*(t.squeeze(1) for t in observed[:-2]), now, step_s)

        # Ages are counted from this frame, whose own is nothing.
        new_age = (age_s + step_s).clamp_max(3600.0)
        new_age = torch.cat([new_age, torch.zeros_like(step_s)], 1)
        ages = age_features(new_age)
        started = exists[:, -1:]
        true = now | ~now
        # A frame attends to itself, whether or not the person is in it; later ones ask.
        exists, looked_at = torch.cat([exists, true], 1), torch.cat([seen, true], 1)
        seen = torch.cat([seen, now], 1)
        counts = self.encoder.masks.count(view.shown)[:, None]
        visible = torch.cat([visible, counts], 1)

        span, encoder_tensors = config.decoder_frames, 2 * sum(config.depths)
        tokens, encoder_cache = self.encoder(
            self.encoder.embed(view.features, view.frame_features, view.visible),
            cache[:encoder_tensors],
            ages[:, -config.encoder_frames :],
            visible,
        )
        decoded, decoder_cache = self.decoder(
            past,
            started,
            tokens,
            cache[encoder_tensors:],
            ages[:, -span:],
            exists[:, -span:],
            looked_at[:, -span:],
            view,
        )
        sizes = [NUM_JOINTS * 6, 3, NUM_BETAS, NUM_JOINTS, 1, 1]
        axes, place, *others = self.head(decoded).split(sizes, 1)
        if self.refinement is not None:
            axes, place, *carried = self.refinement(
                decoded, axes, place, *carried, started, step_s, now, view
            )
        prediction, past, betas_sum = self._pose(axes, place, others, now, betas_sum)
        timeline = (new_age[:, 1:], seen[:, 1:], exists[:, 1:], visible[:, 1:])
        return (
            *prediction,
            *(view.rotation[:, None], view.size),
            *(*timeline, *encoder_cache, *decoder_cache, past, betas_sum, *carried),
        )

    def _pose(
        self, axes: Tensor, place: Tensor, others: list[Tensor], seen: Tensor, betas_sum: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """The prediction, and what is fed back and summed up.

        Args:
            axes, place: of the pose, [B, 144] and [B, 3].
            others: betas, log variances, and what the weight and the stature are made of.
        """
        betas, log_variance, weight, stature = others
        x, y, z = self.orthonormal(axes)
        weight = torch.where(seen, weight.sigmoid(), 0.0)
        betas_sum = torch.cat([betas * weight, weight], 1) + BETAS_MEMORY * betas_sum
        betas, weights = betas_sum.split([NUM_BETAS, 1], 1)
        running = betas / (weights + 0.1)
        stature = stature + weights.log1p() * self.evidence
        past = torch.cat([x.flatten(1), y.flatten(1), place], 1)
        prediction = (
            torch.stack([x, y, z], 2).permute(0, 3, 1, 2)[:, None],
            *(place[:, None], log_variance[:, None], running[:, None], stature),
        )
        return prediction, past, betas_sum
