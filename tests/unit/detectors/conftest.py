import pytest

from detectors.engine import DetectorsConfig, Engine, prepare
from tocsin.settings import shipped


@pytest.fixture(scope="session")
def engine() -> Engine:
    return prepare(DetectorsConfig.load(shipped()))
