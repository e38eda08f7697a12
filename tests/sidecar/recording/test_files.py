"""What files held, which were written, and what a kernel runs on; all looked at from outside."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time

import pytest
from cloister.sidecar.recording import fingerprints
from cloister.sidecar.recording.environment import commit_of, environment_of
from cloister.sidecar.recording.fingerprints import Fingerprinter, fingerprint
from cloister.sidecar.recording.writes import WorkspaceWrites


class TestFingerprints:
    def test_a_file_is_known_by_its_whole_content(self, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(b"x" * 3_000_000)
        found = fingerprint(path)
        assert (found.digest, found.size) == (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            3_000_000,
        )
        assert found.facts() == {"sha256": found.digest, "size": 3_000_000}

    def test_a_large_one_is_sampled_and_says_so(self, tmp_path, monkeypatch):
        monkeypatch.setattr(fingerprints, "MOST_BYTES", 1_000)
        monkeypatch.setattr(fingerprints, "SAMPLE_BYTES", 100)
        path = tmp_path / "a"
        path.write_bytes(bytes(range(256)) * 40)
        first = fingerprint(path)
        assert first.facts()["sampled"] is True
        path.write_bytes(b"y" + path.read_bytes()[1:])
        assert fingerprint(path).digest != first.digest

    @pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "link"])
    def test_what_is_no_file_has_none(self, tmp_path, kind):
        path = tmp_path / "a"
        if kind == "directory":
            path.mkdir()
        if kind == "pipe":
            os.mkfifo(path)  # nobody will ever write into it
        if kind == "link":
            (tmp_path / "secret").write_text("1")
            path.symlink_to(tmp_path / "secret")
        assert fingerprint(path) is None

    def test_a_file_is_read_once_as_long_as_it_stays_the_same(self, tmp_path, monkeypatch):
        path, made, heard = tmp_path / "a", [], []
        path.write_bytes(b"1")

        def counted(path):
            made.append(path)
            return fingerprint(path)

        monkeypatch.setattr(fingerprints, "fingerprint", counted)
        prints = Fingerprinter(lambda what, _path, found: heard.append((what, found.digest)))
        for turn in range(3):
            prints.ask(turn, path)
        wait(lambda: len(heard) == 3)
        assert len(made) == 1
        assert prints.known(path).digest == hashlib.sha256(b"1").hexdigest()
        path.write_bytes(b"2")
        assert prints.known(path) is None
        prints.stop(5)


class TestWrites:
    @pytest.fixture
    def writes(self, tmp_path):
        (tmp_path / "deep" / "er").mkdir(parents=True)
        watching = WorkspaceWrites(tmp_path)
        assert watching.start()
        wait(lambda: len(watching._directories) == 3)
        yield watching
        watching.close()

    def test_files_that_are_written_moved_or_made_in_new_places(self, tmp_path, writes):
        (tmp_path / "a.csv").write_text("1")
        (tmp_path / "deep" / "er" / "b.csv").write_text("1")
        (tmp_path / "new" / "est").mkdir(parents=True)
        (tmp_path / "new" / "c.csv").write_text("1")
        (tmp_path / "a.csv").replace(tmp_path / "d.csv")
        found = {str(path.relative_to(tmp_path)) for path in writes.taken()}
        assert found == {"d.csv", "deep/er/b.csv", "new/c.csv"}
        assert writes.taken() == []
        (tmp_path / "new" / "est" / "e.csv").write_text("1")
        assert [path.name for path in writes.taken()] == ["e.csv"]

    def test_reads_notebooks_and_hidden_files_are_no_writes(self, tmp_path, writes):
        (tmp_path / "n.ipynb").write_text("{}")
        (tmp_path / ".hidden").write_text("1")
        (tmp_path / "gone").write_text("1")
        (tmp_path / "gone").unlink()
        (tmp_path / "n.ipynb").read_text()
        assert writes.taken() == []


class TestEnvironment:
    @pytest.fixture
    def repository(self, tmp_path):
        root = tmp_path / "repository"
        root.mkdir()
        git(root, "init", "-q", "-b", "main")
        git(
            root,
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "m",
        )
        return root

    def test_the_commit_is_read_wherever_git_keeps_it(self, repository, tmp_path):
        head = git(repository, "rev-parse", "HEAD")
        (repository / "below").mkdir()
        assert commit_of(repository / "below") == head
        git(repository, "pack-refs", "--all")
        assert commit_of(repository) == head
        git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
        assert commit_of(tmp_path / "tree") == head
        git(repository, "checkout", "-q", "--detach")
        assert commit_of(repository) == head
        (repository / ".git" / "HEAD").write_text("ref: ../../etc/passwd\n")
        assert commit_of(repository) is None
        assert commit_of(tmp_path) is None

    def test_another_package_makes_another_digest(self, tmp_path):
        site = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
        (site / "some_thing-1.0.dist-info").mkdir(parents=True)
        interpreter = str(tmp_path / "env" / "bin" / "python")
        first = environment_of(interpreter, tmp_path, {"JUPYTER_IMAGE": "lab:1"})
        assert (first.packages, first.image) == (("some-thing==1.0",), "lab:1")
        assert first == environment_of(interpreter, tmp_path, {"JUPYTER_IMAGE": "lab:1"})
        (site / "other-2.0.dist-info").mkdir()
        second = environment_of(interpreter, tmp_path, {"JUPYTER_IMAGE": "lab:1"})
        assert second.digest != first.digest


def git(root, *words):
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def wait(holds):
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holds()
