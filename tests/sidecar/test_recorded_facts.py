"""What a real guarded kernel leaves in the record beside its code, and who says so."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from cloister.core.outputdigest import ERROR, error_digest, form_digests, stream_digest
from cloister.store.home import Home
from cloister.store.keys import open_keyring
from cloister.store.lineage_reader import LineageReader

SSN = "219-09-9871"
PATIENTS = "ssn,age\n219-09-9871,41\n536-22-8812,52\n"


class Record:
    """The record of the module's kernel."""

    def __init__(self, home):
        self.home = Home(home)

    def events(self, kind):
        with LineageReader(self.home) as reader:
            return [e.body for e in reader.entries(limit=100_000) if e.type == kind]

    def last(self, kind="cell.result"):
        return self.events(kind)[-1]

    def wait(self, kind, fits=lambda _: True):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = [body for body in self.events(kind) if fits(body)]
            if found:
                return found[-1]
            time.sleep(0.1)
        raise AssertionError(f"no {kind}")


@pytest.fixture
def kernel(module_kernel):
    return module_kernel


@pytest.fixture
def record(module_kernel):
    return Record(module_kernel.home)


def displayed(result):
    return [
        (item["kind"], {form["type"]: form["sha256"] for form in item["forms"]}, item)
        for item in result["displayed"]
    ]


class TestOutputs:
    def test_pieces_of_a_stream_are_one_output_and_a_result_has_all_its_forms(self, kernel, record):
        shown = kernel.run("print('a', flush=True)\nprint('b', flush=True)\n{'c': 1.0}")
        (stream, text, said), (result, forms, _) = displayed(record.last())
        assert (stream, said["name"], said["disposition"]) == ("stream", "stdout", "shown")
        assert text == {"text/plain": stream_digest("a\nb\n")}
        data = next(c["data"] for k, c in shown.messages if k == "execute_result")
        assert (result, forms) == ("execute_result", form_digests(data))

    def test_a_masked_output_is_known_by_what_the_client_got_and_says_its_rule(
        self, kernel, record
    ):
        shown = kernel.run(f"print('{SSN}')")
        ((_, text, said),) = displayed(record.last())
        assert SSN not in shown.text
        assert text == {"text/plain": stream_digest(shown.text)}
        assert (said["disposition"], said["rule"]) == ("masked", "display.restricted")
        assert said["entities"] == ["US_SSN"]

    def test_a_blocked_form_names_code_and_rule(self, kernel, record):
        code = "from IPython.display import display\ndisplay({'application/x-own': 'a'}, raw=True)"
        kernel.run(code)
        ((_, _, said),) = displayed(record.last())
        assert (said["disposition"], said["code"]) == ("blocked", "CLO-OUTPUT-003")
        assert said["rule"] == "output.mime_types"

    def test_an_error_is_known_by_its_name_text_and_traceback(self, kernel, record):
        shown = kernel.run("1 / 0")
        content = next(c for k, c in shown.messages if k == "error")
        ((kind, forms, _),) = displayed(record.last())
        assert (kind, forms) == ("error", {ERROR: error_digest(content)})

    def test_a_cleared_cell_holds_what_came_after(self, kernel, record):
        kernel.run(
            "from IPython.display import clear_output\nprint(1)\nclear_output(wait=True)\nprint(2)"
        )
        ((_, text, _),) = displayed(record.last())
        assert text == {"text/plain": stream_digest("2\n")}

    def test_an_updated_display_is_what_it_was_updated_to(self, kernel, record):
        kernel.run(
            "from IPython.display import display\n"
            "h = display('one', display_id=True)\nh.update('two')"
        )
        ((_, forms, item),) = displayed(record.last())
        assert forms == form_digests({"text/plain": "'two'"})
        kernel.run("h.update('three')")
        (update,) = record.last()["display_updates"]
        assert update["display"] == item["display"]
        assert update["forms"][0]["sha256"] == form_digests({"text/plain": "'three'"})["text/plain"]

    def test_a_progress_bar_is_what_stands_at_its_end(self, kernel, record):
        kernel.run("for i in range(50): print(f'\\r{i}%', end='', flush=True)")
        ((_, text, _),) = displayed(record.last())
        assert text == {"text/plain": stream_digest("49%")}


