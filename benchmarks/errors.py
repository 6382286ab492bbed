"""Why a measurement cannot be made, for the person at the terminal."""


class RigError(Exception):
    """Something of the rig failed: a child ended, a peer does not answer, a number cannot be read."""

    exit_code = 1


class MissingToolsError(RigError):
    """This machine lacks something to measure with; the message says what to install."""

    exit_code = 2
