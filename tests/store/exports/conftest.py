"""A record to export."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from exportedrecord import Exports, everything


@pytest.fixture
def exports(home, keyring):
    exports = Exports(home, keyring)
    exports.append(everything())
    return exports
