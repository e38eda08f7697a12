"""A real guarded kernel: life cycle, channels, walls, and that nothing sensitive leaves."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SSN = "219-09-9871"


def write_policy(home, text):
    (home / "policy.yaml").write_text(text, "utf-8")


class TestLifeCycle:
    def test_runs_code_and_keeps_state(self, start_kernel):
        kernel = start_kernel()
        assert kernel.run("x = 20 + 1").status == "ok"
        assert kernel.run("x * 2").text == "42"

    def test_interrupt_stops_the_cell_and_keeps_state(self, start_kernel):
        kernel = start_kernel()
        kernel.run("kept = 7")
        msg_id = kernel.client.execute("import time\nwhile True: time.sleep(0.05)")
        _wait_for(kernel.client, "status", lambda c: c["execution_state"] == "busy")
        time.sleep(0.3)
        kernel.manager.interrupt_kernel()
        reply = kernel.client.get_shell_msg(timeout=20)
        assert reply["parent_header"]["msg_id"] == msg_id
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert kernel.run("kept").text == "7"

    def test_restart_forgets_state_and_keeps_the_clients(self, start_kernel):
        kernel = start_kernel()
        kernel.run("gone = 1")
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=60)
        assert kernel.run("gone").status == "error"

    def test_shutdown_leaves_no_process_and_no_file(self, start_kernel, home):
        kernel = start_kernel()
        run_dir = kernel.manager.provisioner._run_dir
        pid = kernel.sidecar_pid
        assert run_dir.exists()
        kernel.client.stop_channels()
        kernel.manager.shutdown_kernel()
        assert not run_dir.exists()
        assert not (home / "run" / kernel.manager.kernel_id).exists()
        assert subprocess.run(["pgrep", "-g", str(pid)], check=False).returncode == 1

    def test_a_kernel_that_exits_is_seen_as_dead(self, start_kernel):
        kernel = start_kernel()
        kernel.client.execute("import os; os._exit(3)")
        _wait_until(lambda: not kernel.manager.is_alive())
        assert not kernel.manager.is_alive()

    def test_input_asks_the_client_that_ran_the_cell(self, start_kernel):
        kernel = start_kernel()
        prompts = []

        def answer(message):
            prompts.append(message["content"]["prompt"])
            kernel.client.input("blue")

        result = kernel.run(
            f"print(input('colour of {SSN}? '))", allow_stdin=True, stdin_hook=answer
        )
        assert result.text == "blue\n"
        assert SSN not in prompts[0]
        assert prompts[0].startswith("colour of US_SSN~")

    def test_ends_when_the_process_that_started_it_is_gone(self, home, workspace):
        code = (
            "from jupyter_client.manager import start_new_kernel\n"
            "import os\n"
            "km, kc = start_new_kernel(kernel_name='cloister')\n"
            "print(km.provisioner.pid, flush=True)\n"
            "os._exit(0)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=workspace, capture_output=True, text=True, check=True
        )
        pid = int(done.stdout.split()[-1])
        _wait_until(lambda: not Path(f"/proc/{pid}").exists())
        assert not Path(f"/proc/{pid}").exists()


class TestDeathOfTheSidecar:
    def test_kernel_dies_and_the_client_sees_why(self, start_kernel):
        kernel = start_kernel()
        inside = kernel.run("import os; open('pid','w').write('x'); os.getpid()")
        assert inside.status == "ok"
        children = _descendants(kernel.sidecar_pid)
        assert children
        msg_id = kernel.client.execute("import time; time.sleep(60)")
        _wait_for(kernel.client, "status", lambda c: c["execution_state"] == "busy")
        os.kill(kernel.sidecar_pid, signal.SIGKILL)
        error = _wait_for(kernel.client, "error", lambda c: True)
        assert "CLO-SIDECAR-001" in error["evalue"]
        assert "signal 9" in error["evalue"]
        reply = kernel.client.get_shell_msg(timeout=10)
        assert reply["parent_header"]["msg_id"] == msg_id
        assert reply["content"]["ename"] == "GuardStopped"
        _wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)


class TestMaskedChannels:
    @pytest.mark.parametrize(
        "code",
        [
            f"print('{SSN}')",
            f"import sys; print('{SSN}', file=sys.stderr)",
            f"'{SSN}'",
            f"{{'{SSN}': 1}}",
            f"raise ValueError('{SSN}')",
            f"value = '{SSN}'\n1/0 if value else 0  # {SSN}",
            f"import logging; logging.error('{SSN}')",
            f"import warnings; warnings.warn('{SSN}')",
            f"import os; os.write(1, b'{SSN}\\n')",
            f"import subprocess; subprocess.run(['echo', '{SSN}'])",
            f"from IPython.display import HTML; HTML('<b>{SSN}</b>')",
            f"from IPython.display import JSON; JSON({{'a': '{SSN}'}})",
            f"from IPython.display import display; h = display('a', display_id=True);"
            f" h.update('{SSN}')",
            f"from IPython.display import Javascript; Javascript('x=\"{SSN}\"')",
            f"from ipywidgets import Text; Text('{SSN}')",
            f"from comm import create_comm; create_comm('t', data={{'v': '{SSN}'}})",
            f"from comm import create_comm; create_comm('t').send({{}}, buffers=[b'{SSN}'])",
            f"import threading, time; t = threading.Thread(target=print, args=('{SSN}',));"
            " t.start(); t.join(); time.sleep(0.2)",
            f"import sys; sys.stdout.write('{SSN[:5]}'); sys.stdout.flush();"
            f" sys.stdout.write('{SSN[5:]}')",
        ],
    )
    def test_output(self, module_kernel, code):
        result = module_kernel.run(code)
        assert SSN not in result.everything
        assert (
            "US_SSN~" in result.everything
            or "*" * len(SSN) in result.everything
            or ("buffers" in code)
        )

    def test_execute_reply(self, module_kernel):
        result = module_kernel.run("1", user_expressions={"v": f"'{SSN}'"})
        assert "US_SSN~" in result.everything
        assert SSN not in result.everything

    def test_completion(self, module_kernel):
        module_kernel.run(f"d = {{'{SSN}': 1}}")
        module_kernel.client.complete("d['")
        content = module_kernel.client.get_shell_msg(timeout=10)["content"]
        assert content["status"] == "ok"
        assert SSN not in repr(content)
        assert "US_SSN~" in repr(content)

    def test_inspection(self, module_kernel):
        module_kernel.run(f"secret = '{SSN}'")
        module_kernel.client.inspect("secret")
        content = module_kernel.client.get_shell_msg(timeout=10)["content"]
        assert content["found"]
        assert SSN not in repr(content)

    def test_history(self, module_kernel):
        module_kernel.run(f"h = '{SSN}'")
        module_kernel.client.history(raw=True, output=True, hist_access_type="tail", n=50)
        content = module_kernel.client.get_shell_msg(timeout=10)["content"]
        assert content["history"]
        assert SSN not in repr(content)

    def test_debugger_variables(self, module_kernel):
        module_kernel.run(f"shown = '{SSN}'")

        def debug(command, **arguments):
            message = module_kernel.client.session.msg(
                "debug_request",
                {"type": "request", "seq": 1, "command": command, "arguments": arguments},
            )
            module_kernel.client.control_channel.send(message)
            return module_kernel.client.get_control_msg(timeout=20)["content"]

        variables = debug("inspectVariables")
        assert "shown" in repr(variables)
        assert SSN not in repr(variables)


class TestInteraction:
    def test_a_widget_talks_both_ways(self, module_kernel):
        result = module_kernel.run(
            "from ipywidgets import IntSlider\n"
            "slider = IntSlider(3)\n"
            "slider.observe(lambda c: print('moved to', c['new']), 'value')\n"
            "slider"
        )
        view = next(c["data"] for kind, c in result.messages if kind == "execute_result")
        comm_id = view["application/vnd.jupyter.widget-view+json"]["model_id"]
        client = module_kernel.client
        client.shell_channel.send(
            client.session.msg(
                "comm_msg",
                {
                    "comm_id": comm_id,
                    "data": {"method": "update", "state": {"value": 42}, "buffer_paths": []},
                },
            )
        )
        assert _wait_for(client, "stream", lambda c: True)["text"] == "moved to 42\n"
        assert module_kernel.run("slider.value").text == "42"

    def test_the_debugger_stops_at_a_breakpoint_and_shows_masked_values(self, start_kernel):
        kernel = start_kernel()
        client = kernel.client
        sequence = iter(range(1, 100))

        def debug(command, **arguments):
            message = client.session.msg(
                "debug_request",
                {
                    "type": "request",
                    "seq": next(sequence),
                    "command": command,
                    "arguments": arguments,
                },
            )
            client.control_channel.send(message)
            while True:
                reply = client.get_control_msg(timeout=30)
                if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
                    return reply["content"]

        assert debug("initialize", clientID="t", adapterID="")["success"]
        assert debug("attach")["success"]
        code = f"def f():\n    value = '{SSN[:5]}' + '{SSN[5:]}'\n    return value\nf()"
        path = debug("dumpCell", code=code)["body"]["sourcePath"]
        debug("setBreakpoints", source={"path": path}, breakpoints=[{"line": 3}])
        debug("configurationDone")
        client.execute(code)
        stopped = _wait_for(client, "debug_event", lambda c: c["event"] == "stopped")
        thread = stopped["body"]["threadId"]
        frame = debug("stackTrace", threadId=thread)["body"]["stackFrames"][0]["id"]
        scope = debug("scopes", frameId=frame)["body"]["scopes"][0]["variablesReference"]
        variables = debug("variables", variablesReference=scope)["body"]["variables"]
        assert [v["name"] for v in variables if v["name"] == "value"] == ["value"]
        assert SSN not in repr(variables)
        assert "US_SSN~" in repr(variables)
        evaluated = debug("evaluate", expression="value", frameId=frame, context="repl")
        assert SSN not in repr(evaluated)
        debug("continue", threadId=thread)
        assert client.get_shell_msg(timeout=20)["content"]["status"] == "ok"


class TestForgery:
    def test_a_reply_to_nobody_is_dropped_and_the_kernel_goes_on(self, module_kernel):
        result = module_kernel.run(
            "k = get_ipython().kernel\n"
            "k.session.send(k.shell_streams[0] if getattr(k, 'shell_streams', None)"
            " else k.shell_stream, 'execute_reply', {'status': 'ok'},"
            " parent={'header': {'msg_id': 'nobody'}}, ident=[b'cloister-gate'])"
        )
        assert result is not None
        assert module_kernel.run("1 + 1").text == "2"

    def test_the_kernel_cannot_write_a_parent_header(self, module_kernel):
        module_kernel.run(
            "k = get_ipython().kernel\n"
            "k.session.send(k.iopub_socket, 'stream', {'name': 'stdout', 'text': 'x\\n'},"
            f" parent={{'msg_id': '{SSN}', 'note': '{SSN}'}})"
        )
        seen = []
        while True:
            try:
                seen.append(module_kernel.client.get_iopub_msg(timeout=0.5))
            except queue.Empty:
                break
        assert SSN not in repr(seen)


class TestWalls:
    def test_no_home_no_server_files_no_other_processes(self, start_kernel, home, tmp_path):
        (tmp_path / "outside.txt").write_text("outside")
        kernel = start_kernel()
        result = kernel.run(
            "import os, pathlib\n"
            f"print(os.path.exists({str(home)!r}),"
            f" os.path.exists({str(tmp_path / 'outside.txt')!r}))\n"
            "print(sorted(p for p in os.listdir('/proc') if p.isdigit()))\n"
            "print(os.environ.get('JUPYTER_TOKEN'), os.environ.get('JPY_PARENT_PID'))\n"
        )
        lines = result.text.splitlines()
        assert lines[0] == "False False"
        assert len(json.loads(lines[1].replace("'", '"'))) <= 4
        assert lines[2] == "None None"

    def test_the_guards_own_code_cannot_be_written(self, start_kernel):
        kernel = start_kernel()
        result = kernel.run(
            "import cloister.core, pathlib\n"
            "pathlib.Path(cloister.core.__file__).with_name('planted.py').write_text('x')"
        )
        assert result.status == "error"
        assert "Read-only" in result.text or "Read-only" in result.everything

    def test_a_module_left_in_the_workspace_does_not_run_outside(self, start_kernel, workspace):
        for name in ("zmq", "cryptography", "sqlite3", "cloister"):
            (workspace / f"{name}.py").write_text(
                "import os\n"
                "if os.path.exists('/etc/hostname'):  # not there inside the sandbox\n"
                f"    open({str(workspace / 'escaped')!r}, 'w').write('x')\n"
                "raise ImportError\n"
            )
        # The kernel's own imports may break; that is the user's doing.
        with contextlib.suppress(RuntimeError):
            start_kernel().run("1")
        assert Path("/etc/hostname").exists()
        assert not (workspace / "escaped").exists()

    def test_files_in_the_workspace_can_be_written(self, start_kernel, workspace):
        kernel = start_kernel()
        kernel.run("open('result.txt', 'w').write('fine')")
        assert (workspace / "result.txt").read_text() == "fine"


class TestRefusals:
    def test_no_sandbox_no_kernel(self, start_kernel, monkeypatch):
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(Exception, match=r"CLO-SANDBOX-001.*bubblewrap") as caught:
            start_kernel()
        assert "apt-get install bubblewrap" in str(caught.value)

    def test_optional_sandbox_takes_the_best_walls_there_are(self, start_kernel, home, monkeypatch):
        from cloister.sidecar import landlock
        from cloister.store.home import Home, ensure_home

        if landlock.version() < landlock.SIGNALS_VERSION:
            pytest.skip("no Landlock here")
        ensure_home(Home(home))
        write_policy(home, "version: 1\nsandbox: optional\n")
        monkeypatch.setenv("PATH", "/nonexistent")
        kernel = start_kernel()
        state = json.loads((home / "run" / kernel.manager.kernel_id / "state.json").read_text())
        assert state["sandbox"] == "landlock"
        holds = {g["id"]: g["holds"] for g in state["guarantees"]}
        assert not holds["sandbox"]
        assert holds["network"]
        write_policy(home, "version: 1\nsandbox: required\n")
        assert "CLO-SANDBOX-001" in kernel.run("1").reply["evalue"]

    def test_reduced_walls_are_not_for_root(self, start_kernel, home, monkeypatch):
        from cloister.store.home import Home, ensure_home

        if os.geteuid() != 0:
            pytest.skip("this is an ordinary account")
        ensure_home(Home(home))
        write_policy(home, "version: 1\nsandbox: reduced\n")
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(Exception, match=r"CLO-SANDBOX-008.*ordinary account"):
            start_kernel()

    def test_optional_sandbox_starts_and_says_so(self, start_kernel, home, monkeypatch):
        from cloister.sidecar import landlock
        from cloister.store.home import Home, ensure_home

        monkeypatch.setattr(landlock, "version", lambda: 0)

        ensure_home(Home(home))
        write_policy(home, "version: 1\nsandbox: optional\n")
        monkeypatch.setenv("PATH", "/nonexistent")
        kernel = start_kernel()
        assert kernel.run(f"print('{SSN}')").text.startswith("US_SSN~")
        state = json.loads((home / "run" / kernel.manager.kernel_id / "state.json").read_text())
        assert state["sandbox"] == "none"
        assert {g["id"]: g["holds"] for g in state["guarantees"]}["network"] is False
        pid = int(kernel.run("import os; os.getpid()").text)
        os.kill(kernel.sidecar_pid, signal.SIGKILL)
        _wait_until(lambda: not Path(f"/proc/{pid}").exists())
        assert not Path(f"/proc/{pid}").exists(), "a kernel has outlived its sidecar"

    def test_a_broken_policy_starts_no_kernel(self, start_kernel, home):
        from cloister.store.home import Home, ensure_home

        ensure_home(Home(home))
        write_policy(home, "version: 1\ndisplay: {secret: show}\n")
        with pytest.raises(Exception, match="CLO-POLICY-001"):
            start_kernel()

    def test_a_policy_broken_while_running_stops_execution_until_repaired(self, start_kernel, home):
        kernel = start_kernel()
        good = (home / "policy.yaml").read_text()
        write_policy(home, "version: 2\n")
        refused = kernel.run("open('ran', 'w')")
        assert refused.status == "error"
        assert "CLO-POLICY" in refused.reply["evalue"]
        write_policy(home, good)
        assert kernel.run("import os; os.path.exists('ran')").text == "False"

    def test_a_changed_policy_counts_at_once(self, start_kernel, home):
        kernel = start_kernel()
        write_policy(home, "version: 1\ndisplay: {restricted: redact}\n")
        assert kernel.run(f"print('{SSN}')").text == "[US_SSN]\n"

    def test_a_corrupt_log_starts_no_kernel(self, start_kernel, home):
        from cloister.store.home import Home, ensure_home

        ensure_home(Home(home))
        (home / "store").mkdir(exist_ok=True)
        (home / "store" / "lineage.db").write_bytes(b"this is not a database" * 100)
        with pytest.raises(Exception, match="CLO-STORE"):
            start_kernel()


def _wait_for(client, msg_type, accept, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        if message["msg_type"] == msg_type and accept(message["content"]):
            return message["content"]
    raise AssertionError(f"no {msg_type} within {timeout_s} s")


def _wait_until(condition, timeout_s=15):
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def _descendants(pid):
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        try:
            children = Path(f"/proc/{current}/task/{current}/children").read_text().split()
        except OSError:
            continue
        found += map(int, children)
        todo += map(int, children)
    return found
