"""What the tests start does not outlive them."""

import os
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = """
import time
from programs import beside_us

with beside_us(["sh", "-c", "echo $$; exec sleep 600"]):
    time.sleep(600)
"""


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_beside_a_process_that_is_killed_ends() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 30
    while is_alive(server) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(server)
