"""A store that reads another one and keeps in memory what is written to it: for a dry run. Needs ml_metadata.

ML Metadata's client turns every call into a request and an answer, and those are what is caught here. What is asked of
nodes, their links and types is answered from both stores together, as the launcher asks it; any other question
(lineage, queries) is answered by the store below alone, where a dry run has added nothing that was not there: cached
executions repeat the links of earlier ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

_KINDS = ("Artifact", "Execution", "Context")


def empty_store() -> Any:
    """Return a store in memory in which there is nothing."""
    config = pb.ConnectionConfig()
    config.fake_database.SetInParent()
    return MetadataStore(config)


class Overlay(MetadataStore):  # type: ignore[misc]  # ml_metadata has no types.
    """What a dry run takes for its store.

    Args:
        below: The store that is read, and never written to.
    """

    def __init__(self, below: Any) -> None:
        self._below = below
        self._ids = count(-1, -1)
        self._types: dict[tuple[str, str], Any] = {}
        self._nodes: dict[str, dict[int, Any]] = {kind: {} for kind in _KINDS}
        self._events: list[Any] = []
        self._members: dict[str, list[tuple[int, int]]] = {"Artifact": [], "Execution": []}
        """Pairs of a context and what belongs to it."""
        self._answers: dict[str, Callable[[Any, Any], None]] = {
            "PutExecution": self._put_execution,
            "PutLineageSubgraph": self._put_lineage,
            "PutParentContexts": _nothing,
            "GetContextByTypeAndName": self._context_named,
        }
        for kind in _KINDS:
            self._answers |= {
                f"Put{kind}Type": partial(self._put_type, kind),
                f"Get{kind}Type": partial(self._type_named, kind),
                f"Get{kind}TypesByID": partial(self._types_by_id, kind),
                f"Put{kind}s": partial(self._put_nodes, kind),
                f"Get{kind}sByID": partial(self._nodes_by_id, kind),
            }
        for kind in self._members:
            self._answers |= {
                f"Get{kind}sByContext": partial(self._nodes_of_context, kind),
                f"GetContextsBy{kind}": partial(self._contexts_of_node, kind),
                f"GetEventsBy{kind}IDs": partial(self._events_of, kind),
            }

    def _call(self, method_name: str, request: Any, response: Any, extra_options: Any = None) -> None:
        answer = self._answers.get(method_name)
        if answer is not None:
            answer(request, response)
        elif method_name.startswith("Get"):
            self._ask(method_name, request, response, extra_options)
        else:
            raise NotImplementedError(f"a dry run does not record by {method_name}")

    def _ask(self, method: str, request: Any, response: Any, extra_options: Any = None) -> None:
        self._below._call(method, request, response, extra_options)  # noqa: SLF001  All of a store's methods go through it.

    # Types

    def _put_type(self, kind: str, request: Any, response: Any) -> None:
        declared = getattr(request, f"{kind.lower()}_type")
        known = self._find_type(kind, declared.name)
        if known is None:
            known = _copy(declared)
            known.id = next(self._ids)
        for name, value in declared.properties.items():
            known.properties[name] = value
        self._types[kind, declared.name] = known
        response.type_id = known.id

    def _find_type(self, kind: str, name: str) -> Any | None:
        if (kind, name) in self._types:
            return self._types[kind, name]
        try:
            return getattr(self._below, f"get_{kind.lower()}_type")(name)
        except errors.NotFoundError:
            return None

    def _type_named(self, kind: str, request: Any, response: Any) -> None:
        own = self._types.get((kind, request.type_name))
        if own is not None:
            getattr(response, f"{kind.lower()}_type").CopyFrom(own)
        else:
            self._ask(f"Get{kind}Type", request, response)

    def _types_by_id(self, kind: str, request: Any, response: Any) -> None:
        own = {found.id: found for (other, _), found in self._types.items() if other == kind}
        field = f"{kind.lower()}_types"
        self._by_id(f"Get{kind}TypesByID", request, response, ("type_ids", field), own)

    # Artifacts, executions and contexts

    def _put_nodes(self, kind: str, request: Any, response: Any) -> None:
        ids = self._put(kind, getattr(request, f"{kind.lower()}s"))
        getattr(response, f"{kind.lower()}_ids").extend(ids)

    def _put(self, kind: str, nodes: Sequence[Any]) -> list[int]:
        known = self._known(kind, [node.id for node in nodes if node.HasField("id")])
        return [self._put_one(kind, node, known.get(node.id)) for node in nodes]

    def _known(self, kind: str, ids: Sequence[int]) -> dict[int, Any]:
        found = getattr(self, f"get_{kind.lower()}s_by_id")(ids) if ids else ()
        return {one.id: one for one in found}

    def _put_one(self, kind: str, node: Any, known: Any | None) -> int:
        """Keep a node that is new or changed; as in ML Metadata, one that is not keeps its time, which keys hold."""
        if known is not None and _content(known) == _content(node):
            return int(known.id)
        own, now = _copy(node), int(time.time() * 1000)
        own.type = known.type if known is not None else self._type_name(kind, own)
        if known is None:
            if kind == "Context" and self._find_context(own.type, own.name) is not None:
                raise errors.AlreadyExistsError(f"there is a context {own.name!r}")
            own.id = next(self._ids)
        own.create_time_since_epoch = known.create_time_since_epoch if known is not None else now
        own.last_update_time_since_epoch = now
        self._nodes[kind][own.id] = own
        return int(own.id)

    def _type_name(self, kind: str, node: Any) -> str:
        if node.type:
            return str(node.type)
        for (other, name), found in self._types.items():
            if (other, found.id) == (kind, node.type_id):
                return name
        return str(getattr(self._below, f"get_{kind.lower()}_types_by_id")([node.type_id])[0].name)

    def _nodes_by_id(self, kind: str, request: Any, response: Any) -> None:
        fields = (f"{kind.lower()}_ids", f"{kind.lower()}s")
        self._by_id(f"Get{kind}sByID", request, response, fields, self._nodes[kind])

    def _by_id(self, method: str, request: Any, response: Any, fields: tuple[str, str], own: dict[int, Any]) -> None:
        """Answer in the order of the ids; what neither store has is left out."""
        ids_field, found_field = fields
        wanted = list(getattr(request, ids_field))
        asked = _only(request, ids_field, [key for key in wanted if key not in own])
        below = type(response)()
        if getattr(asked, ids_field):
            self._ask(method, asked, below)
        found = {one.id: one for one in getattr(below, found_field)} | own
        getattr(response, found_field).extend(found[key] for key in wanted if key in found)

    # Contexts and their members

    def _context_named(self, request: Any, response: Any) -> None:
        found = self._find_context(request.type_name, request.context_name)
        if found is not None:
            response.context.CopyFrom(found)

    def _find_context(self, kind: str, name: str) -> Any | None:
        own = next((one for one in self._nodes["Context"].values() if (one.type, one.name) == (kind, name)), None)
        return own if own is not None else self._below.get_context_by_type_and_name(kind, name)

    def _nodes_of_context(self, kind: str, request: Any, response: Any) -> None:
        """Answer a page of the store below, and before the first what was added: it is the newest."""
        added = dict.fromkeys(key for context, key in self._members[kind][::-1] if context == request.context_id)
        if added and request.options.filter_query:
            raise NotImplementedError("a dry run filters nothing")
        found = getattr(response, f"{kind.lower()}s")
        if not request.options.next_page_token:
            known = self._known(kind, list(added))
            found.extend(known[key] for key in added)
        if request.context_id > 0:
            below, own = type(response)(), self._nodes[kind]
            self._ask(f"Get{kind}sByContext", request, below)
            response.next_page_token = below.next_page_token
            others = (one for one in getattr(below, f"{kind.lower()}s") if one.id not in added)
            found.extend(own.get(one.id, one) for one in others)

    def _contexts_of_node(self, kind: str, request: Any, response: Any) -> None:
        node, own = getattr(request, f"{kind.lower()}_id"), self._nodes["Context"]
        below = type(response)()
        if node > 0:
            self._ask(f"GetContextsBy{kind}", request, below)
        response.contexts.extend(own.get(one.id, one) for one in below.contexts)
        there = {one.id for one in below.contexts}
        added = [context for context, key in self._members[kind] if key == node and context not in there]
        response.contexts.extend(self.get_contexts_by_id(list(dict.fromkeys(added))) if added else ())

    # Executions with their artifacts

    def _put_execution(self, request: Any, response: Any) -> None:
        (response.execution_id,) = self._put("Execution", [request.execution])
        pairs = request.artifact_event_pairs
        given = iter(self._put("Artifact", [pair.artifact for pair in pairs if pair.HasField("artifact")]))
        artifacts = [next(given) if pair.HasField("artifact") else pair.event.artifact_id for pair in pairs]
        for pair, artifact in zip(pairs, artifacts, strict=True):
            if pair.HasField("event"):
                self._link(pair.event, response.execution_id, artifact)
        contexts = list(self._put_contexts(request.contexts, reuse=request.options.reuse_context_if_already_exist))
        self._belong(contexts, [response.execution_id], artifacts)
        response.artifact_ids.extend(artifacts)
        response.context_ids.extend(contexts)

    def _put_lineage(self, request: Any, response: Any) -> None:
        executions = self._put("Execution", request.executions)
        artifacts = self._put("Artifact", request.artifacts)
        contexts = list(self._put_contexts(request.contexts, reuse=request.options.reuse_context_if_already_exist))
        for edge in request.event_edges:
            event = edge.event
            execution = executions[edge.execution_index] if edge.HasField("execution_index") else event.execution_id
            artifact = artifacts[edge.artifact_index] if edge.HasField("artifact_index") else event.artifact_id
            self._link(event, execution, artifact)
        self._belong(contexts, executions, artifacts)
        response.execution_ids.extend(executions)
        response.artifact_ids.extend(artifacts)
        response.context_ids.extend(contexts)

    def _put_contexts(self, contexts: Iterable[Any], *, reuse: bool) -> Iterator[int]:
        """Yield the ids of the contexts of an execution; one with an id is linked and not written."""
        for context in contexts:
            if context.HasField("id"):
                yield context.id
                continue
            known = self._find_context(self._type_name("Context", context), context.name) if reuse else None
            yield known.id if known is not None else self._put("Context", [context])[0]

    def _link(self, event: Any, execution: int, artifact: int) -> None:
        own = _copy(event)
        own.execution_id, own.artifact_id = execution, artifact
        self._events.append(own)

    def _belong(self, contexts: Sequence[int], executions: Sequence[int], artifacts: Sequence[int]) -> None:
        for context in contexts:
            self._members["Execution"] += [(context, key) for key in executions]
            self._members["Artifact"] += [(context, key) for key in artifacts]

    def _events_of(self, kind: str, request: Any, response: Any) -> None:
        field, name = f"{kind.lower()}_ids", f"{kind.lower()}_id"
        wanted = list(getattr(request, field))
        asked = _only(request, field, [key for key in wanted if key > 0])
        if getattr(asked, field):
            below = type(response)()
            self._ask(f"GetEventsBy{kind}IDs", asked, below)
            response.events.extend(below.events)
        response.events.extend(event for event in self._events if getattr(event, name) in wanted)


def _nothing(request: Any, response: Any) -> None:
    """Leave out what the launcher writes and never asks."""


def _copy(message: Any) -> Any:
    made = type(message)()
    made.CopyFrom(message)
    return made


def _content(node: Any) -> Any:
    """Return a node without what the store adds to it."""
    made = _copy(node)
    for field in ("type", "create_time_since_epoch", "last_update_time_since_epoch"):
        made.ClearField(field)
    return made


def _only(request: Any, field: str, ids: Sequence[int]) -> Any:
    """Return a request for some of its ids."""
    made = _copy(request)
    made.ClearField(field)
    getattr(made, field).extend(ids)
    return made
