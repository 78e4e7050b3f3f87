"""Which generator fills: seeds that are used twice, and torch's generators."""

import inspect
import threading
import warnings

import numpy as np
import pytest
import torch
from cases import same

from fastinit import init, random
from fastinit.init import seeds
from fastinit.torch import fill_

SECOND = "seed 7 is used a second time, .*default_rng\\(7\\).fold_in\\(name\\)"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No seed has been used, and the warning is not ignored."""
    monkeypatch.setattr(seeds, "_used", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


CALLS = {
    "array": lambda seed: init.normal((3, 4), rng=seed),
    "another shape": lambda seed: init.xavier_uniform((5, 6), rng=seed),
    "several arguments": lambda seed: init.variance_scaling((5, 6), 2.0, rng=seed),
    "in place": lambda seed: init.normal_(np.empty(3), generator=seed),
    "torch": lambda seed: init.xavier_normal_(torch.empty(3, 4), generator=seed),
    "by name": lambda seed: init.get("orthogonal")((3, 4), rng=seed),
    "fill_": lambda seed: init.get("normal").fill_(np.empty(3), seed),
}


@pytest.mark.parametrize("second", CALLS)
@pytest.mark.parametrize("first", CALLS)
def test_the_second_use_of_a_seed_is_warned_of_once(first, second):
    CALLS[first](7)
    with pytest.warns(UserWarning, match=SECOND) as caught:
        CALLS[second](np.int64(7))
    assert caught[0].filename == __file__
    assert caught[0].lineno == inspect.getsourcelines(CALLS[second])[1]
    CALLS[first](7)
    CALLS[first](8)
    CALLS[second](8)


def test_one_seed_gives_correlated_layers_and_names_do_not():
    with pytest.warns(UserWarning, match=SECOND):
        one, other = init.normal((30, 100), rng=7), init.normal((60, 50), rng=7)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999999
    rng = random.default_rng(7)
    one, other = (init.normal((30, 100), rng=rng.fold_in(name)) for name in "ab")
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1


def test_what_gives_no_warning():
    rng = random.default_rng(7)
    for _ in range(3):
        init.normal(3, rng=rng)
        init.normal(3, rng=random.default_rng(7))
        init.normal(3, rng=rng.fold_in("weight"))
        init.normal((4, 3), rng=7, block=(slice(2),))  # pieces of one tensor
        init.zeros(3, rng=7)
        init.normal(3)
        init.normal_(torch.empty(3))
        init.get("normal").plan(3)
    for seed in range(100):
        init.normal(3, rng=seed)


def test_a_warning_that_is_an_error_changes_nothing():
    values = np.zeros(3)
    init.normal(3, rng=7)
    with pytest.raises(UserWarning, match=SECOND):
        init.normal_(values, generator=7)
    assert not values.any()


def test_threads_give_one_warning():
    barrier = threading.Barrier(8)

    def fill():
        barrier.wait()
        for seed in range(50):
            init.normal(3, rng=seed)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=fill) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert len(caught) == 1


def test_the_seeds_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(seeds, "_MOST_SEEDS", 10)
    for seed in range(100):
        init.normal(1, rng=seed)
    assert len(seeds._used) < 20


def torchs(seed):
    """The generator of a seed that torch draws, by its documented method."""
    torch.manual_seed(seed)
    return random.default_rng(int(torch.randint(0, 2**63 - 1, ())))


UNSEEDED = {
    "xavier_uniform_": lambda tensor, *given: init.xavier_uniform_(tensor, 1.0, *given),
    "orthogonal_": lambda tensor, *given: init.orthogonal_(tensor, 1.0, *given),
    "fill_": lambda tensor, *given: init.get("normal").fill_(tensor, *given),
    "torch.fill_": lambda tensor, *given: fill_(tensor, "normal", *(given or [None])),
}


@pytest.mark.parametrize("name", UNSEEDED)
def test_manual_seed_governs_tensors_of_torch(name):
    fill = UNSEEDED[name]
    expected = fill(torch.empty(3, 4), torchs(5))
    torch.manual_seed(5)
    first, second = fill(torch.empty(3, 4)), fill(torch.empty(3, 4))
    assert torch.equal(first, expected)
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    with torch.device("meta"):
        again = fill(torch.empty(3, 4, device="cpu"))
    assert torch.equal(again, first)


def test_a_generator_of_torch_is_taken_by_all_forms():
    def drawn():
        return torch.Generator().manual_seed(5)

    expected = init.normal((3, 4), rng=torchs(5))
    state = torch.get_rng_state()
    same(init.normal((3, 4), rng=drawn()), expected)
    same(init.normal_(np.empty((3, 4), np.float32), generator=drawn()), expected)
    same(init.normal_(torch.empty(3, 4), generator=drawn()).numpy(), expected)
    same(fill_(torch.empty(3, 4), "normal", drawn()).numpy(), expected)
    assert torch.equal(torch.get_rng_state(), state)
    generator = drawn()
    assert not np.array_equal(init.normal(3, rng=generator), init.normal(3, rng=generator))


def test_arrays_and_constants_draw_nothing_from_torch():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    init.normal(3)
    init.normal_(np.empty(3))
    init.zeros_(torch.empty(3))
    init.normal_(torch.empty(3), generator=7)
    with pytest.raises(ValueError, match="two axes"):
        init.xavier_normal_(torch.empty(3))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_refused_draws_nothing():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="expanded"):
        init.normal_(torch.zeros(1).expand(3))
    assert torch.equal(torch.get_rng_state(), state)
