"""Where runs are: a Kubeflow Pipelines server, or a project and region of Vertex AI."""

from __future__ import annotations

from typing import Any, Protocol

from penstock.errors import ConfigError
from penstock.pipelines.deploying.access import Access, access_to
from penstock.pipelines.deploying.request import Run
from penstock.pipelines.deploying.vertex import SCHEME, Vertex


class Place(Protocol):
    """What ``penstock runs`` asks. Each method raises :class:`penstock.errors.PenstockError` where it is not answered.

    Attributes:
        host: Its address.
    """

    host: str

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest runs: run, name, state, started, seconds, page."""

    def run(self, name: str) -> Run:
        """Return a run by its id or its exact name."""

    def stop(self, name: str) -> tuple[str, str]:
        """Tell a run to stop; return its id and page."""


def place_at(host: str, *, token_env: str | None = None, namespace: str | None = None) -> Place:
    """Return the place behind ``--host``.

    Args:
        host: A URL, or ``vertex://PROJECT/REGION``.
        token_env: The environment variable that holds a token for a Kubeflow server.
        namespace: Namespace of the runs there.

    Raises:
        ConfigError: It is none of the two.
    """
    if not host.startswith(SCHEME):
        return _Kubeflow(access_to(host, token_env=token_env, namespace=namespace))
    project, slash, region = host.removeprefix(SCHEME).rstrip("/").partition("/")
    if not (project and slash and region) or "/" in region:
        raise ConfigError("--host names no place on Vertex AI", received=repr(host), expected=f"{SCHEME}PROJECT/REGION")
    if token_env or namespace:
        raise ConfigError(
            "--token-env and --namespace are for Kubeflow", hint="Vertex AI takes Google's own credentials"
        )
    return _Vertex(Vertex(project, region))


class _Kubeflow:
    def __init__(self, access: Access) -> None:
        self.host = access.host
        self._access = access

    def newest(self, limit: int) -> list[dict[str, Any]]:
        from penstock.pipelines.deploying.client import Server
        from penstock.pipelines.deploying.runs import newest

        return newest(Server(self._access), limit)

    def run(self, name: str) -> Run:
        from penstock.pipelines.deploying.client import Server
        from penstock.pipelines.deploying.kubeflow_run import KubeflowRun
        from penstock.pipelines.deploying.runs import find_run

        server = Server(self._access)
        return KubeflowRun(server, find_run(server, name))

    def stop(self, name: str) -> tuple[str, str]:
        from penstock.pipelines.deploying.client import Server
        from penstock.pipelines.deploying.runs import find_run, stop

        server = Server(self._access)
        found = find_run(server, name)
        stop(server, found)
        return found, self._access.run_page(found)


class _Vertex:
    def __init__(self, vertex: Vertex) -> None:
        self.host = vertex.host
        self._vertex = vertex

    def newest(self, limit: int) -> list[dict[str, Any]]:
        from penstock.pipelines.deploying.vertex_run import newest

        return newest(self._vertex, limit)

    def run(self, name: str) -> Run:
        from penstock.pipelines.deploying.vertex_run import find

        return find(self._vertex, name)

    def stop(self, name: str) -> tuple[str, str]:
        from penstock.pipelines.deploying.vertex_run import find, stop

        found = find(self._vertex, name)
        stop(self._vertex, found)
        return found.id, found.page
