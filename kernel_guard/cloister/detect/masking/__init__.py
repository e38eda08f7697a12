"""Masks: what stands in for a value, kind by kind.

A policy chooses a :class:`~cloister.core.masks.Mask` for a type of value; the modules here compute
it, as pure functions of the value, the mask and, where equal values must be moved equally, the
workspace's key. What each kind keeps:

=========== ====== ======== ============ ================ =================================
kind        type   nulls    order        equality         in place of the value
=========== ====== ======== ============ ================ =================================
redact      text   yes      no           no               ``[US_SSN]``
suppress    yes    all      no           no               nothing: a missing value
token       text   yes      no           exactly          ``US_SSN~k3f7x2abqd``
reversible  text   yes      no           exactly          ``US_SSN~~…``, undone by the broker
partial     text   yes      no           implied          ``[US_SSN …9871]``
prefix      text   yes      yes          implied          ``941…``
domain      text   yes      no           implied          ``@example.org``
network     text   yes      no           implied          ``203.0.113.x``
bands       text   yes      of the bands implied          ``30-39``
bounds      yes    yes      yes          implied          the number, at most ``high``
rounded     yes    yes      yes          implied          ``37.8``
noise       yes    yes      no           implied          the number, moved by at most ``amount``
period      yes    yes      yes          implied          the first day; of text, ``1954-05``
shift       yes    yes      in a subject in a subject     the date, moved by its subject's days
spans       text   yes      no           implied          prose without what is found in it
=========== ====== ======== ============ ================ =================================

"Equality implied" means that equal values stay equal, and unequal ones may become equal; "order"
means that it is never turned round, and ties may come. *No type is kept where a false value would
pass for a true one*: bands of numbers are text. Masking twice is masking once, but for noise and
shift, which move what was moved. ``spans`` needs what finds values in text, so it is computed in
:mod:`cloister.detect.mask`; here it masks a value whole.

A value that a kind cannot read (a word among the salaries) becomes the mark ``[SALARY]`` in text
and a missing value in a typed column: never itself.
"""
