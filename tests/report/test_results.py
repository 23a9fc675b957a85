"""What README.md and the pages show, and say in words, are the figures of docs/results."""

import hashlib
import json
from itertools import product

import pytest

from deeplock.pymodel.attacks.catalogue import COLUMNS
from deeplock.pymodel.spec.memory import MemoryOptions
from deeplock.pymodel.zoo import trained
from deeplock.report import software_report
from deeplock.report.accuracy_report import accuracy_section, accuracy_summary
from deeplock.report.attack_report import security_tables
from deeplock.report.cycles_report import cycles_section, cycles_summary, suites_table
from deeplock.report.memory_report import memory_area, memory_section
from deeplock.report.results import put_between, put_software, put_table
from deeplock.report.security_summary import security_summary
from deeplock.report.synth_report import area_summary, area_tables, suites_area
from deeplock.report.tables import markdown
from tests.cli.test_main import ROOT

MARGIN_WITHOUT = 0.08
MARGIN_WITH = {"fashion-mnist": 0.04, "cifar10": 0.1}
"""Those of docs/security.md."""


GUESSES = {"gtsrb": (9 / 3000, 181 / 3000)}
"""Accuracies of guessing, unless all classes have equally many test images: always the rarest class, and the most frequent."""


def test_content_comes_between_its_marks():
    text = "a\n<!-- x: by hand -->\nstale\n<!-- /x -->\nb\n"
    assert put_between(text, "x", "new\n") == "a\n<!-- x: by hand -->\nnew\n<!-- /x -->\nb\n"
    with pytest.raises(ValueError, match="marks of y must be there once, not 0 times"):
        put_between(text, "y", "new\n")


@pytest.fixture
def result():
    """Reads a file of docs/results."""
    return lambda name: json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


@pytest.fixture
def page():
    """Reads a page of docs, by default README.md."""
    return lambda name="../README": (ROOT / "docs" / f"{name}.md").read_text()


def test_measured_shows_the_demo(result, page):
    assert put_table(page("measured"), result("demo")) == page("measured")


def test_the_readme_shows_the_figures_of_docs_results(result, page):
    sections = {
        "accuracy": accuracy_summary(result("accuracy")),
        "cycles": cycles_summary(result("cycles")),
        "area": area_summary(result("area")),
        "security": security_summary(result("security")),
    }
    assert all(put_between(page(), name, section) == page() for name, section in sections.items())


def test_the_pages_show_area_and_suites(result, page):
    assert all(put_between(page("fpga"), *section) == page("fpga") for section in area_tables(result("area")).items())
    suites = {name: markdown(suites_table(result(name)["rows"]), 2) for name in ("cycles", "cycles-batch")}
    suites["area"] = suites_area(result("area"))
    assert all(
        put_between(page("choosing-a-suite"), *section) == page("choosing-a-suite") for section in suites.items()
    )


def test_the_pages_show_the_software_baseline(result, page):
    software, cycles = result("software"), result("cycles")
    assert put_software(page("benchmarks"), software, cycles, result("area")) == page("benchmarks")
    headline = markdown(software_report.headline(software, cycles), 1)
    assert put_between(page("measured"), "software", headline) == page("measured")


def test_the_page_shows_memory_json_and_the_default_hides_40_cycles(result, page):
    memory = result("memory")
    assert put_between(page("into-your-design"), "memory", memory_section(memory)) == page("into-your-design")
    area = memory_area(result("memory-area"))
    assert put_between(page("into-your-design"), "memory-area", area) == page("into-your-design")
    wanted = {"network": "cifar10", "outstanding": MemoryOptions().outstanding, "latency": 40, "bytes_per_beat": 16}
    (row,) = (row for row in memory["rows"] if wanted.items() <= row.items())
    assert row["param_starved_cycles"] <= 0.01 * row["cycles"]
    assert not any(row["mismatches"] for row in memory["rows"])


