"""Reductions of the LLM's embeddings, and the projection that each fitted reduction is stored as."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from jobs.core.catalog import Catalog
from jobs.errors import UnusableParametersError
from jobs.models.projection import REDUCTION_NAMES, Projection, fit_projection
from jobs.models.reductions import REDUCTIONS, LinearAutoencoder


def test_every_reduction_that_may_be_chosen_can_be_made():
    assert set(REDUCTION_NAMES) == set(REDUCTIONS)


every_reduction = pytest.mark.parametrize("reduction", sorted(REDUCTIONS))


def catalog(embeddings, categories=None):
    count = len(embeddings)
    if categories is None:
        categories = ["even" if place % 2 else "odd" for place in range(count)]
    item_ids = np.array([f"{place:05}" for place in range(count)], np.object_)
    return Catalog(item_ids, embeddings, np.ones(count, np.bool_), categories=np.array(categories, np.object_))


def fit(embeddings, reduction, width, *, categories=None, **options):
    return fit_projection(catalog(embeddings, categories), reduction, width, **options)


def fit_pca(embeddings, width, standard_deviation):
    return fit(embeddings, "pca", width, output_standard_deviation=standard_deviation)


def correlated(items, dimensions, seed=0):
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((dimensions, dimensions)) * np.linspace(2, 0.1, dimensions)
    return (generator.standard_normal((items, dimensions)) @ mixing + 3).astype(np.float32)


@pytest.mark.parametrize("width", [4, 12])
@pytest.mark.parametrize("standard_deviation", [0.05, 1.0])
def test_projected_entries_have_the_wanted_spread(width, standard_deviation):
    embeddings = correlated(500, 12)
    projected = fit_pca(embeddings, width, standard_deviation)(embeddings)
    assert projected.shape == (500, width)
    assert projected.dtype == np.float32
    assert projected.std() == pytest.approx(standard_deviation, rel=0.01)
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-4 * standard_deviation)


def test_vectors_are_the_principal_components_up_to_one_scale_and_signs():
    embeddings = correlated(300, 10)
    wanted = PCA(n_components=4, svd_solver="full").fit_transform(embeddings.astype(np.float64))
    found = fit_pca(embeddings, 4, 0.05)(embeddings)
    ratio = found / wanted
    scale = np.median(np.abs(ratio))
    signs = np.sign(np.median(ratio, axis=0))
    np.testing.assert_allclose(found, wanted * scale * signs, atol=1e-4 * 0.05 + 1e-5)


def test_distances_are_kept_up_to_scale_where_no_component_is_dropped():
    embeddings = correlated(50, 6)
    found = fit_pca(embeddings, 6, 0.05)(embeddings)
    before = np.linalg.norm(embeddings[0] - embeddings[1:], axis=1)
    after = np.linalg.norm(found[0] - found[1:], axis=1)
    np.testing.assert_allclose(after / before, (after / before).mean(), rtol=1e-3)


@pytest.mark.parametrize(("items", "dimensions"), [(5, 40), (40, 5), (2, 3)])
def test_with_fewer_components_than_wanted_the_rest_of_a_vector_is_zero(items, dimensions):
    embeddings = correlated(items, dimensions)
    projected = fit_pca(embeddings, 16, 0.05)(embeddings)
    assert projected.shape == (items, 16)
    assert np.isfinite(projected).all()
    assert (projected[:, min(items, dimensions) :] == 0).all()
    # the reduction's scale divides by n - 1 items, so the root mean square over n items is a little smaller
    assert projected.std() == pytest.approx(0.05 * np.sqrt((items - 1) / items), rel=0.01)


@every_reduction
@pytest.mark.parametrize("items", [1, 2, 30])
def test_embeddings_without_any_variance_give_zeros_to_old_and_new_items(items, reduction):
    embeddings = np.tile(np.linspace(0.1, 0.7, 8, dtype=np.float32), (items, 1))
    projection = fit(embeddings, reduction, 4)
    new = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    assert (projection(embeddings) == 0).all()
    assert (projection(new) == 0).all()


@every_reduction
@pytest.mark.parametrize(("items", "dimensions"), [(9, 40), (200, 6), (3, 3)])
def test_every_reduction_is_finite_of_the_wanted_size_and_spread(reduction, items, dimensions):
    embeddings = correlated(items, dimensions)
    projected = fit(embeddings, reduction, 16, output_standard_deviation=0.05)(embeddings)
    assert projected.shape == (items, 16)
    assert projected.dtype == np.float32
    assert np.isfinite(projected).all()
    found = 1 if reduction == "lda" else min(items - 1, dimensions)
    assert projected.any(axis=0).tolist() == [True] * found + [False] * (16 - found)
    assert np.sqrt(np.square(projected).mean()) == pytest.approx(0.05 * np.sqrt((items - 1) / items), rel=0.01)


@every_reduction
def test_the_same_embeddings_give_the_same_bits(reduction):
    first, second = (fit(correlated(100, 20), reduction, 8, seed=3) for _ in range(2))
    assert first.components.tobytes() == second.components.tobytes()


@pytest.mark.parametrize("reduction", ["random", "autoencoder"])
def test_another_seed_gives_another_random_reduction(reduction):
    first, second = (fit(correlated(100, 20), reduction, 8, seed=seed).components for seed in (3, 4))
    assert np.abs(first - second).max() > 0.1 * first.std()


@every_reduction
def test_items_without_an_embedding_change_nothing(reduction):
    embeddings, categories = correlated(60, 8), [*"ab"] * 30
    padded = np.zeros((63, 8), np.float32)
    padded[[0, *range(2, 31), *range(32, 62)]] = embeddings
    there = [categories[0], "c", *categories[1:30], "a", *categories[30:], "d"]
    wanted = fit(embeddings, reduction, 4, categories=categories)
    found = fit(padded, reduction, 4, categories=there)
    assert found.components.tobytes() == wanted.components.tobytes()
    assert fit(padded[:0], reduction, 4) is None
    assert fit(padded[[1]], reduction, 4) is None


@every_reduction
def test_a_map_is_affine_so_a_new_item_between_two_gets_a_vector_between_theirs(reduction):
    embeddings = correlated(300, 12)
    projection = fit(embeddings, reduction, 5)
    middle = (embeddings[0] + embeddings[1]) / 2
    np.testing.assert_allclose(
        projection(middle[None])[0], projection(embeddings[:2]).mean(axis=0), rtol=1e-3, atol=1e-4
    )


@every_reduction
@pytest.mark.parametrize("factor", [0.01, 100])
def test_the_scale_of_embeddings_does_not_matter(reduction, factor):
    embeddings = correlated(300, 12)
    embeddings -= embeddings.mean(axis=0)  # otherwise rounding differs more, which LDA and the autoencoder magnify
    wanted = fit(embeddings, reduction, 5)(embeddings)
    found = fit(factor * embeddings, reduction, 5)(factor * embeddings)
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_whitened_entries_are_uncorrelated_and_of_one_spread():
    embeddings = correlated(500, 12)
    covariance = np.cov(fit(embeddings, "whitening", 9)(embeddings).T)
    np.testing.assert_allclose(covariance, np.eye(9), atol=1e-3)
    assert np.abs(np.cov(fit(embeddings, "pca", 9)(embeddings).T) - np.eye(9)).max() > 0.5


@pytest.mark.parametrize("width", [4, 16])
def test_shrinkage_leads_from_whitening_to_pca(width):
    embeddings = correlated(300, 12)
    whitened, principal = (fit(embeddings, reduction, width)(embeddings) for reduction in ("whitening", "pca"))
    none, some, huge = (
        fit(embeddings, "shrinkage", width, shrinkage=shrinkage)(embeddings) for shrinkage in (0, 0.04, 1e6)
    )
    np.testing.assert_allclose(none, whitened, atol=1e-4)
    np.testing.assert_allclose(huge, principal, atol=1e-4)
    steep, less, flat = (spread.std(axis=0)[0] / spread.std(axis=0)[3] for spread in (principal, some, none))
    assert steep > less > flat


def test_shrinkage_is_the_published_formula_of_singular_values():
    embeddings = correlated(200, 6)
    centred = (embeddings - embeddings.mean(axis=0)).astype(np.float64)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    published = 0.3 * np.square(centred).sum()  # the paper's λ is not relative to the rows' lengths
    wanted = left * np.sqrt(singular**2 / (singular**2 + published))
    found = fit(embeddings, "shrinkage", 6, shrinkage=0.3)(embeddings)
    ratios = np.linalg.norm(found, axis=0) / np.linalg.norm(wanted, axis=0)
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
    np.testing.assert_allclose(np.abs(found / ratios[0]), np.abs(wanted), atol=1e-4)


@pytest.mark.parametrize("reduction", ["whitening", "shrinkage"])
def test_rounding_errors_are_never_scaled_up_to_a_component(reduction):
    embeddings = correlated(300, 12)
    embeddings[:, 6:] = embeddings[:, :6] * 2 + 1  # only six independent directions, up to the rounding of float32
    projected = fit(embeddings, reduction, 12, shrinkage=0)(embeddings)
    assert projected.any(axis=0).sum() == 6


def clusters(count, seed=0):
    """Three categories whose centres differ along the axis of least variance."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    embeddings = generator.standard_normal((count, 6)) * [3, 3, 3, 3, 3, 0.1]
    embeddings[:, 5] += labels
    return embeddings.astype(np.float32), labels


