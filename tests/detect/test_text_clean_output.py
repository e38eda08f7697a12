# ruff: noqa: E501 - sample data stays on one line
"""Ordinary notebook output has no hits: a mask on a number or a hash makes a notebook unusable."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid

import numpy as np
import pandas as pd
import pytest
from cloister.detect.text import find_spans

RNG = np.random.default_rng(20_261_123)

DATAFRAME_INFO = """<class 'pandas.core.frame.DataFrame'>
RangeIndex: 20000 entries, 0 to 19999
Data columns (total 5 columns):
 #   Column            Non-Null Count  Dtype
---  ------            --------------  -----
 0   mrn               20000 non-null  object
 1   ssn               20000 non-null  object
 2   date_of_birth     20000 non-null  object
 3   phone             19400 non-null  float64
 4   card_number       12990 non-null  object
memory usage: 2.3+ MB
Name: phone, Length: 20000, dtype: object"""

TRACEBACK = """Traceback (most recent call last)
Cell In[12], line 3
      1 import numpy as np
----> 2 y = x@w.sum(axis=0) + A@B.T
File ~/lib/python3.11/site-packages/torch/nn/modules/module.py:1553, in Module._call_impl(self)
   password=password, token=os.environ["TOKEN"], secret: str = None, api_key=config.api_key
   client = connect(password=getpass(), user=user, passwd = None)
RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 256x10)
KeyError: "['date_of_birth'] not in index"; 0x7f2b8c0d4a30 at 0x00007ffd"""

PIP = """Collecting numpy==2.0.1
  Downloading numpy-2.0.1-cp311-cp311-manylinux_2_17_x86_64.whl (19.5 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 19.5/19.5 MB 45.2 MB/s eta 0:00:00
Successfully installed numpy-2.0.1 nvidia-cublas-cu12-12.4.5.8 nvidia-cudnn-cu12-9.1.0.70 triton-3.0.0
Requirement already satisfied: torch>=1.13.1.3 in /usr/lib/python3/dist-packages (2.4.0)
driver 550.54.15 CUDA 12.4.131 Chrome/120.0.6099.71 v1.2.3.4 OpenSSL 3.0.11 build 19.3.0.1"""

ODDS = """torch.Size([64, 3, 224, 224]) (1000000, 30) 1.2345678e+05 +1.23456789 -123456789 1_000_000_000
x[2000::2] a[::2] std::vector c10::Error at::cat 12:34:56 00:11:22:33:44:55:66:77 46:28:d1:24:af:5e
127.0.0.1:8888 0.0.0.0 ::1 255.255.255.0 git@github.com:org/repo.git version: 10.20.30.40 RFC 793
100%|██████████| 938/938 [00:12<00:00, 75.66it/s] UserWarning: nothing called 12345678 times
1234567 function calls (1234500 primitive calls) in 1.234 seconds; 2024-01-01 00:00:00+00:00 +0200
born to run; phone: None; tel 12; born in 1984; Dr, Mr and 5 Way; secret: bool; token: str
accuracy = 678.7352, version 3.5.1, build 6945534301, order 4480059844765735 shipped
sk-learn-is-not-a-secret-key-at-all task-1234567890-abcdefghijklmn pwd: /home/me/project
SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= id=140234567890123 1700000000000 1732345678901234567"""


def log_lines() -> str:
    return "\n".join(
        f"2026-11-23 07:{i % 60:02d}:59,{i % 1000:03d} INFO worker-{i} [{uuid.UUID(bytes=RNG.bytes(16))}] "
        f"took {RNG.random() * 1e3:.3f}ms pid={RNG.integers(99_999)} {hashlib.sha1(RNG.bytes(4)).hexdigest()} "
        f"0x{RNG.integers(1 << 48):012x} step {RNG.integers(10**9)} loss={RNG.random():.6f} lr={RNG.random():.3e}"
        for i in range(2_000)
    )


def frame() -> pd.DataFrame:
    n = 400
    return pd.DataFrame(
        {
            "time": pd.date_range("1950-01-01", periods=n, freq="13h"),
            "value": RNG.normal(size=n),
            "count": RNG.integers(0, 10**9, n),
            "key": [str(uuid.UUID(bytes=RNG.bytes(16))) for _ in range(n)],
        }
    )


CLEAN = {
    "info": lambda: DATAFRAME_INFO,
    "traceback": lambda: TRACEBACK,
    "pip": lambda: PIP,
    "odds": lambda: ODDS,
    "log": log_lines,
    "hashes": lambda: "\n".join(hashlib.sha256(RNG.bytes(8)).hexdigest() for _ in range(3_000)),
    "floats": lambda: str(RNG.random((2_000, 6)).tolist()),
    "array": lambda: np.array2string(RNG.normal(size=(1_000, 8)), threshold=10**6),
    "integers": lambda: np.array2string(RNG.integers(-999, 999, (1_000, 20)), threshold=10**6),
    "long integers": lambda: str(RNG.integers(0, 2**62, 3_000).tolist()),
    "table": lambda: frame().to_string(),
    "html": lambda: frame().to_html(),
    "describe": lambda: frame().describe().to_string(),
    "csv": lambda: frame().to_csv(),
    "pip list": lambda: (
        subprocess.run(
            [sys.executable, "-m", "pip", "list"], capture_output=True, text=True, check=False
        ).stdout
    ),
}


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_output_stays_clean(kind):
    text = CLEAN[kind]()
    hits = [(s.entity_type, text[max(0, s.start - 20) : s.end + 10]) for s in find_spans(text)]
    assert hits == []


@pytest.mark.parametrize(
    "drawing",
    [
        '<svg><path d="M 10 20 L 4111 1111 1111 1111 Q 7 8 9 10 z" style="fill: none"/></svg>',
        '<svg><polyline points="0,1 4111 1111 1111 1111 3,4"/></svg>',
    ],
)
def test_coordinates_of_a_drawing_are_no_card(drawing):
    assert find_spans(drawing) == []


@pytest.mark.parametrize(
    "text",
    [
        '<path d="M 1 2 L 3 4"/> card 4111 1111 1111 1111',
        '<path d="M 1 2 L 3 4"/><text>4111 1111 1111 1111</text>',
        '<path d="M 1 2 219-09-9871 L 3 4"/> ssn',
        '<path d="card 4111 1111 1111 1111"/>',
        'd="M 4111 1111 1111 1111 L 1 2"',
    ],
)
def test_a_drawing_hides_no_number_beside_it(text):
    assert len(find_spans(text)) == 1
