"""What a worker process asks of the operating system about its parent."""

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Linux, prctl(2)."""


def die_with_parent(parent: int | None = None) -> None:
    """Has this process killed (SIGKILL) as soon as its parent ends, in whatever way. Elsewhere than on Linux, nothing.

    `parent` is the pid of the process that started this one; left out, what multiprocessing noted of it. A parent that
    is gone before this is called counts as well. The kernel watches the thread that forked: it has to be one that lives
    as long as its process, such as the main one. Raises OSError where the kernel refuses.
    """
    if sys.platform != "linux":
        return
    if parent is None:
        started_by = multiprocessing.parent_process()
        parent = os.getppid() if started_by is None else started_by.pid
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")
    # Whoever lost its parent has been given another one; its signal would never come.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
