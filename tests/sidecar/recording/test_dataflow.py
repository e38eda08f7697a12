"""Executions go back to whoever set their names last, and wrote their files."""

from __future__ import annotations

import itertools

from cloister.sidecar.recording.dataflow import DataFlow, Parent
from cloister.sidecar.recording.names import names_of


class Kernel:
    def __init__(self):
        self.flow = DataFlow()
        self.numbers = map(str, itertools.count(1))

    def run(self, code, reads=(), writes=()):
        return self.flow.ended(next(self.numbers), names_of(code), reads, writes)


def parents(flow):
    return [(parent.execution_id, parent.names) for parent in flow.parents]


def test_the_last_setter_counts():
    kernel = Kernel()
    kernel.run("x = 1")
    kernel.run("x = 2")
    assert parents(kernel.run("y = x")) == [("2", ("x",))]


def test_a_change_in_place_is_a_step_on_the_way():
    kernel = Kernel()
    kernel.run("df = load()")
    assert parents(kernel.run("df['a'] = 1")) == [("1", ("df",))]
    assert parents(kernel.run("df.plot()\nx = 1")) == [("2", ("df",))]


def test_a_function_brings_what_it_uses_when_it_is_called():
    kernel = Kernel()
    kernel.run("base = 1")
    kernel.run("def f(): return base")
    kernel.run("def g(): return f()")
    kernel.run("base = 2")
    found = dict(parents(kernel.run("g()")))
    assert found == {"2": ("f",), "3": ("g",), "4": ("base",)}


def test_deleted_and_imported_names_make_no_parent():
    kernel = Kernel()
    kernel.run("x = 1\nimport numpy as np")
    kernel.run("del x")
    assert kernel.run("np.ones(x)").parents == ()


def test_sources_are_handed_on_by_names_and_by_files():
    kernel = Kernel()
    kernel.run("df = read('p')", reads=[("/w/p.csv", "patients")])
    kernel.run("df.to_csv('o')", writes=["/w/o.csv"])
    last = kernel.run("pd.read_csv('o')", reads=[("/w/o.csv", "/w/o.csv")])
    assert last.parents == (Parent("2", (), ("/w/o.csv",)),)
    assert last.sources == ("/w/o.csv", "patients")


def test_code_that_cannot_be_read_still_has_its_files():
    kernel = Kernel()
    kernel.run("%%bash\ntouch o", writes=["/w/o"])
    assert kernel.run("(", reads=[("/w/o", "/w/o")]).parents[0].files == ("/w/o",)
