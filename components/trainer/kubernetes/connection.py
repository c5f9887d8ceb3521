"""The way to a cluster's API: from inside a pod by its service account, from outside by kubectl's config file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.kubernetes.manifest import Owner
from penstock.components.trainer.kubernetes.refusals import Unreachable, refusal, shortened
from penstock.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REQUEST_SECONDS = (5.0, 30.0)
"""How long a call may take to connect, and to answer."""
_POD_NAMES = ("KFP_POD_NAME", "POD_NAME")
_POD_UIDS = ("KFP_POD_UID", "POD_UID")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Connection:
    """A cluster's API.

    Attributes:
        client: The official client, ``kubernetes.client.ApiClient``.
        namespace: Namespace of the job.
        host: The API's address.
        owner: The step's own pod; None outside a cluster, and where the pod does not know its own name.
    """

    client: Any
    namespace: str
    host: str
    owner: Owner | None = None

    def call(self, what: str, function: Callable[..., _Answer], *args: Any, **kwargs: Any) -> _Answer:
        """Call the API.

        Args:
            what: What is done, to complete "cannot …".
            function: A method of one of the official client's APIs.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Raises:
            Unreachable: It may answer later.
            Missing: There is no such object.
            Taken: There is one already.
            ConfigError: The cluster refuses what it was sent.
            EnvironmentProblem: It refuses this user.
        """
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return function(*args, _request_timeout=REQUEST_SECONDS, **kwargs)
        except ApiException as error:
            raise refusal(what, error, self.host, self.namespace) from error
        except (HTTPError, OSError) as error:
            raise Unreachable(
                f"the Kubernetes API cannot be reached to {what}",
                where=self.host,
                received=shortened(str(error)),
                expected="an API server that answers there",
                hint="check the address in kubectl's config (kubectl cluster-info), the network, and that it is up",
            ) from error


def connect(options: KubernetesLauncher, environ: Mapping[str, str] = os.environ) -> Connection:
    """Return the way to the cluster that the options name.

    ``kubeconfig`` and ``context`` come first, then the service account of the pod that this process runs in, then
    kubectl's own config file.

    Raises:
        ConfigError: There is no config file, or it lacks the context.
    """
    from kubernetes import client, config
    from kubernetes.client import Configuration
    from kubernetes.config.config_exception import ConfigException

    inside = not (options.kubeconfig or options.context) and "KUBERNETES_SERVICE_HOST" in environ
    configuration = Configuration()
    try:
        if inside:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=options.kubeconfig, context=options.context, client_configuration=configuration
            )
    except (ConfigException, OSError) as error:
        raise _no_config(options, error, inside=inside) from error
    # We try again ourselves, and say so; a pool's refusal to keep a log's connection is no news.
    configuration.retries = False
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    owner = _own_pod(environ) if inside else None
    namespace = options.namespace or _namespace(options, inside=inside)
    if owner is not None and namespace != _namespace(options, inside=True):
        owner = None  # An owner in another namespace counts as gone, and the job would be removed at once.
    return Connection(client.ApiClient(configuration), namespace, configuration.host, owner)


def own_image(connection: Connection) -> str:
    """Return the image that this step's pod runs.

    Raises:
        ConfigError: The step does not run in a pod that knows its name.
        EnvironmentProblem: The cluster does not show the pod.
    """
    from kubernetes.client import CoreV1Api

    if connection.owner is None:
        raise ConfigError(
            "the training job needs an image, and this step runs in none that is known",
            expected="cluster.image: an image with Penstock and the project's modules",
            hint="build one: penstock image; then name it under cluster",
        )
    read = CoreV1Api(connection.client).read_namespaced_pod
    pod = connection.call("read the step's own pod", read, connection.owner.name, connection.namespace)
    containers = {container.name: container.image for container in pod.spec.containers}
    # Kubeflow Pipelines calls the step's container so; the others are Argo's.
    return str(containers.get("main") or next(iter(containers.values())))


def _own_pod(environ: Mapping[str, str]) -> Owner | None:
    name = next((environ[key] for key in _POD_NAMES if environ.get(key)), None)
    uid = next((environ[key] for key in _POD_UIDS if environ.get(key)), None)
    return Owner(name, uid) if name and uid else None


def _namespace(options: KubernetesLauncher, *, inside: bool) -> str:
    if inside:
        file = SERVICE_ACCOUNT / "namespace"
        return file.read_text(encoding="utf-8").strip() if file.is_file() else "default"
    from kubernetes import config

    contexts, current = config.list_kube_config_contexts(config_file=options.kubeconfig)
    chosen = next((item for item in contexts if item["name"] == options.context), current)
    return str(chosen["context"].get("namespace") or "default")


def _no_config(options: KubernetesLauncher, error: Exception, *, inside: bool) -> ConfigError:
    if inside:
        return ConfigError(
            "this pod has no service account to reach the Kubernetes API with",
            where=str(SERVICE_ACCOUNT),
            received=str(error),
            hint="run the step with a service account whose token is mounted (automountServiceAccountToken)",
        )
    return ConfigError(
        "there is no way to a Kubernetes cluster",
        where=options.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config",
        received=shortened(str(error)),
        expected="a config file that kubectl works with"
        + (f", with context {options.context}" if options.context else ""),
        hint="try kubectl get pods; name another file or context with cluster.kubeconfig and cluster.context",
    )
