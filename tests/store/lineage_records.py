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


def records(count):
    """Intents and results in turn."""
    names = [f"exec-{i - i % 2:04d}" for i in range(count)]
    return [result(name) if i % 2 else intent(name) for i, name in enumerate(names)]


def fill(log, count=6):
    for record in records(count):
        log.append([record])
