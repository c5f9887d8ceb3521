"""What workers on other machines can see."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.components.batch_inference.places import is_url
from penstock.components.batch_inference.request import InferenceRequest
from penstock.errors import ConfigError


def require_visible(request: InferenceRequest, beam_args: Sequence[str]) -> None:
    """Refuse what the workers of Dataflow could not see, before anything is set up for it.

    Args:
        request: What is to be scored.
        beam_args: Beam's flags.

    Raises:
        ConfigError: A file, the model or the output is a path of this machine.
    """
    if not any(flag.startswith("--runner=") and "dataflow" in flag.lower() for flag in beam_args):
        return
    places = [("input", file) for file in request.files]
    places += [("model", request.model.path)] if request.model else []
    for what, place in (*places, ("output", str(request.output))):
        if not is_url(place):
            raise ConfigError(
                f"the {what} is a path of this machine, which Dataflow's workers do not see",
                where=place,
                expected="a URL, as gs://bucket/folder",
                hint="copy it there, or run it here: --runner direct",
            )
