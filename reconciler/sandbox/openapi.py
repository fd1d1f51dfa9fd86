"""The API's own description. Rule: a pure function of the schemas; it names the served routes only.

AlertSite has such a file behind its interactive console, but no public copy was found, so this one
describes the sandbox.
"""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.monitors import MonitorKind

_Json = dict[str, Any]

_ERRORS: _Json = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "integer"},
                    "message": {"type": "string"},
                    "fields": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}
_METADATA: _Json = {
    "type": "object",
    "properties": {
        "__permissions": {"type": "object", "properties": {"acl": {"type": "integer"}}},
        "resultset": {
            "type": "object",
            "properties": {
                "count": {"type": "integer"},
                "limit": {"type": ["integer", "null"]},
                "offset": {"type": ["string", "null"]},
            },
        },
    },
}
_MONITOR: _Json = {
    "type": "object",
    "required": ["id", "type"],
    "properties": {"id": {"type": "integer"}, "type": {"type": "string"}},
}
_LOGIN: _Json = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
}


def document(schemas: Mapping[str, Mapping[str, Any]], prefix: str, *, strict: bool) -> _Json:
    """The OpenAPI 3.1 document of the API below `prefix`."""
    kinds = [MonitorKind.from_schema(name, schema) for name, schema in schemas.items()]
    paths = _common_paths()
    for kind in kinds:
        paths |= _paths_of(kind, strict=strict)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AlertSite v3 API for email monitors, as the sandbox serves it",
            "version": "3",
        },
        "servers": [{"url": prefix}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {"Errors": _ERRORS, "Monitor": _MONITOR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _common_paths() -> dict[str, _Json]:
    monitor = {"$ref": "#/components/schemas/Monitor"}
    listed = _object({"metadata": _METADATA, "results": {"type": "array", "items": monitor}})
    token = _object({"access_token": {"type": "string"}})
    return {
        "/openapi.json": {
            "get": _operation("This document", "describe", {"type": "object"}) | {"security": []}
        },
        "/access-tokens": {
            "post": _operation("Log in", "logIn", token, _LOGIN) | {"security": []},
        },
        "/monitors": {
            "get": _operation("List monitors", "listMonitors", listed)
            | {
                "parameters": [
                    _query("type", "string", "Types, separated by commas; all if absent."),
                    _query("select", "string", "Fields to answer, separated by commas."),
                    _query("limit", "integer", "The most monitors to answer."),
                    _query("offset", "integer", "How many monitors to leave out first."),
                ]
            },
        },
        "/monitors/{id}": {
            "parameters": [_id()],
            "get": _operation("Read a monitor", "readMonitor", monitor)
            | {
                "parameters": [
                    _query("select", "string", "Fields to answer, separated by commas."),
                ]
            },
            "delete": _operation("Delete a monitor", "deleteMonitor", None),
        },
    }


def _paths_of(kind: MonitorKind, *, strict: bool) -> dict[str, _Json]:
    answer = _object({"id": {"type": "string"}})
    fields = {"type": "object", "properties": kind.writable, "additionalProperties": not strict}
    new = {**fields, "required": list(kind.required)}
    path = f"/monitors/{kind.name}"
    return {
        path: {"post": _operation(f"Create {kind.name}", f"create-{kind.name}", answer, new)},
        f"{path}/{{id}}": {
            "parameters": [_id()],
            "patch": _operation(f"Edit {kind.name}", f"edit-{kind.name}", answer, fields),
        },
    }


def _operation(summary: str, name: str, answer: _Json | None, body: _Json | None = None) -> _Json:
    errors = _content({"$ref": "#/components/schemas/Errors"})
    done = {"204": {"description": "Done"}}
    if answer is not None:
        done = {"200": {"description": "Done", **_content(answer)}}
    operation = {
        "summary": summary,
        "operationId": name,
        "responses": {**done, "default": {"description": "Refused", **errors}},
    }
    if body is None:
        return operation
    return {**operation, "requestBody": {"required": True, **_content(body)}}


def _content(schema: _Json) -> _Json:
    return {"content": {"application/json": {"schema": schema}}}


def _object(properties: _Json) -> _Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _query(name: str, kind: str, description: str) -> _Json:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind}}


def _id() -> _Json:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
