"""Vertex AI Pipelines, through ``google-cloud-aiplatform``."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigError, EnvironmentProblem, PenstockError
from penstock.pipelines.deploying.answers import NoAnswer, NotLetIn

if TYPE_CHECKING:
    from penstock.pipelines.kubeflow import Compiled

SECONDS = 60.0
"""Seconds until a request that is not answered is given up."""
SCHEME = "vertex://"
_CONSOLE = "https://console.cloud.google.com/vertex-ai/locations/{region}/pipelines/{kind}/{name}?project={project}"
_LOGIN = "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a key file"


@dataclass(frozen=True)
class Vertex:
    """One project in one region.

    Args:
        project: The Google Cloud project's id.
        region: The region.
    """

    project: str
    region: str

    @property
    def host(self) -> str:
        """The place as ``--host`` takes it."""
        return f"{SCHEME}{self.project}/{self.region}"

    def page(self, name: str, kind: str = "runs") -> str:
        """Return the address of a run's or schedule's page."""
        return _CONSOLE.format(region=self.region, project=self.project, kind=kind, name=name)

    def place(self) -> dict[str, Any]:
        """Return the arguments that every call of the SDK takes; the credentials are looked for now.

        Raises:
            EnvironmentProblem: There are none.
        """
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            with _quiet():
                credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        except DefaultCredentialsError as error:
            raise EnvironmentProblem(
                "there are no Google credentials, and Vertex AI lets nobody in without",
                where=self.host,
                received="no application default credentials on this machine",
                hint=_LOGIN,
            ) from error
        return {"project": self.project, "location": self.region, "credentials": credentials}

    @contextlib.contextmanager
    def told(self, doing: str) -> Iterator[list[str]]:
        """Turn what the SDK raises into our errors; give what it would have logged as errors.

        Args:
            doing: What is asked, as in "Vertex AI refused to …".
        """
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError

        try:
            with _quiet() as logged:
                yield logged
        except (GoogleAPICallError, RetryError) as error:
            raise self._refused(error, doing) from error
        except GoogleAuthError as error:
            raise NotLetIn(
                "the Google credentials are not accepted", where=self.host, received=_line(error), hint=_LOGIN
            ) from error

    def _refused(self, error: Any, doing: str) -> PenstockError:
        code = getattr(error, "code", None)
        said = _line(getattr(error, "message", None) or error)
        if code == 401:
            return NotLetIn("the Google credentials are not accepted", where=self.host, received=said, hint=_LOGIN)
        if code == 403:
            hint = f"ask for the role roles/aiplatform.user in the project {self.project}, and see that its API is on"
            return NotLetIn(f"you are not allowed to {doing}", where=self.host, received=said, hint=hint)
        if code in (400, 404, 409):
            return ConfigError(f"Vertex AI refused to {doing}", where=self.host, received=f"{int(code)}: {said}")
        return NoAnswer("Vertex AI does not answer", where=self.host, received=said, hint="try again later")


def pipeline_job(vertex: Vertex, compiled: Compiled, name: str, parameters: Mapping[str, Any], key: str | None) -> Any:
    """Return the SDK's ``PipelineJob``, not submitted yet.

    Args:
        vertex: Where.
        compiled: The pipeline.
        name: The run's name.
        parameters: Values of runtime parameters; the others keep their defaults.
        key: Full name of the Cloud KMS key that protects the run; None for Google's.

    Raises:
        EnvironmentProblem: There are no credentials.
        ConfigError: Vertex AI has no such names.
    """
    place = vertex.place()
    with vertex.told("describe the run"), tempfile.TemporaryDirectory(prefix="penstock-deploy-") as folder:
        from google.cloud.aiplatform import PipelineJob

        file = Path(folder) / "pipeline.yaml"
        file.write_text(compiled.to_yaml(), encoding="utf-8")
        try:
            return PipelineJob(
                display_name=name,
                template_path=str(file),
                pipeline_root=compiled.root,
                parameter_values=dict(parameters),
                encryption_spec_key_name=key,
                **place,
            )
        except ValueError as error:
            raise ConfigError("the run cannot be described to Vertex AI", received=_line(error)) from error


@contextlib.contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep Google's libraries from logging; give the errors that they only log."""
    loggers = [logging.getLogger(name) for name in ("google.cloud.aiplatform", "google.auth", "grpc")]
    kept = _Kept()
    before = [(logger, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(kept)
    try:
        with warnings.catch_warnings():
            # The SDK's own way of logging that a list has not all fields.
            warnings.filterwarnings("ignore", "The 'warn' method is deprecated", DeprecationWarning)
            yield kept.lines
    finally:
        for logger, propagate in before:
            logger.propagate = propagate
            logger.removeHandler(kept)


class _Kept(logging.StreamHandler[Any]):
    """Of this class, since the SDK adds handlers that print unless it finds one above its loggers on import."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setLevel(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.lines.append(f"{record.getMessage()}: {_line(error)}" if error else record.getMessage())


def _line(error: Any) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
