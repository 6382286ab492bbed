"""What a gateway's processes ask of the operating system: to end with their parent and when it says so, and files."""

import ctypes
import multiprocessing
import os
import resource
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


def mortal_from_birth() -> None:
    """Has SIGTERM end every process that is forked from now on, until that process decides otherwise.

    A fork comes with its parent's handlers. One that stops a server reaches nobody in a worker that is not yet serving:
    told to stop then, it would go on, and be killed when its parent has lost patience.
    """
    told = {signal.SIGTERM}

    def born() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, told)

    # Blocked in between, so that what is sent to the child before it is ready waits for it.
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, told),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, told),
        after_in_child=born,
    )


def enough_files(wanted: int) -> int:
    """Lets this process, and those that it forks, have so many files open, or as many as the system allows it at most.

    Returns how many that are. Many systems begin with 1024, which is no more than some hundred calls.
    """
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    granted = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, most))
    return granted
