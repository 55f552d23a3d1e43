from __future__ import annotations

import numpy as np
import pytest

from samplers._surrogate import GaussianProcess, Hyperparameters, _log_likelihood, fit, standardise


def sample(n: int = 60, genes: int = 4, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Values that depend on the first two genes alone."""
    rng = np.random.default_rng(0)
    x = rng.random((n, genes))
    return x, standardise(-((x[:, 0] - 0.3) ** 2) - 0.5 * x[:, 1] + noise * rng.standard_normal(n))


def test_gradient_of_the_likelihood_is_its_slope() -> None:
    x, y = sample()
    theta = Hyperparameters.prior(4).to_array() + np.array([0.3, -0.5, 0.2, 0.0, 0.4, -0.7])
    _, gradient = _log_likelihood(Hyperparameters.from_array(theta), x, y)
    for i, step in enumerate(np.eye(len(theta)) * 1e-5):
        above, _ = _log_likelihood(Hyperparameters.from_array(theta + step), x, y)
        below, _ = _log_likelihood(Hyperparameters.from_array(theta - step), x, y)
        assert gradient[i] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-4)


def test_posterior_mean_returns_measured_values_without_noise() -> None:
    x, y = sample()
    process = GaussianProcess(Hyperparameters(np.zeros(4), 0.0, -30.0), x, y)
    assert process.mean(x) == pytest.approx(y, abs=1e-3)


def test_posterior_far_from_all_measurements_is_the_prior() -> None:
    x, y = sample()
    mean, covariance = GaussianProcess(Hyperparameters(np.zeros(4), np.log(2.0), -3.0), x, y).posterior(
        np.full((1, 4), 99.0)
    )
    assert mean == pytest.approx([0.0])
    assert covariance == pytest.approx(np.array([[2.0]]))


def test_draws_have_the_posteriors_mean_and_covariance() -> None:
    x, y = sample(n=10)
    process = GaussianProcess(Hyperparameters.prior(4), x, y)
    points = np.random.default_rng(1).random((3, 4))
    normal = np.random.default_rng(2).standard_normal((4000, 3))
    draws = np.array([process.draw(points, row) for row in normal])
    mean, covariance = process.posterior(points)
    assert draws.mean(axis=0) == pytest.approx(mean, abs=0.05)  # standard error below 0.015
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.05)


def test_fit_finds_the_genes_that_matter() -> None:
    x, y = sample(noise=0.01)
    fitted = fit(Hyperparameters.prior(4), x, y, steps=40)
    assert max(fitted.length_scales[:2]) < min(fitted.length_scales[2:])


def test_fit_returns_its_start_where_every_step_is_worse() -> None:
    x, y = sample(noise=0.1)
    start = fit(Hyperparameters.prior(4), x, y, steps=60)
    again = fit(start, x, y, steps=1, rate=3.0)
    assert again.to_array().tolist() == start.to_array().tolist()


def test_hyperparameters_survive_as_an_array() -> None:
    theta = np.arange(6.0)
    assert Hyperparameters.from_array(theta).to_array().tolist() == theta.tolist()


def test_standardised_values_have_mean_zero_and_deviation_one() -> None:
    values = standardise(np.array([1.0, 2.0, 4.0, 3.0]))
    assert values.mean() == pytest.approx(0.0)
    assert values.std() == pytest.approx(1.0)


def test_one_crash_does_not_flatten_the_other_differences() -> None:
    calm = standardise(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    crashed = standardise(np.array([1.0, 2.0, 3.0, 4.0, -1e9]))
    assert np.ptp(crashed[:4]) > 0.3 * np.ptp(calm[:4])
    assert crashed[4] == crashed.min()


def test_equal_or_infinite_values_are_survived() -> None:
    assert standardise(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]
    assert standardise(np.array([-np.inf, np.inf])).tolist() == [0.0, 0.0]
    assert np.all(np.isfinite(standardise(np.array([1.0, np.inf, -np.inf, 2.0]))))
