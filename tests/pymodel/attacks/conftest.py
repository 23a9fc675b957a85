from tests.pymodel.lab_fixtures import target

__all__ = ["target"]
