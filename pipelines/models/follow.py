"""One server on several ``models.config`` files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.errors import ConfigError, PenstockError
from penstock.pipelines.models.entries import Entries
from penstock.pipelines.models.find import Model, plain_entry
from penstock.serving.client import Client
from penstock.serving.errors import ServingError
from penstock.serving.model_config import ModelsFile, check_entries
from penstock.serving.places import is_generated

Say = Callable[[str], None]


class Follower:
    """Tells a server what changes in several ``models.config`` files, of which it can watch one alone.

    Args:
        models: What is served from several files; none where the server follows its one file itself.
        client: Asks the server.
        say: Told what went wrong, once.
    """

    def __init__(self, models: Sequence[Model], client: Client, say: Say) -> None:
        self._models = models
        self._client = client
        self._say = say
        self._told = merged_entries(models)
        self._problem = ""

    def look(self) -> None:
        """Tell the server when something changed; what is malformed leaves it as it is."""
        if not self._models:
            return
        problem = ""
        try:
            entries = entries_now(self._models)
            if entries != self._told:
                self._told = entries  # Before it is told: what it refuses, it would refuse again each time.
                self._client.reload(entries)
        except (PenstockError, ServingError) as error:
            problem = str(error)
        if problem and problem != self._problem:
            self._say(f"the server goes on with the config that it has: {problem}")
        self._problem = problem


def entries_now(models: Sequence[Model]) -> Entries:
    """Return what the models' config files say now, and the plain entries of those that stand in none."""
    configs = dict.fromkeys(model.config for model in models if model.entry is not None or is_generated(model.config))
    listed = tuple(entry for config in configs for entry in ModelsFile(config).read())
    names = {entry.name for entry in listed}
    return (*listed, *(plain_entry(model) for model in models if model.name not in names))


def merged_entries(models: Sequence[Model]) -> Entries:
    """Return the entries of all models, for one server.

    Raises:
        ConfigError: Two models have one name, or TF Serving would refuse the config.
    """
    entries = tuple(map(plain_entry, models))
    try:
        check_entries(entries)
    except ServingError as error:
        raise ConfigError(
            f"these models cannot be served together: {error.message}",
            received=", ".join(f"{model.name} of {model.config}" for model in models),
            hint="name what to serve: penstock serve FILE",
        ) from error
    return entries
