"""A workspace with a record, and a witness that listens on loopback."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from cloister.store.evidence.cosigner import create_cosigner
from cloister.store.evidence.cosigner_server import CosignerServer

sys.path.insert(0, str(Path(__file__).parent))

from provenlog import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


@pytest.fixture
def cosigner(tmp_path):
    return create_cosigner(tmp_path / "w1", "audit.example.org/w1")


@pytest.fixture
def listening(cosigner):
    """The witness behind a real socket; yields its URL."""
    server = CosignerServer(("127.0.0.1", 0), cosigner)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
