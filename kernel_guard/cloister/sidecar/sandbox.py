"""The walls around a kernel: a bubblewrap command line, and a probe that says whether it holds.

The root of the sandbox is an allow-list. A kernel sees the operating system's read-only parts, its
Python, the workspace (writable), catalogued data (read-only) and its own sockets. It has its own
network, process, IPC and user namespaces, no capabilities, and cannot make further namespaces. It
has no environment variable that was not let through by name. A filter of system calls stands beside
the namespaces (:mod:`.syscallfilter`).

Trusted: the bubblewrap binary and the operating system.

Source: bwrap(1), bubblewrap 0.8.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloister.core.errors import SandboxUnavailable
from cloister.sidecar.syscallfilter import filter_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

INNER_KERNEL_DIR = "/run/cloister/kernel"
INNER_GUARD_DIR = "/run/cloister/guard"
INNER_HOME = "/home/cloister"
STATUS_FD = 63
FILTER_FD = 62

SYSTEM_DIRS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
)
_GPU_DEVICES = ("/dev/nvidia*", "/dev/dri", "/dev/kfd")
_ENVIRONMENT = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TERM", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHASHSEED"}
)
_ENVIRONMENT_PREFIXES = ("LC_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "MALLOC_", "CUDA_")
_INSTALL_BUBBLEWRAP = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)"
_ALLOW_OPTIONAL = (
    "or accept less in the policy: 'sandbox: reduced' (Landlock and seccomp) or "
    "'sandbox: optional' (also none)."
)


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What the probe found.

    Attributes:
        level: ``bubblewrap`` or ``none``.
        holds: Whether a kernel started now would be isolated.
        reason: Why, for people.
        fix: What to do when it does not hold, else empty.
    """

    level: str
    holds: bool
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class SandboxPlan:
    """Which paths a kernel sees. All paths are absolute and resolved.

    Attributes:
        workspace: Writable.
        cwd: Where the kernel starts; inside ``workspace``.
        read_only: The interpreter and its packages.
        data: Catalogued datasets, read-only.
        hidden: Covered with an empty directory or file wherever they would be visible.
        kernel_dir: Holds the inner connection file and the kernel's sockets; writable.
        guard_dir: Holds the broker and egress sockets; read-only.
        etc_dir: Holds the ``passwd``, ``group`` and ``hosts`` files that the kernel sees.
    """

    workspace: Path
    cwd: Path
    read_only: tuple[Path, ...]
    data: tuple[Path, ...]
    hidden: tuple[Path, ...]
    kernel_dir: Path
    guard_dir: Path
    etc_dir: Path


def probe(bwrap: str | None = None) -> SandboxReport:
    """Starts a real sandbox around ``true`` and reports whether the walls stand.

    Args:
        bwrap: Path of the binary; found on ``PATH`` when left out.
    """
    binary = bwrap or shutil.which("bwrap")
    if binary is None:
        return SandboxReport(
            "none",
            holds=False,
            reason="bubblewrap (bwrap) is not installed",
            fix=f"{_INSTALL_BUBBLEWRAP}, {_ALLOW_OPTIONAL}",
        )
    try:
        program = filter_program()
        done = _try_out(binary, program)
        lacks_filters = done.returncode != 0 and _try_out(binary, None).returncode == 0
    except SandboxUnavailable as error:
        return SandboxReport("none", holds=False, reason=error.message, fix=error.remedy)
    except (OSError, subprocess.TimeoutExpired):
        return SandboxReport(
            "none",
            holds=False,
            reason="bubblewrap is installed but does not run",
            fix=f"Run '{binary} --version' and repair it, {_ALLOW_OPTIONAL}",
        )
    if lacks_filters:
        return SandboxReport(
            "none",
            holds=False,
            reason="this operating system takes no filter of system calls (seccomp)",
            fix=f"Use a Linux kernel built with CONFIG_SECCOMP_FILTER, {_ALLOW_OPTIONAL}",
        )
    if done.returncode != 0:
        return SandboxReport(
            "none",
            holds=False,
            reason="bubblewrap cannot make namespaces here (often: user namespaces are disabled)",
            fix="Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
            f"user.max_user_namespaces>0), {_ALLOW_OPTIONAL}",
        )
    return SandboxReport(
        "bubblewrap", holds=True, reason="kernels run in their own namespaces", fix=""
    )


def _try_out(binary: str, program: bytes | None) -> subprocess.CompletedProcess[bytes]:
    """Runs ``true`` in a sandbox without anything in it but the operating system."""
    mounts = [*_system_mounts(), "--proc", "/proc", "--dev", "/dev"]
    with tempfile.TemporaryFile() as file:
        filtered = []
        if program is not None:
            file.write(program)
            file.seek(0)
            filtered = ["--seccomp", str(file.fileno())]
        return subprocess.run(
            [binary, *_NAMESPACES, *filtered, *mounts, "true"],
            pass_fds=[file.fileno()],
            capture_output=True,
            timeout=10,
            check=False,
        )


