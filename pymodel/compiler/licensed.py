"""What an accelerator gives under a licence, for comparison with it."""

import numpy as np

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.licence import Licence
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import Error

__all__ = ["expected_ofmaps", "model_key", "shown"]


def expected_ofmaps(loadable: Loadable, config: Config, key: bytes, ifmaps: np.ndarray) -> np.ndarray:
    """The golden model's ofmaps int8 [n, height, width, channels], as they leave the accelerator. Under a licence, `key` is the
    device's.

    Raises:
        AcceleratorError: with BAD_LICENCE, if the licence is not for the holder of this key.
        DeeplockError: whatever interpreter.run raises.
    """
    return shown(loadable, config, interpreter.run(loadable, model_key(loadable, key), ifmaps, config))


def model_key(loadable: Loadable, key: bytes) -> bytes:
    """The key that unlocks the loadable: `key`, or under a licence what the holder of device key `key` finds in it.

    Raises AcceleratorError with BAD_LICENCE, if the licence is not for the holder of this key.
    """
    if not loadable.licence:
        return key
    found = _licence(loadable).model_key(key)
    if found is None:
        raise AcceleratorError(Error.BAD_LICENCE)
    return found


def shown(loadable: Loadable, config: Config, ofmaps: np.ndarray) -> np.ndarray:
    """Ofmaps int8 [n, height, width, channels] as they leave the accelerator, which may enforce a licence."""
    if not loadable.licence or not config.permissions:
        return ofmaps
    return _licence(loadable).terms.shown(ofmaps, np.arange(ofmaps[0].size).reshape(ofmaps.shape[1:]))


def _licence(loadable: Loadable) -> Licence:
    return Licence.parse(loadable.licence, loadable.suite, loadable.header.bytes_per_beat)
