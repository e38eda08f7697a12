"""Names are read from the code's text: rather too many than too few, and nothing is run."""

from __future__ import annotations

import pytest
from cloister.sidecar.recording.names import names_of


@pytest.mark.parametrize(
    ("code", "used", "defined"),
    [
        ("y = x + 1", {"x"}, {"y"}),
        ("x = 1\ny = x", set(), {"x", "y"}),
        ("x = x + 1", {"x"}, {"x"}),
        ("x += 1", {"x"}, {"x"}),
        ("df['b'] = df['a']", {"df"}, {"df"}),
        ("df.a.b[0] = 1", {"df"}, {"df"}),
        ("df.dropna(inplace=True)", {"df"}, {"df"}),
        ("print(x)", {"x"}, set()),
        ("a, (b, *c) = x", {"x"}, {"a", "b", "c"}),
        ("for i in rows: total = i", {"rows"}, {"i", "total"}),
        ("[i for i in rows if i > low]", {"rows", "low"}, set()),
        ("{k: v for k, v in d.items()}", {"d"}, set()),
        ("f = lambda a: a + b", {"b"}, {"f"}),
        ("if c:\n    z = 1\nz", {"c", "z"}, {"z"}),
        ("if c:\n    z = 1\nelse:\n    z = 2\nz", {"c"}, {"z"}),
        ("with open(p) as f: t = f.read()", {"p"}, {"f", "t"}),
        ("def f(a=d):\n    return a + g", {"d"}, {"f"}),
        ("def f():\n    return g\nf()", {"g"}, {"f"}),
        ("def f():\n    global n\n    n = 1", set(), {"f", "n"}),
        ("class A(B):\n    x = y", {"B"}, {"A"}),
        ("import numpy as np\nnp.ones(n)", {"n"}, {"np"}),
        ("if (n := size()) > 1: n", {"size"}, {"n"}),
        ("try:\n    a\nexcept E as e:\n    e", {"a", "E"}, set()),
        ("match x:\n    case [a, *b]: c = a", {"x"}, {"a", "b", "c"}),
        ("await fetch(u)", {"fetch", "u"}, set()),
        ("%matplotlib inline\nx", {"x"}, set()),
        ("files = !ls\nfiles", set(), {"files"}),
        ("%%time\ny = x", {"x"}, {"y"}),
        ("f'{x}'", {"x"}, set()),
    ],
)
def test_what_a_cell_uses_and_defines(code, used, defined):
    names = names_of(code)
    assert (set(names.used), set(names.defined)) == (used, defined)


@pytest.mark.parametrize(
    "code",
    ["x = (", "%%bash\nls", "x\0y", "(" * 5_000, "x" + "[0]" * 40_000, "a = " + "-" * 90_000 + "1"],
)
def test_what_cannot_be_read_has_no_names(code):
    assert names_of(code) is None


def test_a_deleted_name_is_gone_and_an_import_is_no_data():
    assert names_of("del x").removed == {"x"}
    assert names_of("import a.b, c as d").imported == {"a", "d"}
    assert names_of("import a\na = 1").imported == set()


def test_attributes_and_short_texts_may_be_columns():
    assert {"ssn", "age", "city"} <= names_of("df['ssn'], df.age, f(city=1)").mentioned
