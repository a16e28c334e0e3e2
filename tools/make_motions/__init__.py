"""Procedural motion: an endless supply of motions that are rare in recorded ones.

    python -m tools.make_motions --out procedural.npz --hours 1

Writes a shard for `MotionLibrary`; see docs/procedural_motion.md.
"""
