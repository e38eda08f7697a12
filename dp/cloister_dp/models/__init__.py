"""Private scikit-learn models: diffprivlib's, with its known traps closed.

What is done around each fit, and why:

- Epsilon is reserved, and its use noted durably, before data is read. A fit is charged once.
- Features are clipped into public bounds and put on [-1, 1], each row by itself; missing values
  become the middle. diffprivlib takes the width of the bounds as sensitivity, which covers what a
  row can do only when zero lies between them.
- Classes are public. diffprivlib reads them from the data without a word, so one made-up row of
  each class is added, and a label that is none of them counts as an average row of the first.
- A ``PrivacyLeakWarning`` is an error, seeds are refused, and attributes that diffprivlib keeps
  without noise are removed.

Privacy:
    Pure epsilon-differential privacy. Neighbouring relation: replace one row, so the number of rows
    is public. GaussianNB and KMeans are fitted with half of epsilon, because a replaced row leaves
    one class or cluster and enters another. Noise is drawn in floating point, whose low bits may
    give a value away to somebody who sees many outputs (diffprivlib issue 94); for statistics use
    ``cloister_dp.count`` and its siblings, which do not have that flaw.
"""

from __future__ import annotations

from cloister_dp.models.classifiers import GaussianNB, LogisticRegression
from cloister_dp.models.linear import LinearRegression
from cloister_dp.models.unsupervised import PCA, KMeans, StandardScaler

__all__ = [
    "PCA",
    "GaussianNB",
    "KMeans",
    "LinearRegression",
    "LogisticRegression",
    "StandardScaler",
]
