"""Ctrl-C before a subcommand has begun."""

import sys

import pytest

from penstock.pipelines import cli


def interrupt(*_):
    raise KeyboardInterrupt


def test_while_the_command_line_is_imported(monkeypatch, capsys):
    class Importing:
        find_spec = interrupt

    monkeypatch.delitem(sys.modules, "penstock.pipelines.cli.app", raising=False)
    monkeypatch.delattr(cli, "app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Importing(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr()) == (130, ("", ""))
