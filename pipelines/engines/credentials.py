"""Whether Google Cloud lets us in. Asked for only when something is submitted."""

from __future__ import annotations

from penstock.errors import EnvironmentProblem

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def require_credentials() -> None:
    """Do nothing where there are credentials; Beam goes on without them, until some request is refused.

    Raises:
        EnvironmentProblem: There are none.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        google.auth.default(scopes=[_SCOPE])
    except GoogleAuthError as error:
        raise EnvironmentProblem(
            "there are no Google Cloud credentials, and Dataflow takes no job without",
            received=str(error).partition(". ")[0],
            hint="run: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a key file",
        ) from error
