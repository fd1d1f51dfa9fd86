"""The API's own description. Rule: a pure function of the schemas; it names the served routes only.

AlertSite has such a file behind its interactive console, but no public copy was found, so this one
describes the sandbox.
"""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.monitors import MonitorKind

_Json = dict[str, Any]


def _object(properties: _Json, *optional: str) -> _Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


_TEXT: _Json = {"type": "string"}
_NUMBER: _Json = {"type": "integer"}
_ERROR: _Json = _object(
    {"code": _NUMBER, "message": _TEXT, "fields": {"type": "array", "items": _TEXT}}, "fields"
)
_ERRORS: _Json = _object({"errors": {"type": "array", "items": _ERROR}})
_RESULTSET: _Json = {
    "count": _NUMBER,
    "limit": {"type": ["integer", "null"]},
    "offset": {"type": ["string", "null"]},
}
_METADATA: _Json = {
    "type": "object",
    "properties": {
        "__permissions": {"type": "object", "properties": {"acl": _NUMBER}},
        "resultset": {"type": "object", "properties": _RESULTSET},
    },
}
_MONITOR: _Json = _object({"id": _NUMBER, "type": _TEXT})
_LOGIN: _Json = _object({"username": _TEXT, "password": _TEXT})
_ID: _Json = {"name": "id", "in": "path", "required": True, "schema": _NUMBER}


def document(schemas: Mapping[str, Mapping[str, Any]], prefix: str, *, strict: bool) -> _Json:
    """The OpenAPI 3.1 document of the API below `prefix`."""
    monitor = {"$ref": "#/components/schemas/Monitor"}
    select = _query("select", "string", "Fields to answer, separated by commas.")
    listed = _object({"metadata": _METADATA, "results": {"type": "array", "items": monitor}})
    token = _object({"access_token": _TEXT})
    paths: dict[str, _Json] = {
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
                    select,
                    _query("limit", "integer", "The most monitors to answer."),
                    _query("offset", "integer", "How many monitors to leave out first."),
                ]
            },
        },
        "/monitors/{id}": {
            "parameters": [_ID],
            "get": _operation("Read a monitor", "readMonitor", monitor) | {"parameters": [select]},
            "delete": _operation("Delete a monitor", "deleteMonitor", None),
        },
    }
    answer = _object({"id": _TEXT})
    for name, schema in schemas.items():
        kind = MonitorKind.from_schema(name, schema)
        fields = {"type": "object", "properties": kind.writable, "additionalProperties": not strict}
        new = {**fields, "required": list(kind.required)}
        paths[f"/monitors/{name}"] = {
            "post": _operation(f"Create {name}", f"create-{name}", answer, new)
        }
        paths[f"/monitors/{name}/{{id}}"] = {
            "parameters": [_ID],
            "patch": _operation(f"Edit {name}", f"edit-{name}", answer, fields),
        }
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


def _query(name: str, kind: str, description: str) -> _Json:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind}}
