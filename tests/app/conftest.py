"""Commands that tests start use the registry that the run is for."""

from __future__ import annotations

import pytest

from tests.registries import OnServer


@pytest.fixture(autouse=True)
def _commands_use_it(registry_of_choice: OnServer | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if registry_of_choice is not None:
        registry_of_choice.tell_commands(monkeypatch)
