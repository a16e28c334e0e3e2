"""The newest item wins, and none is lost without being handed back."""

import threading

from d3pose_ros.worker import NewestWorker


def test_busy_worker_keeps_the_newest():
    started, release, done = threading.Event(), threading.Event(), threading.Event()
    processed = []

    def process(item):
        started.set()
        assert release.wait(10)
        processed.append(item)
        if item == 4:
            done.set()

    worker = NewestWorker(process, "test")
    assert worker.submit(1) is None
    assert started.wait(10)
    replaced = [worker.submit(item) for item in (2, 3, 4)]
    release.set()
    assert done.wait(10)
    worker.stop()
    assert replaced == [None, 2, 3]
    assert processed == [1, 4]


def test_stop_lets_work_finish_and_drops_what_waits():
    started, release = threading.Event(), threading.Event()
    processed = []

    def process(item):
        started.set()
        assert release.wait(10)
        processed.append(item)

    worker = NewestWorker(process, "test")
    worker.submit(1)
    assert started.wait(10)
    worker.submit(2)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    release.set()
    stopper.join(10)
    assert not stopper.is_alive()
    assert processed == [1]
