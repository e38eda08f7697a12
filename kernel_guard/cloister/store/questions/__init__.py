"""Questions that the record answers: one module each, the same in SQLite and PostgreSQL.

A question takes a :class:`~cloister.store.questions.record.Record` and returns what JSON can hold.
None of them opens a payload. Whether the record is whole is another question, that of
:func:`cloister.store.lineage_verify.verify_home`; ask it first.
"""
