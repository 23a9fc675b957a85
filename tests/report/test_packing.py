"""The tables of docs/architecture.md that compare how windows may be read."""

from deeplock.pymodel.network.network_file import load_network
from deeplock.pymodel.zoo import trained
from deeplock.report.packing import NETWORKS, ifmap_table, packing_section, window_table
from deeplock.report.results import put_between
from tests.cli.test_main import ROOT

ALL = {name: load_network(trained.path_of(name)) for name in NETWORKS}


def test_the_page_shows_the_tables():
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert put_between(page, "packing", packing_section()) == page


def test_words_of_windows_counted_by_hand():
    """5x5 on 3 channels: 25 pixels; 75 bytes; 5 runs of 15. On one channel: 25 bytes; 5 runs of 5, or 2 of 15. 5x5 on 36
    channels: 25 pixels of 36; 900 bytes; 5 runs of 180."""
    figures = {tuple(row[:4]): list(row[4:]) for row in window_table(ALL).rows}
    assert figures["gtsrb", "conv1", "5x5", 3] == [25, 10, 10, 10, 25, 5, 5, 5]
    assert figures["mnist", "conv1", "5x5", 1] == [25, 4, 5, 4, 25, 2, 5, 2]
    assert figures["gtsrb", "block1.conv2", "5x5", 36] == [125, 113, 115, 115, 75, 57, 60, 60]
    assert ("cifar10", "conv2", "3x3", 32) not in figures, "all designs take the same"


def test_words_of_ifmaps_counted_by_hand():
    """32x32 windows of 75 bytes take 10 or 5 words each. Three rows stacked: 26 x 28 x 3 bytes; 32 x 34 x 9 with padding."""
    figures = {row[0]: list(row[1:]) for row in ifmap_table(ALL).rows}
    assert figures["gtsrb"] == [1024, 10240, 384, 384, 1024, 5120, 192, 192]
    assert figures["mnist"] == [784, 24 * 24 * 4, 98, 273, 784, 24 * 24 * 2, 49, 137]
    assert figures["cifar10"] == [1024, 4096, 384, 1224, 1024, 2048, 192, 612]
