"""A note is told beside the result of a command, where programs that read the result do not meet it."""

from pathlib import Path

import pytest

from scaigrid.__main__ import main

FILE = """\
server: {{ data_dir: {directory} }}
users: {{ ann: {{}} }}
budgets:
  ann: {{ scope: user, of: ann, period: monthly, request_limit: 5 }}
  all: {{ scope: tenant, of: default, period: monthly, request_limit: {all} }}
"""


@pytest.mark.parametrize(("limit", "told"), [(4, 1), (5, 0)])
@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_budget_that_cannot_be_used_up_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, limit: int, told: int
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(FILE.format(directory=tmp_path / "data", all=limit))
    assert main([command, str(file)]) == 0
    written = capsys.readouterr()
    note = "note: budget 'ann' of the user cannot be used up: less is allowed by 'all' of the tenant\n"
    assert written.err == note * told
    assert "note" not in written.out
