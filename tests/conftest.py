"""Settings for every test."""

import os
import signal

# Before torch is imported, and for the processes that tests begin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

# Tests are small: a second thread costs more than it brings. And the LU factorisation of MKL, as some builds of torch
# ship it, fails on large matrices when the number of threads has been lowered and raised again.
torch.set_num_threads(1)

# Where the tests are begun in the background, a shell may have them ignore what Ctrl-C sends; those of interruptions,
# and the processes that they begin, have to hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
