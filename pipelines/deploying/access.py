"""Where a Kubeflow Pipelines server is, and what it is shown to let us in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from penstock.errors import ConfigError

_HIDDEN = "***"


@dataclass(frozen=True)
class Access:
    """How a server is reached.

    Args:
        host: The URL below which ``/apis/v2beta1`` is.
        ui: The URL of its pages.
        token_env: The environment variable that the token was read from; None where none is sent.
        token: The token itself; shown nowhere.
        namespace: Namespace of pipelines and runs on a server for several users; None for the server's choice.
    """

    host: str
    ui: str
    token_env: str | None = None
    token: str | None = field(default=None, repr=False)
    namespace: str | None = None

    def hide(self, text: str) -> str:
        """Return the text without the token, whoever wrote it there."""
        return text.replace(self.token, _HIDDEN) if self.token else text

    def run_page(self, run: str) -> str:
        """Return the address of a run's page."""
        return f"{self.ui}/#/runs/details/{run}"

    def schedule_page(self, schedule: str) -> str:
        """Return the address of a recurring run's page."""
        return f"{self.ui}/#/recurringrun/details/{schedule}"

    def options(self) -> str:
        """Return the options that lead a further command to the same server, for messages."""
        token = f" --token-env {self.token_env}" if self.token_env else ""
        namespace = f" --namespace {self.namespace}" if self.namespace else ""
        return f"--host {self.host}{token}{namespace}"


def access_to(
    host: str,
    *,
    token_env: str | None = None,
    namespace: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Access:
    """Check what the user said about a server.

    Args:
        host: The server's URL, also as it stands in a browser that shows its pages.
        token_env: The environment variable that holds a bearer token.
        namespace: Namespace of pipelines and runs.
        environ: The environment; that of this process when None.

    Raises:
        ConfigError: The URL is none, it holds a password, or there is no token where one should be.
    """
    environ = os.environ if environ is None else environ
    address = _address(host)
    ui = environ.get("KF_PIPELINES_UI_ENDPOINT", "").rstrip("/") or address
    return Access(address, ui, token_env, _token(token_env, environ) if token_env else None, namespace)


def _address(host: str) -> str:
    example = "http://127.0.0.1:8080 or https://kubeflow.example.com/pipeline"
    try:
        parts = urlsplit(host)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        parts, usable = urlsplit(""), False
    if "@" in parts.netloc:
        raise ConfigError(
            "--host must not hold a user or a password",
            expected="the address alone",
            hint="put a token into an environment variable and name that: --token-env NAME",
        )
    if not usable or not host.isprintable() or " " in host:
        raise ConfigError("--host is no URL", received=repr(host), expected=f"an http or https URL, such as {example}")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _token(name: str, environ: Mapping[str, str]) -> str:
    token = environ.get(name, "").strip()
    if not token:
        raise ConfigError(
            f"--token-env: the environment variable {name} is not set",
            expected="a token that the server takes",
            hint=f"set it first, for example: export {name}=$(kubectl create token default-editor)",
        )
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError(
            f"--token-env: {name} holds no token: no HTTP header may have its characters",
            expected="printable ASCII without spaces",
        )
    return token
