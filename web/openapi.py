"""The OpenAPI 3.1 document, made from the same table as the routes, so that it cannot say anything else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import TypeAdapter

from web.problems import PROBLEM_JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web.endpoint import Endpoint

REFERENCE: Final = "#/components/schemas/{model}"

_PROBLEM: Final = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "string"}},
    },
}


def document(endpoints: Sequence[Endpoint], *, version: str) -> dict[str, Any]:
    """Return what can be asked for, and how, as OpenAPI."""
    wanted: list[tuple[tuple[str, str], Literal["validation", "serialization"], TypeAdapter[Any]]] = []
    for each in endpoints:
        if each.answers is not None:
            wanted.append(((each.method, each.path), "serialization", TypeAdapter(each.answers)))
        if each.takes is not None:
            wanted.append(((each.method, each.path), "validation", TypeAdapter(each.takes)))
    schemas, defined = TypeAdapter.json_schemas(wanted, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        answers = schemas.get(((each.method, each.path), "serialization"))
        body = schemas.get(((each.method, each.path), "validation"))
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, answers=answers, body=body)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tocsin", "version": version, "description": "News alerts that ring once per step."},
        "paths": paths,
        "components": {
            "schemas": {**defined.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, *, answers: Any, body: Any) -> dict[str, Any]:  # noqa: ANN401  JSON Schema
    names = re.findall(r"{(\w+)}", endpoint.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [
        {"name": name, "in": "query", "required": False, "description": says, "schema": {"type": "string"}}
        for name, says in endpoint.query.items()
    ]
    right: dict[str, Any] = {"description": endpoint.says}
    if answers is not None:
        right["content"] = {endpoint.media_type: {"schema": answers}}
    wrong = {
        "description": "An error.",
        "content": {PROBLEM_JSON: {"schema": {"$ref": REFERENCE.format(model="Problem")}}},
    }
    operation: dict[str, Any] = {
        "summary": endpoint.says,
        "operationId": _name(endpoint),
        "parameters": parameters,
        "responses": {str(endpoint.status): right, "default": wrong},
        # Without a configured token reading is open, so there the token is one way of two.
        "security": [] if endpoint.needs is None else [{"token": [endpoint.needs.value]}],
    }
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _name(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path.replace("-", "_"))
    return "_".join([endpoint.method.lower(), *(word for word in words if word != "_")])