def test_accuracy_json_is_of_the_trained_networks_and_the_page_shows_it(result, page):
    accuracies = result("accuracy")
    for name, entry in accuracies["networks"].items():
        record = trained.record(name)["accuracy"]
        assert entry["network_sha256"] == hashlib.sha256(trained.path_of(name).read_bytes()).hexdigest()
        assert entry["float"] == record["float"]
        assert entry["unlocked"] == entry["int8"] == record["int8"]
        lowest, highest = GUESSES.get(name, (0.085, 0.115))
        assert lowest <= entry["wrong_key_mean"] <= highest
        assert entry["wrong_keys"] >= 100 and entry["wrong_key_images"] >= 2000
    assert put_between(page("measured"), "accuracy", accuracy_section(accuracies)) == page("measured")


@pytest.mark.parametrize("name", ["cycles", "cycles-batch"])
def test_the_page_shows_cycles_json(result, page, name):
    assert put_between(page("measured"), name, cycles_section(result(name), name)) == page("measured")


def test_security_json_holds_what_the_page_says():
    """What docs/security.md states in words, and its tables, are those of the measured figures."""
    result = json.loads((ROOT / "docs" / "results" / "security.json").read_text())
    rows = [row for row in result["rows"] if "target" not in row]
    assert all(tuple(row) == COLUMNS for row in rows)
    figures = {
        (row.get("rtl", ""), row["target"], row["network"], row["attack"], row["metric"]): row["value"]
        for row in result["rows"]
        if "target" in row and row["scheme"] == "deep-lock"
    }
    recovered, beats = ("weights recovered", "key recovered"), ("output beats",)
    told = {"chosen-program": recovered, "malleability": recovered, "desync": recovered}
    told |= dict.fromkeys(("replay", "remanence", "failed-check", "endless", "provisioning"), beats)
    mended = {"desync", "remanence", "failed-check", "endless", "provisioning"}
    for network, attack in product(("digits", "mnist"), told):
        for metric in told[attack]:
            assert figures["before the mends", "rtl", network, attack, metric] > 0
            for target in ("golden", "rtl"):
                assert (figures["", target, network, attack, metric] == 0) == (attack in mended)
    sealed = [row for row in result["rows"] if "target" in row and row["scheme"] in ("acorn", "ascon", "tinyjambu")]
    assert {row["attack"] for row in sealed} == {*told, "tampering"}
    assert all(row["value"] == 0 for row in sealed)

    def values(**wanted: str) -> list[float]:
        return [row["value"] for row in rows if all(row[name] == value for name, value in wanted.items())]

    assert set(values(attack="known-plaintext")) == {1.0}
    whole = [row for row in rows if row["attack"] == "ciphertext-only" and row["budget"]["first"] == 256]
    assert [
        row["value"] for row in whole if row["metric"] == "share of keys recovered" and row["network"] == "mnist"
    ] == [1.0]
    assert max(values(attack="wrong-key", scheme="deep-lock", metric="accuracy, random keys, best")) < 0.15
    assert max(values(attack="genetic", scheme="deep-lock")) < 0.2
    for network in ("fashion-mnist", "cifar10"):
        for scheme in ("hpnn", "adv-params", "secure-net"):
            wanted = {"attack": "wrong-key", "network": network, "scheme": scheme}
            (row,) = [
                row for row in rows if row["metric"] == "accuracy without a key" and wanted.items() <= row.items()
            ]
            plain = next(
                other["yardstick"]
                for other in rows
                if other["metric"] == row["metric"] and (other["network"], other["scheme"]) == (network, "deep-lock")
            )
            assert row["value"] <= 0.1 + MARGIN_WITHOUT
            assert row["yardstick"] >= plain - MARGIN_WITH[network]
    page = (ROOT / "docs" / "security.md").read_text()
    assert all(f"-->\n{content}<!-- /{name} -->" in page for name, content in security_tables(result).items())
