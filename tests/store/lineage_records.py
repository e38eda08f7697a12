"""Records as a sidecar makes them, for tests of the log."""

from cloister.core.records import Record

SECRET = b'{"code": "print(\'078-05-1120\')"}'


def intent(name, **more):
    body = {
        "execution_id": name,
        "kernel_id": "k1",
        "user": "ann",
        "notebook": "a.ipynb",
        "code_sha256": "0" * 64,
        "trace_id": "t",
        "silent": False,
        "attested_by": "sidecar",
    }
    return Record("cell.intent", {**body, **more}, SECRET)


def result(name, **more):
    body = {
        "execution_id": name,
        "status": "ok",
        "execution_count": 3,
        "duration_us": 1_500_000,
        "outputs": {"shown": 2, "masked": 1, "blocked": 0},
        "reads": [{"path": "p.csv"}],
        "egress": [],
        "labels": ["US_SSN"],
        "attested_by": "sidecar",
    }
    return Record("cell.result", {**body, **more}, b'{"outputs": []}')


def fill(log, count=6):
    for i in range(count):
        log.append([intent(f"exec-{i:04d}") if i % 2 == 0 else result(f"exec-{i - 1:04d}")])
