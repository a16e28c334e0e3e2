"""The newest item wins, and none is lost without being handed back."""

import threading

import pytest

from d3pose_ros.worker import AheadWorker, NewestWorker


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


class Stages:
    """Two stages that note what they are given; the second waits until it may go on."""

    def __init__(self):
        self.prepared, self.processed, self.threads = [], [], set()
        self.may_go_on = threading.Event()
        self.changed = threading.Condition()
        self.now_s = 0.0
        self.began = 0

    def prepare(self, item):
        with self.changed:
            self.threads.add(threading.current_thread().name)
            self.prepared.append(item)
            self.now_s += 1.0
            self.changed.notify_all()
        return 10 * item

    def process(self, item):
        with self.changed:
            self.threads.add(threading.current_thread().name)
            self.began += 1
            self.changed.notify_all()
        assert self.may_go_on.wait(10)
        with self.changed:
            self.now_s += 20.0
            self.processed.append(item)
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, 10)


def test_the_next_item_is_prepared_while_one_is_processed_and_none_in_vain():
    stages = Stages()
    worker = AheadWorker(stages.prepare, stages.process, "two-stages")
    assert worker.submit(1) is None
    stages.wait_for(lambda: stages.began == 1)
    assert worker.submit(2) is None
    stages.wait_for(lambda: stages.prepared == [1, 2])
    assert [worker.submit(item) for item in (3, 4, 5)] == [None, 3, 4]
    stages.may_go_on.set()
    stages.wait_for(lambda: stages.processed == [10, 20, 50])
    worker.stop()
    assert stages.prepared == [1, 2, 5]
    assert stages.threads == {"two-stages", "two-stages-ahead"}


def test_the_next_item_is_prepared_just_before_it_is_needed():
    stages = Stages()
    stages.may_go_on.set()
    worker = AheadWorker(stages.prepare, stages.process, "two-stages", clock=lambda: stages.now_s)
    worker.submit(1)  # is prepared in 1 s, processed in 20 s
    stages.wait_for(lambda: stages.processed == [10])
    stages.may_go_on.clear()
    worker.submit(2)
    stages.wait_for(lambda: stages.began == 2)
    worker.submit(3)
    with worker._changed:
        assert worker._wait_s() == pytest.approx(20 - 1.3)
        stages.now_s += 18.0
        assert worker._wait_s() == pytest.approx(2 - 1.3)
        stages.now_s += 1.0
        worker._changed.notify_all()
    stages.wait_for(lambda: stages.prepared == [1, 2, 3])
    stages.may_go_on.set()
    worker.stop()


def test_stopping_ends_both_threads_and_lets_work_finish():
    stages = Stages()
    worker = AheadWorker(stages.prepare, stages.process, "two-stages")
    worker.submit(1)
    stages.wait_for(lambda: stages.began == 1)
    worker.submit(2)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    with worker._changed:
        assert worker._changed.wait_for(lambda: worker._stopping, 10)
    stages.may_go_on.set()
    stopper.join(10)
    assert not stopper.is_alive()
    assert stages.processed == [10]
    assert not [t for t in threading.enumerate() if t.name.startswith("two-stages")]
