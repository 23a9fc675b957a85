"""Every attack on devices by its name."""

from types import ModuleType

from deeplock.pymodel.attacks.device import (
    chosen_program,
    desync,
    endless,
    failed_check,
    malleability,
    provisioning,
    remanence,
    replay,
    tampering,
)

__all__ = ["ATTACKS"]

ATTACKS: dict[str, ModuleType] = {
    "chosen-program": chosen_program,
    "desync": desync,
    "malleability": malleability,
    "replay": replay,
    "remanence": remanence,
    "failed-check": failed_check,
    "provisioning": provisioning,
    "endless": endless,
    "tampering": tampering,
}
