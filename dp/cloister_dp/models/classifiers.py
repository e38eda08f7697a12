"""Private models that predict one of public classes."""

# ruff: noqa: N803 - X is what scikit-learn's users call it

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from cloister_dp.errors import DataUnsuitable, PrivacyParameterInvalid, PublicInputMissing
from cloister_dp.models.base import PrivateModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from cloister_dp.models.features import Bounds


class _Classifier(PrivateModel):
    """A model that predicts one of public classes; ``classes`` is required."""

    def __init__(
        self,
        *,
        epsilon: float,
        bounds: Bounds | None = None,
        classes: Sequence[Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(epsilon=epsilon, bounds=bounds, **options)
        if classes is None:
            raise PublicInputMissing(
                "classes are needed: read off the data they would publish that a rare one exists.",
                remedy="Pass classes=[...] from the codebook, for instance classes=[0, 1].",
            )
        self.classes = tuple(classes)
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise PrivacyParameterInvalid(
                "classes are two or more different values.", remedy="For instance [0, 1]."
            )

    def fit(
        self, X: Any, y: Any, *, dataset: str | None = None, idempotency_key: str | None = None
    ) -> Self:
        """Fits the model and charges the dataset's budget.

        Args:
            X: A pandas frame of numeric columns, or an array ``[rows, columns]``.
            y: Labels, one for each row.
            dataset: Whose budget; what the guard noted on ``X`` when left out.
            idempotency_key: A name for this one fit, so that it cannot be charged twice.

        Raises:
            BudgetExceeded: The budget does not cover ``epsilon``; nothing was read.
            BrokerUnavailable: This is not a guarded kernel.
            CloisterError: Something else that is refused, with a remedy.
        """
        if not hasattr(y, "__len__") or len(y) != len(X):
            raise DataUnsuitable("There is one label for each row.", remedy="Check y.")
        return self._fit(X, y, dataset, idempotency_key)

    def predict(self, X: Any) -> np.ndarray:
        """Returns a class for each row."""
        import numpy as np

        inputs = self._inputs(X)
        predicted: np.ndarray = np.asarray(self.classes)[self.estimator.predict(inputs).astype(int)]
        return predicted

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities, ``[rows, classes]`` in the order of ``classes``."""
        inputs = self._inputs(X)
        probabilities: np.ndarray = self.estimator.predict_proba(inputs)
        return probabilities

    def _fit_estimator(self, estimator: Any, rows: np.ndarray, labels: Any) -> None:
        import numpy as np
        import pandas as pd

        found = pd.Index(list(self.classes)).get_indexer(pd.Index(np.asarray(labels)))
        rows = np.where((found < 0)[:, None], 0.0, rows)
        every = np.arange(len(self.classes))
        rows = np.concatenate([rows, np.zeros((len(every), rows.shape[1]))])
        estimator.fit(rows, np.concatenate([found.clip(min=0), every]))


class LogisticRegression(_Classifier):
    """Logistic regression by objective perturbation (Chaudhuri et al. 2011, JMLR 12).

    Options: ``C``, ``tol``, ``max_iter``, ``fit_intercept``. The proof supposes that the solver
    reaches the minimum. ``coef_`` and ``intercept_`` belong to features on [-1, 1].
    """

    _options = ("C", "tol", "max_iter", "fit_intercept")

    def _make(self, width: int) -> Any:
        from diffprivlib.accountant import BudgetAccountant
        from diffprivlib.models import LogisticRegression as Published

        return Published(
            epsilon=self.epsilon,
            data_norm=math.sqrt(width),  # the longest row of features on [-1, 1]
            accountant=BudgetAccountant(),
            **{"max_iter": 1000, **self.options},
        )

    @property
    def coef_(self) -> np.ndarray:
        """Coefficients for features on [-1, 1]."""
        coefficients: np.ndarray = self.estimator.coef_
        return coefficients

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts for features on [-1, 1]."""
        intercepts: np.ndarray = self.estimator.intercept_
        return intercepts


class GaussianNB(_Classifier):
    """Naive Bayes with normal features (Vaidya et al. 2013).

    Options: ``priors``, ``var_smoothing``.
    """

    _options = ("priors", "var_smoothing")

    def _make(self, width: int) -> Any:
        from diffprivlib.accountant import BudgetAccountant
        from diffprivlib.models import GaussianNB as Published

        return Published(
            epsilon=self.epsilon / 2,
            bounds=([-1.0] * width, [1.0] * width),
            accountant=BudgetAccountant(),
            **self.options,
        )
