import os
import signal

import pytest
from hypothesis import settings

# A slow machine is no failure, and a pipeline should find what the machine beside it found.
settings.register_profile("here", deadline=None)
settings.register_profile("pipeline", deadline=None, derandomize=True)
settings.load_profile("pipeline" if os.environ.get("CI") else "here")

# Whoever started us may ignore signals (`nohup`, a shell's background); what we start must not.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.SIG_DFL if number == signal.SIGHUP else signal.default_int_handler
        signal.signal(number, default)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with what takes longest, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: "machine" not in item.path.parts)
