from tests.training.conftest import product, trained  # noqa: F401 - fixtures
