"""diffprivlib's k-means, corrected where it publishes more than it accounts for."""

# ruff: noqa: N803 - X is what scikit-learn calls it

from __future__ import annotations

import math
from typing import Any


def published_k_means() -> Any:
    """Returns the corrected class; imported when it is needed, because scikit-learn is large."""
    from diffprivlib.models import KMeans as Published

    class EveryCluster(Published):  # type: ignore[misc]  # diffprivlib publishes no types
        """Adds noise to empty clusters too, and splits epsilon so that it adds up.

        As published, the center of an empty cluster stays exactly where it was, which tells whether
        anybody is in it.
        """

        def _update_centers(self, X: Any, centers: Any, labels: Any, dims: int, **rest: Any) -> Any:
            import numpy as np
            from diffprivlib.mechanisms import GeometricFolded, LaplaceBoundedDomain

            # The published code swaps the two, and so spends more than epsilon from 5 columns on.
            for_sum, for_count = self._split_epsilon(dims, rest["total_iters"])
            source = rest["random_state"]
            counts = GeometricFolded(
                epsilon=for_count, sensitivity=1, lower=0.5, upper=math.inf, random_state=source
            )
            for cluster in range(self.n_clusters):
                members = labels == cluster
                rows = counts.randomise(int(members.sum()))
                total = X[members].sum(axis=0)
                noisy = np.zeros(dims)
                for i in range(dims):
                    noisy[i] = LaplaceBoundedDomain(
                        epsilon=for_sum,
                        sensitivity=self.bounds[1][i] - self.bounds[0][i],
                        lower=rows * self.bounds[0][i],
                        upper=rows * self.bounds[1][i],
                        random_state=source,
                    ).randomise(float(total[i]))
                centers[cluster, :] = noisy / rows
            return centers

    return EveryCluster
