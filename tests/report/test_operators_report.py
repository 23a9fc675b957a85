"""The tables of docs/bring-your-own-network.md name each operator that a reader takes, and no other."""

import pytest

from deeplock.pymodel.frontends import quantizer, rewrites
from deeplock.pymodel.frontends.limits import ONNX, PYTORCH, TFLITE
from deeplock.pymodel.frontends.onnx import module
from deeplock.pymodel.frontends.onnx import network as onnx
from deeplock.pymodel.frontends.tflite import network as tflite
from deeplock.pymodel.frontends.tflite import operators as tflite_operators
from deeplock.pymodel.network import operators
from deeplock.report.operators_report import operator_sections
from deeplock.report.results import put_between
from tests.cli.test_main import ROOT


@pytest.mark.parametrize("name", operator_sections())
def test_the_page_shows_the_tables(name):
    page = (ROOT / "docs" / "bring-your-own-network.md").read_text()
    assert put_between(page, name, operator_sections()[name]) == page


def test_pytorchs_operators_are_those_that_the_quantiser_annotates_and_a_rewrite_replaces():
    read = (
        quantizer.LAYERS | quantizer.CLAMPS | quantizer.NORMS | quantizer.PADS | quantizer.RESHAPES | quantizer.DROPOUTS
    )
    found = {target.overloadpacket.__name__.rstrip("_") for target in (*read, *rewrites.SPLITS, *rewrites.MAXIMA)}
    assert {name for names in PYTORCH for name in names} == found


def test_tflites_operators_are_those_of_its_reader():
    found = {*tflite_operators.READERS, *tflite_operators.CLAMPS, *tflite_operators.RESHAPES, "PAD", *tflite.LAST}
    assert {name for names in TFLITE for name in names} == found


def test_onnxs_operators_are_those_of_its_readers():
    names = {name for names in ONNX for name in names}
    assert names == {*onnx.SUPPORTED} - {"QuantizeLinear", "DequantizeLinear"}
    assert names - {"Softmax"} == {*module.SUPPORTED} - {"BatchNormalization"}


def test_every_operator_says_how_it_runs():
    assert all(len(operators.operator(name).mapping) > 10 for name in operators.names())
