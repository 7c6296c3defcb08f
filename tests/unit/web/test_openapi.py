from __future__ import annotations

from web.app import ENDPOINTS
from web.openapi import document
from web.tokens import Scope

OPEN = {"/healthz", "/readyz"}


def test_only_health_may_be_asked_for_without_a_scope() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS if endpoint.needs is None} == OPEN


def test_whatever_changes_something_needs_the_scope_to_operate() -> None:
    changing = [endpoint for endpoint in ENDPOINTS if endpoint.method != "GET"]

    assert changing
    assert all(endpoint.needs is Scope.OPERATE for endpoint in changing)


def test_every_endpoint_is_in_the_document_once_with_a_name_of_its_own() -> None:
    made = document(ENDPOINTS, version="1")

    operations = [operation for methods in made["paths"].values() for operation in methods.values()]
    assert len(operations) == len(ENDPOINTS)
    assert len({operation["operationId"] for operation in operations}) == len(ENDPOINTS)
