"""What the gate lets out of a real kernel: by type, by size, by what was shown before, by mode."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.outgoing.inspection import Inspection
from cloister.sidecar.textguard import TextGuard
from cloister.sidecar.wire import make_message
from PIL import Image

SSN = "219-09-9871"
TOKENS = Tokenizer(b"t" * 32)
SHOW = "from IPython.display import display\n"
PIECES = f"""
import sys, time, zlib
from functools import partial
import ipywidgets
from comm import create_comm
from IPython.display import display
s, show = {SSN!r}, partial(print, end='', flush=True)
"""


def write_policy(home, **keys):
    from cloister.store.home import Home, ensure_home

    ensure_home(Home(home))
    (home / "policy.yaml").write_text(json.dumps({"version": 1, **keys}), "utf-8")


def picture() -> str:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 40).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


@pytest.fixture
def kernel(start_kernel):
    return start_kernel()


def data_of(result):
    return next(c["data"] for _, c in result.messages if "data" in c)


class TestTypes:
    def test_an_unknown_type_stays_and_the_cell_says_why(self, kernel):
        data = data_of(kernel.run(f"{SHOW}display({{'application/x-own': 'a'}}, raw=True)"))
        assert data.keys() == {"text/plain"}
        assert "CLO-OUTPUT-003" in data["text/plain"]
        assert "output.mime_types" in data["text/plain"]

    def test_other_forms_of_the_same_output_leave(self, kernel):
        forms = {"application/x-own": "a", "text/html": "<b>b</b>", "text/plain": "c"}
        shown = data_of(kernel.run(f"{SHOW}display({forms}, raw=True)"))
        assert shown == {"text/html": "<b>b</b>", "text/plain": "c"}

    def test_a_type_that_the_policy_lists_leaves_masked(self, home, kernel):
        write_policy(home, output={"mime_types": ["application/x-own"]})
        code = f"display({{'application/x-own': {{'a': ['{SSN}', 1.5]}}}}, raw=True)"
        own = data_of(kernel.run(SHOW + code))["application/x-own"]
        assert own["a"][0].startswith("US_SSN~")
        assert own["a"][1] == 1.5

    @pytest.mark.parametrize("mime", ["application/javascript", "text/javascript"])
    def test_scripts_stay(self, kernel, mime):
        data = data_of(kernel.run(f"{SHOW}display({{'{mime}': 'alert(1)'}}, raw=True)"))
        assert "CLO-OUTPUT-009" in data.pop("text/plain")
        assert not data

    def test_scripts_leave_where_the_policy_says_so(self, home, kernel):
        write_policy(home, output={"scripts": "allow"})
        code = "display({'application/javascript': 'alert(1)'}, raw=True)"
        assert data_of(kernel.run(SHOW + code)) == {"application/javascript": "alert(1)"}

    @pytest.mark.parametrize("value", ["'no base64!'", "'aGVsbG8='", "7", "['a']", "{'a': 1}"])
    def test_what_is_no_picture_stays(self, kernel, value):
        data = data_of(kernel.run(f"{SHOW}display({{'image/png': {value}}}, raw=True)"))
        assert "image/png" not in data
        assert "CLO-OUTPUT-004" in data["text/plain"]

    def test_a_picture_leaves_bit_by_bit(self, kernel):
        png = picture()
        data = data_of(kernel.run(f"{SHOW}display({{'image/png': '{png}'}}, raw=True)"))
        assert data == {"image/png": png}

    def test_a_message_of_no_known_kind_stays(self, kernel):
        code = (
            "k = get_ipython().kernel\n"
            "k.session.send(k.iopub_socket, 'made_up', {'a': 1}, parent=k.get_parent())\n"
            "print('next')"
        )
        result = kernel.run(code)
        assert "made_up" not in [kind for kind, _ in result.messages]
        assert "CLO-OUTPUT-006" in result.text
        assert "next" in result.text


class TestWhatCannotBeChecked:
    def test_a_large_message_stays_and_the_session_goes_on(self, home, kernel):
        write_policy(home, output={"message_bytes": 10_000})
        large = data_of(kernel.run("'x' * 20_000"))
        assert "CLO-OUTPUT-005" in large["text/plain"]
        assert kernel.run("1 + 1").text == "2"

    def test_a_large_reply_is_answered(self, home, kernel):
        write_policy(home, output={"message_bytes": 10_000})
        result = kernel.run("1", user_expressions={"a": "'x' * 20_000"})
        assert result.reply["status"] == "error"
        assert "CLO-OUTPUT-005" in result.reply["evalue"]

    def test_a_deep_message_stays_and_the_session_goes_on(self, kernel):
        code = (
            "k = get_ipython().kernel\n"
            "pack = k.session.pack\n"
            "deep = b'{\"data\": ' + b'[' * 100_000 + b']' * 100_000 + b', \"metadata\": {}}'\n"
            "k.session.pack = lambda o: deep if 'data' in o else pack(o)\n"
            "try:\n"
            "    k.session.send(k.iopub_socket, 'display_data', {'data': 1}, k.get_parent())\n"
            "finally:\n"
            "    k.session.pack = pack"
        )
        assert "CLO-OUTPUT-005" in data_of(kernel.run(code))["text/plain"]
        assert kernel.run("1 + 1").text == "2"

    def test_what_takes_too_long_stays_and_the_session_goes_on(self, home, kernel):
        write_policy(home, output={"time_limit_s": 0.001})
        slow = "import json; print(json.dumps([{'a': str(i) * 5} for i in range(40_000)]))"
        assert "CLO-OUTPUT-005" in kernel.run(slow).text
        write_policy(home)
        assert kernel.run("1 + 1").text == "2"

    def test_a_check_that_fails_lets_nothing_out(self):
        guard = TextGuard(policy_from_dict({"version": 1}, "0"), Tokenizer(b"t" * 32), None)

        def fail(*_):
            raise RuntimeError(SSN)

        guard.mask = fail
        message = make_message("display_data", {"data": {"text/html": SSN}, "metadata": {}})
        passage = Inspection(guard).look_at(message)
        assert passage.reason.code == "CLO-OUTPUT-005"
        assert SSN not in repr(message.content)


class TestPieces:
    @pytest.mark.parametrize(
        "code",
        [
            "display(s[:6]); display(s[6:])",
            "show(s[:6]); print(s[6:], file=sys.stderr, flush=True)",
            "show(s[:6]); time.sleep(0.3); print(s[6:], flush=True)",
            "for i, c in enumerate(s): show(c, file=(sys.stdout, sys.stderr)[i % 2])",
            "show(s[:6]); display({'text/html': s[6:]}, raw=True)",
            "from ipywidgets import Label\nLabel(s[:6]); print(s[6:])",
            "h = display(s[:6], display_id=True); h.update(s[6:])",
            "display({'text/plain': s[:6], 'text/html': s[6:]}, raw=True)",
            "show(s[:6]); raise ValueError(s[6:])",
            "create_comm('t').send({}, buffers=[s[:6].encode(), s[6:].encode()])",
            "create_comm('t').send({}, buffers=[zlib.compress(s.encode())])",
            "create_comm('t').send({}, buffers=[s.encode('utf-16')])",
        ],
    )
    def test_the_rest_of_a_value_stays(self, kernel, code):
        kernel.run(PIECES)
        seen = kernel.run(code).everything
        assert not (SSN[:6] in seen and SSN[6:] in seen)
        assert SSN.encode("utf-16").hex() not in seen

    def test_two_cells(self, kernel):
        kernel.run(f"s = '{SSN}'\nprint(s[:6], end='', flush=True)")
        assert SSN[6:] not in kernel.run("print(s[6:], flush=True)").everything

    def test_numbers_that_follow_each_other_are_left_alone(self, kernel):
        code = "for n in range(200):\n    print(n * 7919, end=' ', flush=True)"
        expected = "".join(f"{n * 7919} " for n in range(200))
        assert kernel.run(code).text == expected


def recorded(home) -> dict:
    done = subprocess.run(
        [Path(sys.executable).with_name("cloister"), "lineage", "list", "--json"],
        env={"CLOISTER_HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)[0]


class TestModes:
    def test_observe_shows_and_records(self, home, start_kernel):
        write_policy(home, mode="observe")
        kernel = start_kernel()
        assert kernel.run(f"print('{SSN}')").text == f"{SSN}\n"
        shown = kernel.run(f"{SHOW}display({{'application/x-own': '{SSN}'}}, raw=True)")
        assert data_of(shown) == {"application/x-own": SSN}
        assert "US_SSN" in recorded(home)["labels"]

    def test_observe_outlives_what_is_too_deep_to_copy(self):
        policy = policy_from_dict({"version": 1, "mode": "observe"}, "0")
        inspection = Inspection(TextGuard(policy, Tokenizer(b"t" * 32), None))
        data = {"application/json": json.loads("[" * 900 + "]" * 900)}
        message = make_message("display_data", {"data": data, "metadata": {}})
        passage = inspection.look_at(message)
        assert passage.is_sent
        assert passage.is_observed
        assert message.content["data"] is data

    def test_observe_leaves_tables_alone(self, home, start_kernel):
        write_policy(home, mode="observe")
        kernel = start_kernel()
        code = f"import pandas as pd; pd.DataFrame({{'ssn': ['{SSN}'] * 3}})"
        assert SSN in data_of(kernel.run(code))["text/html"]

    @pytest.mark.parametrize(
        "code",
        [
            "print('free text')",
            "41 + 1",
            f"{SHOW}display('x')",
            "raise ValueError('free text')",
            "from comm import create_comm; create_comm('free text')",
            "import sys; print('free text', file=sys.stderr)",
        ],
    )
    def test_an_enclave_shows_nothing_that_a_kernel_chose(self, home, start_kernel, code):
        write_policy(home, mode="enclave")
        result = start_kernel().run(code)
        assert "free text" not in result.everything
        assert "42" not in result.text
        assert "CLO-OUTPUT-007" in result.everything

    def test_an_enclave_names_errors_of_python(self, home, start_kernel):
        write_policy(home, mode="enclave")
        result = start_kernel().run("1 / 0")
        error = next(content for kind, content in result.messages if kind == "error")
        assert error["ename"] == "ZeroDivisionError"
        assert "division" not in result.everything

    def test_an_enclave_completes_and_inspects_nothing(self, home, start_kernel):
        write_policy(home, mode="enclave")
        kernel = start_kernel()
        kernel.run("secret_name = 1")
        kernel.client.complete("secr", 4)
        reply = kernel.client.get_shell_msg(timeout=10)
        assert reply["content"]["matches"] == []

    def test_a_mode_counts_at_once(self, home, kernel):
        assert "US_SSN~" in kernel.run(f"print('{SSN}')").text
        write_policy(home, mode="enclave")
        deadline = time.monotonic() + 10
        while "CLO-OUTPUT-007" not in kernel.run("print('x')").text:
            assert time.monotonic() < deadline

    def test_what_a_gate_has_passed_leaves_an_enclave_as_it_is(self):
        class Approved:
            def has_passed(self, message):
                return message.content["data"] == {"text/plain": "1,024 rows"}

        guard = TextGuard(policy_from_dict({"version": 1, "mode": "enclave"}, "0"), TOKENS, None)
        inspection = Inspection(guard, passed=Approved())
        for text, leaves in (("1,024 rows", True), ("1,025 rows", False)):
            content = {"data": {"text/plain": text}, "metadata": {}}
            message = make_message("display_data", content)
            assert (inspection.look_at(message).reason is None) is leaves
            assert (text in str(message.content)) is leaves
