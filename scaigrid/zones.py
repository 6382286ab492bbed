"""The names of time zones that the machine knows (IANA's: `Europe/Amsterdam`)."""

from zoneinfo import ZoneInfo


def known(name: str) -> bool:
    """Whether there is a zone of that name. Reads its file, some kilobytes, when the name first comes."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # ValueError: a name that is a path. OSError: one that is too long for a file, or that of a directory.
        return False
    return True