class TestWhereItCameFrom:
    def test_the_client_names_cell_and_trace(self, kernel, record):
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        message = kernel.client.session.msg(
            "execute_request",
            {"code": "1", "silent": False, "store_history": True, "user_expressions": {}},
            metadata={"cellId": "cell-1", "traceparent": trace},
        )
        kernel.client.shell_channel.send(message)
        intent = record.wait("cell.intent", lambda b: b["cell_id"] == "cell-1")
        assert intent["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert intent["parent_span_id"] == "00f067aa0ba902b7"
        assert intent["client_session"] == kernel.client.session.session
        record.wait("cell.result", lambda b: b["execution_id"] == intent["execution_id"])
        kernel.client.get_shell_msg(timeout=20)

    @pytest.mark.parametrize("bad", ["", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", SSN, 7])
    def test_what_is_no_traceparent_is_not_recorded(self, bad):
        from cloister.sidecar.recording.tracing import trace_of

        assert trace_of("m", {"traceparent": bad}) == trace_of("m", {})
        assert trace_of("m", {}).parent_span_id is None

    def test_the_environment_is_recorded_once_and_named_by_its_digest(self, kernel, record):
        environment = record.wait("kernel.environment")
        kernel.run("1")
        assert record.last()["environment"] == environment["environment"]
        assert len(record.events("kernel.environment")) == 1
        with LineageReader(record.home, open_keyring(record.home)) as reader:
            (event,) = [e for e in reader.entries(limit=10_000) if e.type == "kernel.environment"]
            packages = json.loads(reader.event(event.seq).payload)["packages"]
        assert any(line.startswith("ipykernel==") for line in packages)
        assert len(packages) == environment["packages"]


class TestDataFlow:
    def test_names_tell_which_execution_an_execution_goes_back_to(self, kernel, record):
        kernel.run("base = 20")
        first = record.last()
        kernel.run("unrelated = 1")
        kernel.run("def add():\n    return base + 1")
        kernel.run("total = add()")
        result = record.last()
        assert result["names_used"] == ["add"]
        assert result["names_defined"] == ["total"]
        assert {"parent": first["execution_id"], "names": ["base"]} in result["parents"]
        assert len(result["parents"]) == 2  # where the function and where its data came from

    def test_a_file_that_a_cell_wrote_ties_its_reader_to_it(self, kernel, record):
        kernel.run("from pathlib import Path\n_ = Path('made.csv').write_text('a\\n1\\n')")
        writer = record.last()
        path = Path(kernel.run("str(Path('made.csv').resolve())").text.strip("'"))
        assert writer["writes"] == [{"written": str(path)}]
        kernel.run("import pandas\nmade = pandas.read_csv('made.csv')")
        result = record.last()
        assert {"parent": writer["execution_id"], "names": [], "files": [str(path)]} in result[
            "parents"
        ]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        written = record.wait("file.fingerprinted", lambda b: b["how"] == "written")
        assert (written["path"], written["sha256"]) == (str(path), digest)

    def test_a_read_is_known_by_its_content_and_names_its_labelled_columns(self, kernel, record):
        kernel.run(f"open('patients.csv', 'w').write({PATIENTS!r})")
        kernel.run("import pandas\ndf = pandas.read_csv('patients.csv')")
        reader = record.last()
        (read,) = reader["reads"]
        digest = hashlib.sha256(PATIENTS.encode()).hexdigest()
        if "sha256" not in read:  # then it came a moment later, as an event of its own
            read |= record.wait(
                "file.fingerprinted", lambda b: b["execution_id"] == reader["execution_id"]
            )
        assert (read["sha256"], read["size"]) == (digest, len(PATIENTS))
        ssn = {"column": "ssn", "level": "restricted", "entity_type": "US_SSN"}
        assert ssn in read["columns"]
        kernel.run("mean = df['ssn'].nunique()")
        used = record.last()
        assert {**ssn, "of": read["path"]} in used["columns_used"]
        assert used["sources"] == [{"source": read["path"]}]

    def test_the_kernel_says_which_columns_a_column_was_made_of(self, kernel, record):
        kernel.run(f"open('patients.csv', 'w').write({PATIENTS!r})")
        kernel.run("import pandas\ndf = pandas.read_csv('patients.csv')")
        kernel.run("out = df.rename(columns={'ssn': 'number'})[['number']]")
        frames = {frame["name"]: frame for frame in record.last()["frames"]}
        (column,) = frames["out"]["columns"]
        assert (column["column"], column["from"]) == ("number", ["ssn of patients.csv"])
        assert frames["out"]["attested_by"] == "kernel"

    def test_no_value_stands_in_clear_where_names_are_values(self, kernel, record):
        kernel.run(f"import pandas\nwide = pandas.DataFrame({{'{SSN}': [1]}})\nwide['{SSN}']")
        kernel.run(f"open('{SSN}.csv', 'w').write('{SSN},b\\n1,2\\n')")
        kernel.run(f"other = pandas.read_csv('{SSN}.csv')")
        with LineageReader(record.home) as reader:
            headers = b"".join(e.header for e in reader.entries(limit=100_000))
        assert SSN.encode() not in headers
