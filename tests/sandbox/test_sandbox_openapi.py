import asyncio
import time
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from reconciler.sandbox import Controls, Options
from reconciler.sandbox.account import AccountData
from reconciler.sandbox.app import PREFIX, application
from reconciler.sandbox.backend import Backend, SandboxClock
from reconciler.sandbox.store import Database


@pytest.fixture
def served(api: Any) -> dict[str, Any]:
    answer = httpx.get(f"{api.base_url}openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def test_the_document_is_openapi_3_1_and_needs_no_token(served: dict[str, Any]) -> None:
    assert served["openapi"].startswith("3.1.")
    validate(served)


def test_the_document_names_exactly_the_served_routes(
    served: dict[str, Any], schemas: Any, secret_fields: Any
) -> None:
    store = Database(None, (), secret_fields)
    clock = SandboxClock(time.monotonic, asyncio.Event())
    account = AccountData(store, Controls())
    routes = application(Options(schemas=schemas), {"": account}, Backend(clock), clock).routes
    store.close()
    listed = {
        (path, method.upper())
        for path, operations in served["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert listed == {
        (route.path.removeprefix(PREFIX).replace(":int", ""), method)
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"  # starlette answers it wherever it answers GET
    }
    assert served["servers"] == [{"url": PREFIX}]


def test_the_bodies_are_those_of_the_schemas(served: dict[str, Any], schemas: Any) -> None:
    for kind, schema in schemas.items():
        spec = schema["properties"]["spec"]
        paths = served["paths"]
        new = body_of(paths[f"/monitors/{kind}"]["post"])
        edit = body_of(paths[f"/monitors/{kind}/{{id}}"]["patch"])
        assert new["required"] == spec["required"]
        assert "required" not in edit
        assert new["properties"] == edit["properties"]
        assert edit["properties"]["interval"] == spec["properties"]["interval"]
        assert edit["properties"]["note"]["type"] == "string"  # a server knows no secretRef
        assert "secretRef" not in str(new)
        assert "has_sla" not in edit["properties"]
        assert edit["additionalProperties"] is True


def test_a_strict_sandbox_says_so(start: Any) -> None:
    paths = start(strict=True).get("/openapi.json").json()["paths"]
    assert body_of(paths["/monitors/email-pop"]["post"])["additionalProperties"] is False


def body_of(operation: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema
