"""The projection from the LLM's embeddings to initial item vectors."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from jobs.models.initial_vectors import Projection, fit_pca


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
    # its own spread counts n - 1, so few items lie a little closer
    assert projected.std() == pytest.approx(0.05 * np.sqrt((items - 1) / items), rel=0.01)


@pytest.mark.parametrize("items", [1, 2, 30])
def test_embeddings_without_any_variance_give_zeros_to_old_and_new_items(items):
    embeddings = np.tile(np.linspace(0.1, 0.7, 8, dtype=np.float32), (items, 1))
    projection = fit_pca(embeddings, 4, 0.05)
    new = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    assert (projection(embeddings) == 0).all()
    assert (projection(new) == 0).all()


def test_the_same_embeddings_give_the_same_bits():
    first, second = (fit_pca(correlated(100, 20), 8, 0.05) for _ in range(2))
    assert first.components.tobytes() == second.components.tobytes()


def test_a_projection_survives_as_named_arrays():
    embeddings = correlated(30, 6)
    projection = fit_pca(embeddings, 4, 0.05)
    again = Projection.from_state(projection.state())
    assert again(embeddings).tolist() == projection(embeddings).tolist()
