"""What a plain server with the extension offers: guarded kernels, and nothing beside them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from labserver import make_home, run_server

PLAIN = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}


@pytest.fixture(scope="module")
def jupyter_path(tmp_path_factory):
    """A kernel spec that calls itself cloister's kin and is not guarded."""
    root = tmp_path_factory.mktemp("specs")
    for name, metadata in (
        ("impostor", {"kernel_provisioner": {"provisioner_name": "local-provisioner"}}),
        ("odd", {"kernel_provisioner": "cloister-provisioner"}),
    ):
        directory = root / "kernels" / name
        directory.mkdir(parents=True)
        spec = {**PLAIN, "display_name": name, "language": "python", "metadata": metadata}
        (directory / "kernel.json").write_text(json.dumps(spec))
    return os.pathsep.join(filter(None, [str(root), os.environ.get("JUPYTER_PATH")]))


def serve(base, policy, jupyter_path, config=""):
    home = make_home(base / "home")
    home.policy_path.write_text(policy)
    return run_server(base, home, config=config, environ={"JUPYTER_PATH": jupyter_path})


@pytest.fixture(scope="module")
def server(tmp_path_factory, jupyter_path):
    # What an admin may have set for another purpose opens nothing.
    config = (
        "c.ServerApp.terminals_enabled = True\n"
        "c.ServerApp.allow_external_kernels = True\n"
        "c.MappingKernelManager.default_kernel_name = 'python3'\n"
    )
    base = tmp_path_factory.mktemp("closed")
    with serve(base, "version: 1\n", jupyter_path, config) as running:
        yield running


def test_only_guarded_kernels_are_offered(server):
    offered = server.request("GET", "api/kernelspecs").json()
    assert set(offered["kernelspecs"]) == {"cloister"}
    assert offered["default"] == "cloister"


@pytest.mark.parametrize("name", ["python3", "impostor", "odd", "no-such-kernel"])
def test_another_kernel_is_not_started(server, name):
    answer = server.request("POST", "api/kernels", json={"name": name})
    assert answer.status_code == 403
    assert "CLO-LAB-006" in answer.json()["message"]
    session = {"path": "a.ipynb", "type": "notebook", "name": "", "kernel": {"name": name}}
    assert server.request("POST", "api/sessions", json=session).status_code >= 400
    assert server.request("GET", "api/kernels").json() == []
    assert server.request("GET", f"api/kernelspecs/{name}").status_code == 404


def test_a_guarded_kernel_is_started_when_none_is_named(server):
    answer = server.request("POST", "api/kernels")
    assert answer.status_code == 201
    assert answer.json()["name"] == "cloister"
    assert server.request("DELETE", f"api/kernels/{answer.json()['id']}").status_code == 204


@pytest.mark.parametrize("path", ["api/terminals", "api/terminals/1", "terminals/websocket/1"])
def test_there_are_no_terminals(server, path):
    for method in ("GET", "POST", "DELETE"):
        answer = server.request(method, path)
        assert answer.status_code in {403, 404}
        assert not answer.ok
    assert "CLO-LAB-007" in server.request("POST", "api/terminals").json()["message"]


def test_a_policy_may_open_both(tmp_path, jupyter_path):
    policy = "version: 1\nserver: {terminals: true, unguarded_kernels: true}\n"
    with serve(tmp_path, policy, jupyter_path) as server:
        assert {"python3", "impostor", "cloister"} <= set(
            server.request("GET", "api/kernelspecs").json()["kernelspecs"]
        )
        made = server.request("POST", "api/terminals")
        assert made.ok
        assert server.request("DELETE", f"api/terminals/{made.json()['name']}").ok


def test_without_a_valid_policy_nothing_is_open(tmp_path, jupyter_path):
    policy = "version: 1\nserver: {terminals: true, unguarded_kernels: true, typo: 1}\n"
    with serve(tmp_path, policy, jupyter_path) as server:
        assert set(server.request("GET", "api/kernelspecs").json()["kernelspecs"]) == {"cloister"}
        assert server.request("POST", "api/terminals").status_code == 403


def test_settings_in_the_working_directory_are_not_run(tmp_path, jupyter_path):
    workspace = tmp_path / "work"
    workspace.mkdir()
    ran = tmp_path / "ran"
    for name in ("jupyter_config", "jupyter_server_config", "jupyter_lab_config"):
        (workspace / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name!r})\n")
        settings = {"ServerApp": {"terminals_enabled": True, "token": "planted"}}
        (workspace / f"{name}.json").write_text(json.dumps(settings))
    home = make_home(tmp_path / "home")
    with run_server(tmp_path, home, app="jupyterlab") as server:
        assert Path(server.root) == workspace
        assert server.request("GET", "api/contents", token="planted").status_code == 403
    assert not ran.exists()


def test_a_server_that_cannot_be_guarded_does_not_run(tmp_path, jupyter_path):
    config = (
        "from jupyter_client.kernelspec import KernelSpecManager\n"
        "class Stubborn(KernelSpecManager):\n"
        "    def __setattr__(self, name, value):\n"
        "        if name == '__class__':\n"
        "            raise TypeError\n"
        "        super().__setattr__(name, value)\n"
        "c.ServerApp.kernel_spec_manager_class = Stubborn\n"
    )
    starting = serve(tmp_path, "version: 1\n", jupyter_path, config)
    with pytest.raises(AssertionError, match="CLO-LAB-008"), starting:
        pass
