"""A process of our own: it ends as any other, but for what it does not take apart."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import atexit, gc
atexit.register(lambda: print("frozen:", gc.get_freeze_count() > 0))  # the last to be called, after what comes later
from deconv.own_process import own_process
own_process()
class Cycle:
    def __del__(self):
        print("collected")
ring = Cycle()
ring.itself = ring
del ring
for _ in range(10 * gc.get_threshold()[0]):
    keep = [keep] if _ else []  # what is made and stays is counted
print("working")
"""


def test_garbage_is_still_collected_and_nothing_is_taken_apart_at_the_end():
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert ended.stdout.split("\n")[:3] == ["collected", "working", "frozen: True"]
    assert ended.stderr == ""


@pytest.mark.parametrize("own", [None, "active"])
def test_threads_wait_asleep_where_nobody_says_otherwise(own):
    script = (
        "import os; from deconv.own_process import own_process; own_process(); print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if own is None else {"OMP_WAIT_POLICY": own}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == (own or "passive")
