from tests.pymodel.lab_fixtures import one_thread, target

__all__ = ["one_thread", "target"]
