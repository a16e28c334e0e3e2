"""Clips of crops around rendered people, with exact truth: what the image variant is trained on.

    python -m tools.render_crops --motions SHARD.npz --split train --clips 60 --out train.npz

The pictures are those of `tools.measure_landmarks`: the free body in clothes, lit, before made-up
scenery, through a cheap camera. Needs the `measure` extra.
"""
