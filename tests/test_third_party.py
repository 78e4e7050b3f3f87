"""SciPy, pandas and scikit-learn give the same results with our Generator in NumPy's place."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy import cluster, optimize, stats
from scipy.spatial.transform import Rotation
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import ShuffleSplit, cross_val_score, train_test_split
from sklearn.utils import resample

from fastinit import random

DATA = np.random.default_rng(1).normal(size=(200, 4))
LABELS = (DATA[:, 0] + DATA[:, 1] > 0).astype(int)
FRAME = pd.DataFrame(DATA, columns=list("abcd")).assign(group=np.arange(200) % 3)

SCIPY: dict[str, Callable] = {
    "norm.rvs": lambda rng: stats.norm.rvs(1, 2, size=5000, random_state=rng),
    "truncnorm.rvs": lambda rng: stats.truncnorm.rvs(-2, 1, size=500, random_state=rng),
    "poisson.rvs": lambda rng: stats.poisson.rvs([1, 50], size=(100, 2), random_state=rng),
    "skewnorm.rvs": lambda rng: stats.skewnorm.rvs(3, size=500, random_state=rng),
    "levy_stable.rvs": lambda rng: stats.levy_stable.rvs(1.5, 0.3, size=500, random_state=rng),
    "multivariate_normal.rvs": lambda rng: stats.multivariate_normal.rvs(
        [0, 1], [[2, 1], [1, 3]], 500, random_state=rng
    ),
    "multivariate_t.rvs": lambda rng: stats.multivariate_t.rvs([0, 1], size=500, random_state=rng),
    "dirichlet.rvs": lambda rng: stats.dirichlet.rvs([1.0, 0.05, 3.0], 500, random_state=rng),
    "multinomial.rvs": lambda rng: stats.multinomial.rvs(9, [0.3, 0.7], 500, random_state=rng),
    "wishart.rvs": lambda rng: stats.wishart.rvs(5, np.eye(3), 50, random_state=rng),
    "ortho_group.rvs": lambda rng: stats.ortho_group.rvs(5, random_state=rng),
    "gaussian_kde.resample": lambda rng: stats.gaussian_kde(DATA.T[:2]).resample(300, seed=rng),
    "permutation_test": lambda rng: (
        stats.permutation_test(
            (DATA[:, 0], DATA[:, 1]), _difference, n_resamples=300, vectorized=True, rng=rng
        ).null_distribution
    ),
    "bootstrap": lambda rng: (
        stats.bootstrap((DATA[:, 0],), np.mean, n_resamples=300, rng=rng).bootstrap_distribution
    ),
    "monte_carlo_test": lambda rng: (
        stats.monte_carlo_test(DATA[:, 0], rng.standard_normal, np.mean, n_resamples=300).null_distribution
    ),
    "qmc.Sobol": lambda rng: stats.qmc.Sobol(3, rng=rng).random(64),
    "qmc.LatinHypercube": lambda rng: stats.qmc.LatinHypercube(3, rng=rng).random(64),
    "sparse.random_array": lambda rng: scipy.sparse.random_array((40, 40), density=0.2, rng=rng).toarray(),
    "differential_evolution": lambda rng: (
        optimize.differential_evolution(optimize.rosen, [(-2, 2)] * 2, maxiter=5, rng=rng).x
    ),
    "dual_annealing": lambda rng: (
        optimize.dual_annealing(optimize.rosen, [(-2, 2)] * 2, maxiter=20, rng=rng).x
    ),
    "basinhopping": lambda rng: optimize.basinhopping(optimize.rosen, [1.5, -1], niter=5, rng=rng).x,
    "kmeans2": lambda rng: cluster.vq.kmeans2(DATA, 3, minit="++", rng=rng)[0],
    "Rotation.random": lambda rng: Rotation.random(20, rng=rng).as_quat(),
}
PANDAS: dict[str, Callable] = {
    "DataFrame.sample": lambda rng: FRAME.sample(50, random_state=rng),
    "sample(frac, replace)": lambda rng: FRAME.sample(frac=3.0, replace=True, random_state=rng),
    "sample(weights)": lambda rng: FRAME.sample(50, weights=np.arange(1.0, 201.0), random_state=rng),
    "Series.sample": lambda rng: FRAME["a"].sample(frac=1, random_state=rng),
    "groupby.sample": lambda rng: FRAME.groupby("group").sample(10, random_state=rng),
}
# scikit-learn takes a number or a RandomState, and no Generator.
SKLEARN: dict[str, Callable] = {
    "train_test_split": lambda state: train_test_split(DATA, LABELS, random_state=state),
    "stratified": lambda state: train_test_split(DATA, LABELS, stratify=LABELS, random_state=state),
    "ShuffleSplit": lambda state: [train for train, _ in ShuffleSplit(5, random_state=state).split(DATA)],
    "resample": lambda state: resample(DATA, n_samples=300, random_state=state),
    "KMeans": lambda state: KMeans(3, n_init=3, random_state=state).fit(DATA).cluster_centers_,
    "RandomForestClassifier": lambda state: (
        RandomForestClassifier(9, random_state=state).fit(DATA, LABELS).predict_proba(DATA)
    ),
    "SGDClassifier": lambda state: SGDClassifier(random_state=state).fit(DATA, LABELS).coef_,
    "PCA": lambda state: PCA(2, svd_solver="randomized", random_state=state).fit(DATA).components_,
    "cross_val_score": lambda state: cross_val_score(
        SGDClassifier(random_state=state), DATA, LABELS, cv=ShuffleSplit(3, random_state=state)
    ),
}
STATES = {
    "RandomState": lambda rng: np.random.RandomState(rng.bit_generator),
    "a number": lambda rng: int(rng.integers(1 << 32)),
}


def _difference(x, y, axis):
    return np.mean(x, axis) - np.mean(y, axis)


def same_with_either(function):
    mine, theirs = random.default_rng(7, normals="ziggurat"), np.random.default_rng(7)
    results = [function(rng) for rng in (mine, theirs)]
    if isinstance(results[0], (pd.DataFrame, pd.Series)):
        assert results[0].equals(results[1])
    else:
        parts = [each if isinstance(each, list) else [each] for each in results]
        for one, other in zip(*parts, strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert mine.bit_generator.state == theirs.bit_generator.state
    used = mine.bit_generator.state != random.PCG64(7).state
    assert used or mine.bit_generator.seed_seq.n_children_spawned


@pytest.mark.parametrize("what", SCIPY)
def test_scipy(what):
    same_with_either(SCIPY[what])


@pytest.mark.parametrize("what", PANDAS)
def test_pandas(what):
    same_with_either(PANDAS[what])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("what", SKLEARN)
def test_scikit_learn(what, state):
    same_with_either(lambda rng: SKLEARN[what](STATES[state](rng)))


def test_scikit_learn_refuses_either_generator():
    for rng in (random.default_rng(7), np.random.default_rng(7)):
        with pytest.raises(ValueError, match=r"must be an int in the range .* Got Generator\(PCG64\)"):
            train_test_split(DATA, random_state=rng)


def test_patched_scikit_learn_makes_its_own_generators():
    def fitted():
        booster = HistGradientBoostingClassifier(max_iter=9, max_features=0.5, random_state=7)
        return booster.fit(DATA, LABELS).predict_proba(DATA)

    expected, made = fitted(), []
    numpys = np.random.default_rng
    with random.patch():
        ours = np.random.default_rng
        np.random.default_rng = lambda seed=None: made.append(ours(seed)) or made[-1]
        assert fitted().tobytes() == expected.tobytes()
    assert np.random.default_rng is numpys
    assert {type(rng) for rng in made} == {random.Generator}
