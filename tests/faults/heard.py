"""What one call came to for its caller, as an unpatched client told it."""

import msgspec


class Heard(msgspec.Struct, kw_only=True):
    """Filled as the answer comes, so that what came ahead of a failure is there too."""

    text: str = ""
    """All that was said."""
    looks_complete: bool = False
    """The client ended without a failure: whoever wrote it believes that this is the whole answer."""
    finish: str | None = None
    """Why it ended, in the dialect's word."""
    usage: tuple[int, int] | None = None
    """Tokens in and out, where the answer tells."""
    raised: str = ""
    """The class of the exception that the client raised, or the failure that the dialect documents; empty: none."""
    status: int = 0
    code: str | None = None
    message: str = ""
    headers: dict[str, str] = {}
    """Of the answer, in lower case."""

    def take_headers(self, status: int, headers: object) -> None:
        """What every answer has, whatever follows."""
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}  # type: ignore[attr-defined]  # three kinds of headers

    @property
    def request_id(self) -> str:
        return self.headers.get("x-request-id", "")
