"""Executions as a sidecar records them, for tests of questions."""

from __future__ import annotations

import hashlib
import itertools

from cloister.core.outputdigest import form_digests, stream_digest
from cloister.core.records import Record as Entry


class History:
    """Writes executions as a sidecar does."""

    def __init__(self, log):
        self._log = log
        self._numbers = itertools.count(1)

    def event(self, kind, **body):
        (entry,) = self._log.append([Entry(kind, {"attested_by": "sidecar", **body})])
        return entry

    def run(self, code, *, kernel="k1", user="ann", notebook="/w/a.ipynb", cell=None, **facts):
        number = next(self._numbers)
        name = f"exec-{number:04d}"
        self.event(
            "cell.intent",
            execution_id=name,
            kernel_id=kernel,
            user=user,
            notebook=notebook,
            cell_id=cell,
            code_sha256=hashlib.sha256(code.encode()).hexdigest(),
            policy_digest="p" * 64,
            trace_id="t" * 32,
        )
        self.event("cell.result", **{**self._result(name, kernel, user, number), **facts})
        return name

    @staticmethod
    def _result(name, kernel, user, number):
        return {
            "execution_id": name,
            "kernel_id": kernel,
            "user": user,
            "status": "ok",
            "execution_count": number,
            "duration_us": 1_000,
            "outputs": {"shown": 1, "masked": 0, "blocked": 0},
            "reads": [],
            "egress": [],
            "labels": [],
            "displayed": [],
            "parents": [],
            "sources": [],
            "amount": {"rows": 0, "cells": 0, "bytes": 0},
        }


def stream(text, name="stdout", **more):
    form = {"type": "text/plain", "sha256": stream_digest(text)}
    return {"kind": "stream", "name": name, "forms": [form], "disposition": "shown", **more}


def display(data, kind="display_data", **more):
    forms = [{"type": mime, "sha256": digest} for mime, digest in form_digests(data).items()]
    return {"kind": kind, "forms": forms, "disposition": "shown", **more}


def reads(path, dataset=None, **more):
    return {"path": path, "dataset": dataset, "attested_by": "kernel", "columns": [], **more}


def parent(name, *names):
    return {"parent": name, "names": list(names)}


def sources(*names):
    return [{"source": name} for name in names]
