"""What an accelerator gives under a licence, for comparison with it."""

import numpy as np

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.licence import Licence
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import Error

__all__ = ["expected_ofmaps"]


def expected_ofmaps(loadable: Loadable, config: Config, key: bytes, ifmaps: np.ndarray) -> np.ndarray:
    """The golden model's ofmaps int8 [n, height, width, channels], as they leave the accelerator. Under a licence, `key` is the
    device's.

    Raises:
        AcceleratorError: with BAD_LICENCE, if the licence is not for the holder of this key.
        DeeplockError: whatever interpreter.run raises.
    """
    if not loadable.licence:
        return interpreter.run(loadable, key, ifmaps, config)
    licence = Licence.parse(loadable.licence, loadable.suite, config.bytes_per_beat)
    model_key = licence.model_key(key)
    if model_key is None:
        raise AcceleratorError(Error.BAD_LICENCE)
    whole = interpreter.run(loadable, model_key, ifmaps, config)
    if not config.permissions:
        return whole
    return licence.terms.shown(whole, np.arange(whole[0].size).reshape(whole.shape[1:]))
