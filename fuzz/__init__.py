"""Fuzzing: whatever comes from outside, as bytes that nobody meant.

    python -m fuzz --list
    python -m fuzz image mcap --runs 20000
    python -m fuzz all --runs 2000

A target (`fuzz/targets/`, one file each) takes bytes and does with them what d3pose does with a message or a
file. It may do so, or raise a `D3PoseError`; anything else is a finding: another exception, a crash of the
process, more time or more memory than an input of a few kB can be worth. Docs: docs/security.md.
"""