def test_lda_separates_categories_also_for_new_items():
    embeddings, labels = clusters(300)
    projection = fit(embeddings, "lda", 4, categories=[*np.array(["x", "y", "z"])[labels]])
    new, new_labels = clusters(100, seed=1)
    first = projection(new)[:, 0]
    centres = np.array([first[new_labels == label].mean() for label in range(3)])
    assert (np.abs(first[:, None] - centres).argmin(axis=1) == new_labels).mean() > 0.98
    assert not projection(new)[:, 2:].any(), "three categories have two discriminants"


def test_lda_does_not_treat_a_missing_category_as_a_category():
    embeddings, labels = clusters(300)
    categories = np.array(["x", "y", "z"], np.object_)[labels]
    without = np.arange(300) % 5 == 0
    far = embeddings.copy()
    far[without] += 50
    found = fit(far, "lda", 4, categories=np.where(without, "", categories)).components
    wanted = fit(embeddings[~without], "lda", 4, categories=categories[~without]).components
    cosine = (found[:, 0] @ wanted[:, 0]) / np.linalg.norm(found[:, 0]) / np.linalg.norm(wanted[:, 0])
    assert abs(cosine) > 0.999


@pytest.mark.parametrize("categories", [[], [""] * 6, ["a"] * 6, ["a"] * 5 + [""], [*"abcdef"]])
def test_lda_is_refused_with_too_few_categories(categories):
    with pytest.raises(UnusableParametersError, match="at least two categories"):
        fit(correlated(6, 4), "lda", 2, categories=categories)


def test_a_fully_trained_autoencoder_keeps_as_much_variance_as_pca():
    embeddings = correlated(3000, 24)
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0)

    def lost(codes):
        residual = centred - codes @ np.linalg.lstsq(codes, centred, rcond=None)[0]
        return np.square(residual).sum() / np.square(centred).sum()

    least = lost(PCA(6).fit_transform(centred))
    few, many = (lost(LinearAutoencoder(6, epochs).fit_transform(centred)) for epochs in (3, 400))
    assert many < 1.05 * least
    assert few > 1.2 * least


def test_a_fit_of_the_autoencoder_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(correlated(30, 6), "autoencoder", 2)
    assert torch.rand(3).tolist() == wanted.tolist()


@every_reduction
def test_a_projection_survives_as_named_arrays(reduction):
    embeddings = correlated(30, 6)
    projection = fit(embeddings, reduction, 4)
    again = Projection.from_state(projection.state())
    assert again(embeddings).tolist() == projection(embeddings).tolist()
    assert Projection.from_state({}) is None
