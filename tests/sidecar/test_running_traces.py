"""The sidecar knows the trace of what runs from what it has recorded, and of nothing else."""

import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.records import Record
from cloister.core.traces import span_id_of, traceparent
from cloister.sidecar import runningtraces
from cloister.sidecar.runningtraces import RunningTraces

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def intent(name, **more):
    return Record("cell.intent", {"execution_id": name, "trace_id": TRACE, **more})


def test_a_trace_lasts_from_the_intent_to_the_result():
    traces = RunningTraces(lambda records: len(records))
    assert traces.of("one") is None
    assert traces.append([intent("one", span_id=SPAN), intent("two")]) == 2
    assert traces.of("one") == f"00-{TRACE}-{SPAN}-01"
    assert traces.of("two") == f"00-{TRACE}-{span_id_of({'execution_id': 'two'})}-01"
    traces.append([Record("cell.result", {"execution_id": "one"})])
    assert traces.of("one") is None
    assert traces.of(None) is None


def test_what_could_not_be_recorded_has_no_trace():
    def full(_records):
        raise StoreUnavailable("full", code="CLO-STORE-001")

    traces = RunningTraces(full)
    with pytest.raises(StoreUnavailable):
        traces.append([intent("one")])
    assert traces.of("one") is None


@pytest.mark.parametrize(
    "bad", ["0" * 32, TRACE.upper(), TRACE + "\r\nX: y", "", None, 7, "é" * 32]
)
def test_an_id_that_is_none_makes_no_header(bad):
    assert traceparent({"execution_id": "one", "trace_id": bad}) is None
    assert traceparent({"execution_id": 3, "trace_id": TRACE}) is None


def test_executions_that_never_end_take_no_memory(monkeypatch):
    monkeypatch.setattr(runningtraces, "_MOST", 3)
    traces = RunningTraces(lambda _records: None)
    traces.append([intent(str(i)) for i in range(5)])
    assert [traces.of(str(i)) is not None for i in range(5)] == [False, False, True, True, True]
