from __future__ import annotations

import re

from typer.testing import CliRunner

from tocsin.cli.token import token
from tocsin.yamlfile import parse, validate
from web.access import known
from web.settings import WebSettings
from web.tokens import Scope


def test_the_line_that_is_printed_lets_the_printed_token_in() -> None:
    done = CliRunner().invoke(token, ["create", "ci", "--scope", "read", "--scope", "metrics"])

    secret = re.search(r"tocsin_[\w-]{43}", done.output)
    line = re.search(r"- \{id: .*\}", done.output)
    assert done.exit_code == 0
    assert secret is not None
    assert line is not None
    settings = validate(WebSettings, parse(f"tokens:\n  {line[0]}\n".encode(), file="tocsin.yaml"))
    caller = known(settings, secret[0])
    assert caller is not None
    assert (caller.id, caller.scopes) == ("ci", (Scope.READ, Scope.METRICS))
    assert secret[0] not in line[0]


def test_a_name_or_scope_that_cannot_be_is_refused() -> None:
    assert CliRunner().invoke(token, ["create", "Not This", "--scope", "read"]).exit_code == 2
    assert CliRunner().invoke(token, ["create", "ci", "--scope", "everything"]).exit_code == 2
    assert CliRunner().invoke(token, ["create", "ci"]).exit_code == 2
