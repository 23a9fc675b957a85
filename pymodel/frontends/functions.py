"""Activation functions of one number, float64 to float64, of which files that are int8 already have tables made."""

from math import erf, pi, sqrt

import numpy as np

__all__ = ["elu", "gelu", "gelu_by_tanh", "hard_sigmoid", "hard_swish", "leaky_relu", "sigmoid"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(x / 2)) / 2  # 1 / (1 + exp(-x)), which overflows


def hard_sigmoid(x: np.ndarray, alpha: float = 1 / 6, beta: float = 0.5) -> np.ndarray:
    return np.clip(alpha * x + beta, 0, 1)


def hard_swish(x: np.ndarray) -> np.ndarray:
    return x * hard_sigmoid(x)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(erf)(x / sqrt(2))) / 2


def gelu_by_tanh(x: np.ndarray) -> np.ndarray:
    """GELU's approximation (arXiv 1606.08415, section 2)."""
    return x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2


def leaky_relu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x < 0, alpha * x, x)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)
