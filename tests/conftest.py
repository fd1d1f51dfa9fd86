import os

import pytest
from hypothesis import settings

# A slow machine is no failure, and a pipeline should find what the machine beside it found.
settings.register_profile("here", deadline=None)
settings.register_profile("pipeline", deadline=None, derandomize=True)
settings.load_profile("pipeline" if os.environ.get("CI") else "here")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )
