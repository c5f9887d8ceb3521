"""The official client of Kubeflow Pipelines, made quiet: nothing printed, nothing written, no wait without an end."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from penstock.errors import EnvironmentProblem, PenstockError
from penstock.pipelines.deploying.access import Access
from penstock.pipelines.deploying.answers import not_the_api, refused, unreachable

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
"""Seconds until a server that does not answer is given up."""
_RETRIES = 2


class Server:
    """One Kubeflow Pipelines server, reached and known to be one.

    Args:
        access: Where it is.

    Attributes:
        client: ``kfp.Client``; what it offers is called through :meth:`ask`.

    Raises:
        EnvironmentProblem: It cannot be reached, is no KFP server, or does not let us in.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        # A login that the user asked kfp for in its own environment variables talks to the user.
        with self._told(), contextlib.redirect_stdout(sys.stderr):
            self.client = _client_class()(access)
        self.ask("answer", self.client.get_kfp_healthz)

    def ask(self, doing: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client.

        Args:
            doing: What is asked, as in "the server refused to …".
            call: The method.
            *args: Its arguments.
            **kwargs: And these.

        Raises:
            PenstockError: What went wrong, without the token.
        """
        with self._told(doing):
            answer = call(*args, **kwargs)
        self._require_json()
        return answer

    @contextlib.contextmanager
    def _told(self, doing: str = "answer") -> Iterator[None]:
        """Turn what the client raises into our errors; theirs show headers, and so might show the token."""
        import urllib3
        from kfp_server_api import ApiException

        try:
            with _quiet(self.access):
                yield
        except ApiException as error:
            raise refused(error, self.access, doing) from None
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(error, self.access) from None
        except UnicodeDecodeError as error:
            raise not_the_api(self.access, "an answer that is no text") from error

    def _require_json(self) -> None:
        """Refuse a page that a proxy or a login put in the answer's place: the client takes it for an empty answer."""
        text = self.client.runs.api_client.last_response.data
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            kind = "a web page" if "<" in text[:200] else "an answer that is no JSON"
            raise not_the_api(self.access, kind)

    def text(self, path: str, **query: str) -> str | None:
        """Return what the server says under a path that the client has no method for; None when it refuses."""
        api = self.client.runs.api_client
        options = {"response_type": "str", "auth_settings": ["Bearer"], "_return_http_data_only": True}
        try:
            with self._told():
                return str(api.call_api(path, "GET", query_params=list(query.items()), **options))
        except PenstockError:
            return None


@cache
def _client_class() -> type[Any]:
    import kfp
    import urllib3

    class Client(kfp.Client):  # type: ignore[misc]  # kfp has no types.
        """``kfp.Client`` for one server and one token."""

        def __init__(self, access: Access) -> None:
            super().__init__(host=access.host, namespace=access.namespace or "kubeflow", existing_token=access.token)
            api = self.runs.api_client.rest_client
            api.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(
                total=_RETRIES, read=1, backoff_factor=0.2, status_forcelist=(502, 503, 504), raise_on_status=False
            )
            api.request = _with_timeout(api.request)

        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:  # noqa: ARG002  kfp's own name.
            """Ask once: kfp asks five times and logs each failure with its traceback."""
            return self._healthz_api.healthz_service_get_healthz(_request_timeout=(CONNECT_SECONDS, READ_SECONDS))

        def set_user_namespace(self, namespace: str) -> None:
            """Keep the namespace here: kfp writes it into the user's home."""
            self._context_setting["namespace"] = namespace

    return Client


def _with_timeout(request: Callable[..., Any]) -> Callable[..., Any]:
    """Return kfp's function for requests, which waits for ever unless each call says otherwise."""

    def bounded(*args: Any, _request_timeout: Any = None, **kwargs: Any) -> Any:
        return request(*args, _request_timeout=_request_timeout or (CONNECT_SECONDS, READ_SECONDS), **kwargs)

    return bounded


@contextlib.contextmanager
def _quiet(access: Access) -> Iterator[None]:
    """Keep kfp from printing links, and urllib3 from logging each retry."""
    logger = logging.getLogger("urllib3")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except json.JSONDecodeError as error:
        raise EnvironmentProblem(
            "kfp's own settings cannot be read",
            where="~/.config/kfp/context.json",
            received=access.hide(str(error)),
            hint="mend or remove that file",
        ) from error
    finally:
        logger.setLevel(before)
