"""Every operation of `/api/v1` is asked with made-up input, right and wrong, and must answer as it is described."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from tests import stored, web

pytestmark = pytest.mark.slow

OPERATIONS = 16
WITHOUT_INPUT = {"GET /api/v1/drift", "GET /api/v1/peers", "GET /api/v1/health", "GET /api/v1/switches"}


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """Those of a node that has one study."""
    with stored.opened(tmp_path_factory.mktemp("data")) as db:
        stored.reported(db)
        names = {"allowed_hosts": ["testserver"]}
        with web.browser(stored.folder(db), db, web=names) as client:
            schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", client.app)
            yield [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("number", range(OPERATIONS))
@pytest.mark.parametrize("mode", GenerationMode)
def test_an_operation_answers_as_it_is_described(operations: list[Any], number: int, mode: GenerationMode) -> None:
    assert len(operations) == OPERATIONS
    operation = operations[number]
    if mode is GenerationMode.NEGATIVE and operation.label in WITHOUT_INPUT:
        return  # there is nothing to ask wrongly

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def ask(case: schemathesis.Case) -> None:
        if "Idempotency-Key" in (case.headers or {}):  # two requests under one key would be refused, and rightly
            case.headers["Idempotency-Key"] = str(uuid4())
        case.call_and_validate()

    ask()