_NAMESPACES = (
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--disable-userns",
    "--uid",
    "1000",
    "--gid",
    "1000",
    "--hostname",
    "cloister",
    "--cap-drop",
    "ALL",
    "--die-with-parent",
    "--new-session",
)


def _system_mounts() -> list[str]:
    mounts: list[str] = []
    for name in SYSTEM_DIRS:
        path = Path(name)
        if path.is_symlink():
            mounts += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            mounts += ["--ro-bind", name, name]
    for name in SYSTEM_FILES:
        mounts += ["--ro-bind-try", name, name]
    return mounts


def bwrap_command(plan: SandboxPlan, argv: Sequence[str], *, bwrap: str | None = None) -> list[str]:
    """Returns the command line that runs ``argv`` behind the walls of ``plan``.

    The environment is not part of it: pass a clean one to the process, so that no secret shows in
    the process list. Bubblewrap writes its JSON status to file descriptor :data:`STATUS_FD` and
    reads the filter of system calls from :data:`FILTER_FD`.

    Args:
        plan: What the kernel sees.
        argv: The kernel's own command line.
        bwrap: Path of the binary; found on ``PATH`` when left out.

    Raises:
        SandboxUnavailable: There is no bubblewrap.
    """
    binary = bwrap or shutil.which("bwrap")
    if binary is None:
        raise SandboxUnavailable("bubblewrap is not installed.", remedy=_INSTALL_BUBBLEWRAP + ".")
    command = [binary, *_NAMESPACES, "--json-status-fd", str(STATUS_FD)]
    command += ["--seccomp", str(FILTER_FD)]
    command += _system_mounts()
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home"]  # noqa: S108 - inside
    # Where root starts kernels, a write to core_pattern would run a program outside.
    command += ["--ro-bind", "/proc/sys", "/proc/sys"]
    command += ["--dir", INNER_HOME]
    for device in gpu_devices():
        command += ["--dev-bind", device, device]
    for name in ("passwd", "group", "hosts"):
        command += ["--ro-bind", str(plan.etc_dir / name), f"/etc/{name}"]
    for _depth, _order, mount in sorted(_mounts(plan)):
        command += mount
    command += ["--bind", str(plan.kernel_dir), INNER_KERNEL_DIR]
    command += ["--ro-bind", str(plan.guard_dir), INNER_GUARD_DIR]
    command += ["--remount-ro", "/", "--chdir", str(plan.cwd), "--", *argv]
    return command


def _mounts(plan: SandboxPlan) -> list[tuple[int, int, list[str]]]:
    """Returns mounts with the order to make them in: a parent before what lies in it.

    So the interpreter stays read-only inside a workspace, a workspace stays writable inside a
    read-only directory, and a hidden directory is hidden in both. At one path, hiding comes last.
    """
    mounts = [(0, ["--bind", str(plan.workspace), str(plan.workspace)], plan.workspace)]
    mounts += [
        (1, ["--ro-bind-try", str(path), str(path)], path)
        for path in (*plan.data, *plan.read_only)
        if path != plan.workspace
    ]
    for path in plan.hidden:
        if _is_visible(path, plan):
            cover = ["--tmpfs", str(path)] if path.is_dir() else _cover_file(path)
            mounts.append((2, cover, path))
    return [(len(path.parts), order, mount) for order, mount, path in mounts]


def _cover_file(path: Path) -> list[str]:
    return ["--ro-bind", "/dev/null", str(path)]


def _is_visible(path: Path, plan: SandboxPlan) -> bool:
    mounted = (plan.workspace, *plan.data, *plan.read_only, Path("/usr"))
    return path.exists() and any(path.is_relative_to(root) for root in mounted)


def gpu_devices() -> list[str]:
    """Returns the device files of graphics processors, which every kernel gets."""
    return sorted(str(p) for pattern in _GPU_DEVICES for p in Path("/").glob(pattern.lstrip("/")))


def kernel_environment(
    environ: Mapping[str, str], allowed: Iterable[str], guard: Mapping[str, str]
) -> dict[str, str]:
    """Returns the whole environment of a kernel: named variables only, then the guard's own.

    Args:
        environ: The environment of the server or client that starts the kernel.
        allowed: Further names to let through, for instance the kernel spec's ``env``.
        guard: Variables that Cloister sets; they win.
    """
    names = _ENVIRONMENT | set(allowed)
    env = {k: v for k, v in environ.items() if k in names or k.startswith(_ENVIRONMENT_PREFIXES)}
    env |= {"HOME": INNER_HOME, "TMPDIR": "/tmp", "USER": "cloister", "LOGNAME": "cloister"}  # noqa: S108
    env |= guard
    env.pop("JPY_PARENT_PID", None)  # in a pid namespace ipykernel would take it for a dead parent
    return env


