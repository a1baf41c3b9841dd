"""The command with this test's own database, broker and models."""

import pytest

from app.settings import Settings
from tests.integration.commands.running import Run, runner


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "SIMMER_DATABASE_URL": settings.database_url,
        "SIMMER_BROKER_URL": settings.broker_url,
        "SIMMER_MODELS": str(settings.models),
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], environment: dict[str, str]) -> Run:
    return runner(monkeypatch, capfd, environment)
