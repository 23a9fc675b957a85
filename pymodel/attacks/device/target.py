"""What an attack on a device begins with, and what it is judged by.

Each attack's module has

    NEEDS    what the attacker must have, in one line
    run      (device, target, budget, seed, progress) -> results; the key is in the device. No text contains a key
    Budget   frozen dataclass: what it may spend
    BUDGET   the usual one
"""

from dataclasses import dataclass, field

import numpy as np

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.lock.sbox import invert
from deeplock.pymodel.lock.suite import Suite
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["WEIGHTS", "KEY", "BEATS", "DeviceTarget", "make_target"]

WEIGHTS = "weights recovered"
"""Metric: share (0..1) of the network's weights that the attacker knows exactly."""

KEY = "key recovered"
"""Metric: 1 if the attacker has the whole key, else 0."""

BEATS = "output beats"
"""Metric: ofmap beats with bytes that should not have left the device."""


@dataclass(frozen=True, eq=False)
class DeviceTarget:
    """A locked network and its owner.

    locked   what the attacker reads in the memory outside the chip
    config   of the device
    plain    parameters uint8 [n], only to judge the result
    key      the owner's, to provision the device and to judge the result
    """

    locked: Loadable
    config: Config
    plain: np.ndarray = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def suite(self) -> Suite:
        return suite(self.locked.suite)

    @property
    def stream(self) -> np.ndarray:
        """The locked parameters, uint8 [n], without a tag."""
        return np.frombuffer(self.locked.parameters, np.uint8)[: len(self.plain)]

    @property
    def tag(self) -> bytes:
        """Of the parameters; b"" if the suite does not seal."""
        return self.locked.parameters[len(self.plain) :]

    @property
    def opened(self) -> np.ndarray | None:
        """The locked parameters behind the inverse S-box, uint8 [n]: plain bytes XOR key bytes. None if there is no S-box."""
        sbox = self.suite.sbox
        return None if sbox is None else invert(sbox)[self.stream]

    def head(self, records: bytes) -> bytes:
        """Another header and program in place of the network's own; in a sealed loadable with its nonce and tag."""
        return self.locked.nonce + records + self.locked.head_tag

    def provision(self, device: Device) -> None:
        """The owner's part: put the key into the device."""
        device.zeroise()
        device.load_key(self.key)

    def ifmaps(self, count: int, seed: int) -> list[bytes]:
        """Random packets of the ifmap stream."""
        header = self.locked.header
        rng = np.random.default_rng([seed, 7])
        return [rng.bytes(header.ifmap_beats * header.rows) for _ in range(count)]


def make_target(network: Network, config: Config, seed: int) -> DeviceTarget:
    """The network, locked for the device of `config` with a random key of 16 bytes that the seed gives."""
    rng = np.random.default_rng([seed, 11])
    key = rng.bytes(16) if suite(config.suite).locks else b""
    plain = compile_network(network, config, rng)
    return DeviceTarget(plain.locked(config.suite, key), config, np.frombuffer(plain.parameters, np.uint8), key)