def interpreter_paths(argv0: str) -> tuple[Path, ...]:
    """Returns what a Python kernel needs to read: its prefixes and where its packages lie.

    Not ``sys.path``: that of the process that starts the kernel begins with the directory of its
    script, which may be somebody's home.

    Args:
        argv0: The kernel's interpreter; the one running now if it is no absolute path.
    """
    interpreter = Path(argv0)
    prefix = interpreter.parent.parent if interpreter.is_absolute() else Path(sys.prefix)
    paths = [prefix, *_base_prefix(prefix)]
    if user_site := user_site_directory():
        paths.append(user_site)
    for directory in (*prefix.glob("lib/python3*/site-packages"), *filter(None, [user_site])):
        paths += _path_entries(directory)
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths += [Path(entry) for entry in entries if Path(entry).is_absolute()]
    system = [Path(name) for name in SYSTEM_DIRS]
    unique: list[Path] = []
    for path in dict.fromkeys(p for raw in paths for p in (raw, raw.resolve())):
        covered = any(path.is_relative_to(root) for root in [*system, *unique])
        if not covered and path != Path("/"):
            unique.append(path)
    return tuple(unique)


def user_site_directory() -> Path | None:
    """Returns the account's own package directory if this interpreter uses it."""
    import site

    directory = Path(site.getusersitepackages())
    return directory if site.ENABLE_USER_SITE and directory.is_dir() else None


def _base_prefix(prefix: Path) -> list[Path]:
    config = prefix / "pyvenv.cfg"
    if not config.is_file():
        return []
    for line in config.read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return [Path(value.strip()).parent]
    return []


def _path_entries(site_packages: Path) -> list[Path]:
    """Returns the directories that ``.pth`` files add: packages installed in editable mode."""
    entries: list[Path] = []
    for file in sorted(site_packages.glob("*.pth")):
        lines = file.read_text("utf-8", "replace").splitlines()
        entries += [path for line in lines if (path := Path(line.strip())).is_absolute()]
    return [path for path in entries if path.is_dir()]


def choose_workspace(root: Path, cwd: Path, home: Path, user_home: Path) -> Path:
    """Returns the directory that a kernel may write.

    Args:
        root: The root that the server shows its users, else the kernel's working directory.
        cwd: Where the kernel starts.
        home: ``CLOISTER_HOME``.
        user_home: The account's home directory.

    Raises:
        SandboxUnavailable: The workspace would contain the whole system or lie inside the guard.
    """
    candidate = root if cwd.is_relative_to(root) else cwd
    if candidate in {Path("/"), user_home.parent} and cwd != candidate:
        candidate = cwd
    if candidate in {Path("/"), user_home.parent}:
        raise SandboxUnavailable(
            "The notebook's directory is the root of the file system, which cannot be a workspace.",
            code="CLO-SANDBOX-002",
            remedy="Start JupyterLab in a project directory.",
        )
    if candidate.is_relative_to(home):
        raise SandboxUnavailable(
            "The notebook's directory lies inside CLOISTER_HOME, which no kernel may see.",
            code="CLO-SANDBOX-003",
            remedy="Move the notebook, or choose another CLOISTER_HOME.",
        )
    return candidate


def hidden_paths(workspace: Path, home: Path, run_base: Path, user_home: Path) -> tuple[Path, ...]:
    """Returns what must never show inside, even where a mounted directory contains it.

    A workspace that is the account's home directory loses its dot entries: credentials live there.
    """
    hidden = [
        home,
        run_base,
        user_home / ".jupyter",
        user_home / ".local/share/jupyter",
        user_home / ".ssh",
        user_home / ".aws",
        user_home / ".config",
        user_home / ".gnupg",
        user_home / ".netrc",
        Path(sys.prefix) / "etc/jupyter",
    ]
    hidden += [
        Path(os.environ[name]).resolve()
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        if os.environ.get(name)
    ]
    if workspace == user_home:
        hidden += [p for p in user_home.iterdir() if p.name.startswith(".")]
    return tuple(dict.fromkeys(hidden))


def write_etc(directory: Path) -> None:
    """Writes the few files of ``/etc`` that say who the kernel's user is, and nothing real."""
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / "passwd").write_text(
        f"cloister:x:1000:1000:Cloister kernel:{INNER_HOME}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )
    (directory / "group").write_text("cloister:x:1000:\nnogroup:x:65534:\n")
    (directory / "hosts").write_text("127.0.0.1 localhost cloister\n::1 localhost\n")
