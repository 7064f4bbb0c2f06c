"""A stack restored by worker processes of dask.distributed, one of which is killed."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from deconv.restore import richardson_lucy, tiled

# For what takes a moment on an idle machine.
PATIENCE = 120


@pytest.fixture
def client():
    distributed = pytest.importorskip("distributed")  # here, where it slows no other test's collection
    import dask
    from distributed.utils import get_mp_context

    settings = {
        # Workers come from a process that has imported torch once, also the one that replaces the killed one.
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.comm.timeouts.connect": PATIENCE,
        "distributed.comm.timeouts.tcp": PATIENCE,
    }
    with dask.config.set(settings):
        slow = ["distributed", "dask.array", "deconv.restore.tiling", "deconv.restore.algorithms.richardson_lucy"]
        get_mp_context().set_forkserver_preload(slow)
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            ) as cluster,
            distributed.Client(cluster, timeout=PATIENCE) as client,
        ):
            yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # distributed speaks of the worker that it has lost
def test_two_workers_restore_a_stack_also_where_one_is_killed(client):
    import dask.array as da

    random = np.random.default_rng(0)
    stack = random.poisson(np.where(random.random((8, 64, 64)) < 0.02, 500, 10)).astype(np.float32)
    psf = np.ones((3, 5, 5), np.float32) / 75
    restored = tiled(richardson_lucy, da.from_array(stack, chunks=(8, 32, 32)), psf, num_iter=10, tv=0.002)
    expected = restored.compute(scheduler="synchronous")

    workers = client.run(os.getpid)
    assert len(set(workers.values())) == 2
    running = restored.persist()
    deadline = time.monotonic() + PATIENCE
    while not any(client.has_what().values()) and time.monotonic() < deadline:
        time.sleep(0.01)
    address = max(client.has_what(), key=lambda worker: len(client.has_what()[worker]))
    os.kill(workers[address], signal.SIGKILL)  # with what it has computed
    np.testing.assert_allclose(running.compute(), expected, rtol=1e-4, atol=1e-3)
