"""What the parts of the typed configuration have in common: a strict model, and the patterns of names."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

PIPELINE_NAME = r"^[a-z][a-z0-9_-]{0,62}$"
STEP_NAME = r"^[a-z][a-z0-9_]{0,62}$"
WIRE = r"^[a-z][a-z0-9_]{0,62}\.[A-Za-z_][A-Za-z0-9_]*$"
SERVER_NAME = r"^[A-Za-z0-9_.:-]+$"
FLAG = r"^[A-Za-z][A-Za-z0-9_-]*$"
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
OBJECT_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
ENTRY_NAME = r"^[A-Za-z0-9._-]{1,253}$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
CPU = r"^([0-9]+(\.[0-9]+)?|[1-9][0-9]*m)$"
MEMORY = r"^[1-9][0-9]*(\.[0-9]+)?(Ki|Mi|Gi|Ti|K|M|G|T)$"
MOUNT = r"^/[^:]+$"
HOST = r"^https?://[^\s/@]+(/\S*)?$"
_CRON_FIELD = r"[0-9A-Za-z*/,?#L-]+"
CRON = rf"^{_CRON_FIELD}( {_CRON_FIELD}){{4}}$"

RULES = {
    PIPELINE_NAME: "a name of lower-case letters, digits, '_' and '-' that begins with a letter, 63 characters at most",
    STEP_NAME: "a name of lower-case letters, digits and '_' that begins with a letter, 63 characters at most",
    WIRE: "a step and its output, such as 'transform.transformed_examples'",
    SERVER_NAME: "letters, digits and any of '_.:-'",
    FLAG: "a flag without its leading dashes, such as 'direct_num_workers'",
    IMAGE: "a container image, such as 'registry.example.com/team/penstock:1.0'",
    OBJECT_NAME: "the name of an object in the cluster: lower-case letters, digits, '-' and '.'",
    ENTRY_NAME: "the key of a value in a secret: letters, digits, '.', '_' and '-'",
    VARIABLE: "the name of an environment variable: letters, digits and '_'",
    CPU: "a number of cores, such as 4, 0.5 or 500m",
    MEMORY: "an amount with its unit, such as 512Mi or 8Gi",
    MOUNT: "an absolute path in the container, such as '/serving'",
    HOST: "a URL without a user in it, such as 'https://kubeflow.example.com/pipeline'",
    CRON: "five fields (minute, hour, day, month, weekday), such as '0 3 * * *'",
}
"""What each pattern means, in words that complete "expected …"."""

Text = Annotated[str, StringConstraints(min_length=1)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]


class Model(BaseModel):
    """A part of the configuration: it never changes, and takes no unknown key and no value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_by_name=False, validate_by_alias=True)
