"""A real ipykernel with the hooks, over real sockets: what a notebook shows."""

from __future__ import annotations

import os
import re
import sys
import time

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Kernel:
    def __init__(self, argv: list[str], cwd: str, env: dict[str, str]) -> None:
        self.manager = KernelManager()
        self.manager._kernel_spec = KernelSpec(argv=argv, display_name="test")
        self.manager.start_kernel(env={**os.environ, **env}, cwd=cwd)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> dict[str, str]:
        """Returns streams, last result and error of a cell."""
        shown = {"stdout": "", "stderr": "", "plain": "", "html": "", "error": ""}

        def take(message: dict) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown[content["name"]] += content["text"]
            elif message["msg_type"] in {"execute_result", "display_data"}:
                shown["plain"] += content["data"].get("text/plain", "")
                shown["html"] += content["data"].get("text/html", "")
            elif message["msg_type"] == "error":
                shown["error"] = ANSI.sub("", "\n".join(content["traceback"]))

        self.client.execute_interactive(code, output_hook=take, timeout=60)
        return shown

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


GUARDED = [sys.executable, "-m", "cloister.hooks", "-f", "{connection_file}"]


@pytest.fixture
def kernel(broker, tmp_path):
    kernel = Kernel(GUARDED, str(tmp_path), {})
    yield kernel
    kernel.stop()


def test_a_notebook_session(kernel, broker, tmp_path):
    # Displayed: masked in HTML and in text.
    shown = kernel.run("import pandas as pd\ndf = pd.DataFrame({'ssn': ['123-45-6789']})\ndf")
    assert "US_SSN~" in shown["html"], shown["plain"]
    assert "US_SSN~" in shown["plain"]
    assert "123-45-6789" not in str(shown)

    # A table made by the user's code is known before the same cell prints from it.
    kernel.run("d2 = pd.DataFrame({'ssn': ['457-55-5462']}); print('x')")
    assert "457-55-5462" in broker.observed["US_SSN"]

    # One that a library made is known when the cell has ended.
    kernel.run("d3 = df.assign(ssn='219-09-9999')")
    assert "219-09-9999" in broker.observed["US_SSN"]
    kernel.run(
        "s = df.ssn.str.replace('6789', '6780'); import polars as pl; p = pl.from_pandas(d3)"
    )
    assert "123-45-6780" in broker.observed["US_SSN"]
    assert "US_SSN~" in kernel.run("p")["html"]

    # A file is told to the broker before the cell goes on.
    (tmp_path / "t.csv").write_text("code\nA1x\n")
    broker.files["t.csv"] = {
        "code": {"level": "restricted", "entity_type": "MEDICAL", "source": "catalog:t"}
    }
    shown = kernel.run("t = pd.read_csv('t.csv'); t")
    assert "MEDICAL~" in shown["html"]
    assert "label from catalog:t" in shown["html"]

    # A refused connection is short: our code, the user's line, no library frames.
    shown = kernel.run("import urllib.request\nx = 1\nurllib.request.urlopen('http://example.org')")
    lines = shown["error"].splitlines()
    assert lines[0] == "EgressDenied: CLO-EGRESS-001"
    assert "line 3" in lines[1]
    assert "urlopen('http://example.org')" in lines[2]
    assert "Rule: egress.default" in shown["error"]
    assert "What to do: Ask an admin." in shown["error"]
    assert "site-packages" not in shown["error"]
    assert len(lines) <= 7

    # Errors of the user stay as they are.
    assert "Traceback" in kernel.run("1/0")["error"]
    assert "ZeroDivisionError" in kernel.run("1/0")["error"]

    # Settings of IPython still work, and the workspace can be imported from.
    (tmp_path / "mine.py").write_text("x = 7\n")
    assert kernel.run("import mine; mine.x")["plain"] == "7"


def test_nothing_but_ipykernel_is_loaded_at_start(kernel):
    code = "import sys; [m for m in ('pandas', 'polars', 'numpy', 'pyarrow') if m in sys.modules]"
    assert kernel.run(code)["plain"] == "[]"


def test_the_end_of_a_cell_waits_a_bounded_time(kernel, broker):
    kernel.run("import pandas as pd")
    kernel.run("for i in range(400): globals()[f'v{i}'] = pd.Series([f'{i:03}-45-6789']).copy()")
    broker.delay_s = 0.05
    started = time.perf_counter()
    kernel.run("w = [1]")
    assert time.perf_counter() - started < 1.5


def test_the_kernel_starts_when_the_broker_is_gone(tmp_path):
    env = {
        "CLOISTER_BROKER": str(tmp_path / "none"),
        "CLOISTER_TOKEN": "t",
        "CLOISTER_EGRESS": str(tmp_path / "no"),
        "CLOISTER_PROXY_PORT": "1",  # may not be bound by users, and may by root: both must start
    }
    kernel = Kernel(GUARDED, str(tmp_path), env)
    try:
        shown = kernel.run(
            "import pandas as pd\nd = pd.DataFrame({'ssn': ['123-45-6789'], 'n': [4711]})\nd"
        )
        assert "[redacted]" in shown["html"]
        assert "123-45-6789" not in str(shown)
        assert "4711" not in str(shown)
    finally:
        kernel.stop()
