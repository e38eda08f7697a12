"""The corpus is what its schema and the issue of its families say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cloister.cli.drill import cases as drill_cases
from cloister.cli.drill.cases import Carries, CorpusError, Outcome, load_corpus
from cloister.cli.drill.forms import ON_DEMAND
from cloister.core.modes import Mode

from .controls import CONTROLS

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = {
    "comm": "comm, ipywidgets and anywidget state and custom messages",
    "covert": "channels that are documented limits",
    "debugger": "variables and events of the debugger",
    "display": "tables and values as results and displays",
    "encodings": "the encodings of the exact-match index, and some more",
    "errors": "tracebacks, warnings, logging, faulthandler",
    "files": "downloads, /files/, the contents API, names of files",
    "filesystem": "files outside the workspace, links, shared memory",
    "hooks": "hooks removed or fooled",
    "isolation": "/proc, ptrace, signals, namespaces, the broker's socket and token",
    "late": "threads, background tasks, a second cell, the end of Python",
    "markup": "HTML, SVG, Markdown, LaTeX, Vega and widgets that call out",
    "media": "audio, video, attachments",
    "messages": "forged, giant and malformed messages",
    "mime": "display of every mime type",
    "native": "pyarrow, polars, duckdb, libcurl, cloud SDKs, database drivers",
    "network": "HTTP, raw sockets, UDP, DNS, IPv6, Unix sockets, SMTP, git, pip",
    "notebooks": "saved notebooks, checkpoints, exporters",
    "peers": "what leaked from our peers",
    "pictures": "metadata, pixels, text in plots, SVG",
    "processes": "os.write, subprocesses, system calls",
    "prompts": "prompts for input",
    "providers": "calls to language models",
    "replies": "user_expressions, completion, inspection, history, comm info",
    "server": "terminals, kernels API, sessions, language servers, shared documents",
    "splits": "pieces over messages, streams, updates, ANSI codes, odd characters",
    "text": "printed text",
}


def test_every_family_is_there():
    assert {case.family for case in load_corpus()} == FAMILIES.keys()


def test_the_corpus_has_many_techniques():
    corpus = load_corpus()
    assert len(corpus) >= 600
    assert len({case.technique for case in corpus}) >= 60


def test_every_control_that_a_case_names_has_a_switch():
    assert {c.control for c in load_corpus() if c.control} <= CONTROLS.keys()
    assert {i for control in CONTROLS.values() for i in control.cases} <= {
        case.id for case in load_corpus()
    }


def test_ids_begin_with_their_family():
    assert [c.id for c in load_corpus() if not c.id.startswith(f"{c.family}-")] == []


def test_no_two_cases_do_the_same():
    seen: dict[object, str] = {}
    for case in load_corpus():
        deed = (case.cells, str(case.requests), str(case.visits), str(case.expressions))
        assert deed not in seen, f"{case.id} repeats {seen[deed]}"
        seen[deed] = case.id


def test_encoded_names_a_form_that_is_looked_for_on_demand_only():
    assert {c.encoded for c in load_corpus() if c.encoded} <= ON_DEMAND.keys()


def test_what_gets_out_links_to_the_sharp_edge_that_says_so():
    for case in load_corpus():
        expects_leak = Outcome.LEAKED in case.expect.values()
        assert expects_leak == (case.limit is not None), case.id
        if case.limit is not None:
            page, _, anchor = case.limit.partition("#")
            text = (ROOT / page).read_text("utf-8")
            names = re.findall(r"^(?:#+ (.+)|\*\*(.+?)\.\*\*)", text, re.MULTILINE)
            slugs = {re.sub(r"[^a-z0-9]+", "-", "".join(n).lower()).strip("-") for n in names}
            assert anchor in slugs, f"{case.id}: {anchor}"


def test_modes_are_never_weaker_than_the_one_before():
    rank = {Outcome.LEAKED: 0, Outcome.ALERTED: 1, Outcome.MASKED: 2, Outcome.BLOCKED: 3}
    for case in load_corpus():
        outcomes = [rank[case.expect[mode]] for mode in (Mode.OBSERVE, Mode.GUARD, Mode.ENCLAVE)]
        assert outcomes == sorted(outcomes), case.id


def test_code_compiles():
    from IPython.core.inputtransformer2 import TransformerManager

    transform = TransformerManager().transform_cell
    for case in load_corpus():
        for cell in case.cells:
            # As IPython compiles it: magics, and await at the top.
            compile(transform(cell), case.id, "exec", flags=0x2000)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"technique": "T48"}, "technique"),
        ({"channel": "telepathy"}, "channel"),
        ({"expect": {"guard": "masked"}}, "expect"),
        ({"id": "Has Blanks"}, "id"),
        ({"surprise": 1}, "at 0"),
    ],
)
def test_a_case_that_does_not_fit_is_refused(tmp_path, change, says):
    case = yaml.safe_load((ROOT / "tests/leaks/corpus/text.yaml").read_text("utf-8"))[0]
    (tmp_path / "text.yaml").write_text(yaml.safe_dump([{**case, **change}]))
    with pytest.raises(CorpusError, match=says) as caught:
        load_corpus(tmp_path)
    assert caught.value.code == "CLO-DRILL-001"


def test_an_id_is_taken_once(tmp_path):
    text = (ROOT / "tests/leaks/corpus/text.yaml").read_text("utf-8")
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises(CorpusError, match="text-value"):
        load_corpus(tmp_path)


def test_a_missing_corpus_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(drill_cases, "_HERE", tmp_path)
    monkeypatch.setattr(drill_cases, "_IN_SOURCES", tmp_path / "none")
    with pytest.raises(CorpusError, match="not part of this installation"):
        load_corpus()


def test_secrets_and_traces_are_stopped_not_masked():
    """A planted secret is known to no index: only walls hold it back."""
    for case in load_corpus():
        if case.carries in {Carries.SECRET, Carries.TRACE}:
            assert case.expect[Mode.GUARD] in {Outcome.BLOCKED, Outcome.LEAKED}, case.id
