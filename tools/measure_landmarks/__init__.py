"""Measures BlazePose's errors: runs it on renders of the free body, whose exact truth is known.

    python -m tools.measure_landmarks record --motions SHARD.npz --split train --clips 120 --out train.npz
    python -m tools.measure_landmarks show   --motions SHARD.npz --split train --clips 4 --out DIR
    python -m tools.measure_landmarks analyse train.npz
    python -m tools.measure_landmarks fit     train.npz
    python -m tools.measure_landmarks fit-certainty train.npz
    python -m tools.measure_landmarks fit-rivals train.npz
    python -m tools.measure_landmarks compare train.npz

`record` renders short clips of recorded motions: random bodies and clothes, the training's random
cameras, photographs or made-up scenes behind, sometimes furniture before; it then runs the
product's own observer (detector, landmarks, tracking) over them and writes what BlazePose said
beside what is true. `show` draws some frames to look at; `analyse` prints the errors as tables, `fit`
writes the statistics that the training draws errors from, `fit-certainty` those of how certain BlazePose
says it is, `fit-rivals` gathers where else it says that landmarks may be, `compare` prints measured and
simulated errors side by side. The recording is read by `d3pose_core.data.rendered`.

Needs, besides d3pose's own dependencies: `pip install numba scikit-image`, and `d3pose models fetch`.
scikit-image carries the photographs (public domain or free to use; see its `data/README.txt`); one
more is the demo clip's scenery. None of them is copied into the package.

Clips are made one by one from the run's seed and the clip's number, so that a longer run begins
with the same clips.
"""
