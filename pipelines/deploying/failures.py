"""Why a step failed on the cluster, as far as the API and the pod's log tell, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable

from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError
from penstock.pipelines.deploying.tasks import Progress

LOG_LINES = 12
"""Lines from the end of a failed pod's log that are shown: a traceback's end, or one of our errors."""
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_BUILD = "penstock image --print"


def failure(progress: Progress, log: Callable[[str], str | None]) -> PenstockError:
    """Return the error of a failed step.

    Args:
        progress: What the API says.
        log: Returns the end of a pod's log, where it can be had.
    """
    text = (log(progress.pod) if progress.pod else None) or ""
    for said in (text, progress.error or ""):
        if found := _recognised(progress.step, said):
            return found
    lines = [line.rstrip() for line in (text or progress.error or "").splitlines() if line.strip()][-LOG_LINES:]
    if not lines:
        return ArtifactError(
            "the step failed; the API says no more", where=progress.step, hint="its log is on the run's page"
        )
    what = progress.error.splitlines()[0] if progress.error else "the step failed; the end of its log:"
    return ArtifactError(what, where=progress.step, received="\n    ".join(lines))


def _recognised(step: str, text: str) -> PenstockError | None:
    found = _NO_MODULE.findall(text)
    if found:
        return _no_module(step, found[-1])
    for pattern, what, hint in _KNOWN:
        if match := re.search(pattern, text):
            return EnvironmentProblem(what, where=step, received=match[0], hint=hint)
    return None


def _no_module(step: str, module: str) -> EnvironmentProblem:
    if module.partition(".")[0] == "penstock":
        what = "the step's image has no Penstock"
        hint = f"build the image with Penstock in it ({_BUILD}), push it, name it under kubeflow.image and deploy again"
    else:
        what = f"the step's image has no module {module}"
        hint = f"put it into the image ({_BUILD} builds one of this project), push it and deploy again"
    return EnvironmentProblem(what, where=step, received=f"ModuleNotFoundError: No module named '{module}'", hint=hint)


_KNOWN = (
    (
        r'exec(?:utable file)?:? "python3?":? executable file not found.*',
        "the step's image has no Python",
        f"use an image that {_BUILD} builds",
    ),
    (
        r"(?:ErrImagePull|ImagePullBackOff|InvalidImageName)\b.*",
        "the step's image cannot be pulled",
        "check kubeflow.image, and kubeflow.image_pull_secrets where the registry asks for a login",
    ),
    (
        r"OOMKilled.*|exit code 137\b.*",
        "the step's container was killed: it used more memory than it was given",
        "give the step more: resources: {memory: …}",
    ),
)
