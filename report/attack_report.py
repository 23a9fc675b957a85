"""Tables and pictures of security.json, which report/results.py puts into docs/security.md."""

from typing import Any

from deeplock.bench.attacks import on_device
from deeplock.report.palette import BLACK, BLUE, LIGHT_BLUE, ORANGE, PURPLE, TEAL, png
from deeplock.report.security_summary import recovery_text
from deeplock.report.tables import Table, markdown, percent

__all__ = ["attack_table", "device_table", "security_figures", "security_tables"]

Rows = list[dict[str, Any]]

_NETWORKS = ("mnist", "fashion-mnist", "cifar10")
_SCHEMES = ("deep-lock", "hpnn", "adv-params", "secure-net")
_PAPERS = {
    ("adv-params", "fashion-mnist"): "drop 80.65",
    ("adv-params", "cifar10"): "drop 81.16",
}
_SHOWN = ("share", "learning_rate", "reset")
"""Fields of a budget that a line of the table shows."""

_ACCURACIES = {
    "right key": ("wrong-key", "accuracy without a key", "yardstick"),
    "no key": ("wrong-key", "accuracy without a key", "value"),
    "random keys": ("wrong-key", "accuracy, random keys, mean", "value"),
    "nearest key": ("wrong-key", "accuracy, nearest key", "value"),
    "pruning": ("pruning", "accuracy, best share", "value"),
    "genetic": ("genetic", "accuracy, fittest key", "value"),
}


def attack_table(rows: Rows) -> Table:
    """A line for each row of security.json: what `deeplock attack` prints."""

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g}"

    def budget(row: dict[str, Any]) -> str:
        given = (f"{name} {row['budget'][name]}" for name in _SHOWN if name in row["budget"])
        return ", ".join(given).replace("_", " ") or "-"

    return Table(
        ["network", "scheme", "attack", "budget", "figure", "value", "yardstick"],
        [
            [
                *(row[name] for name in ("network", "scheme", "attack")),
                budget(row),
                row["metric"],
                figure(row["value"]),
                figure(row["yardstick"]),
            ]
            for row in rows
        ],
    )


def _device_value(row: dict[str, Any]) -> str:
    if "recovered" in row["metric"]:
        return percent(row["value"]) if row["metric"].startswith("weights") else "yes" if row["value"] else "no"
    return f"{row['value']:g}" + (f" of {row['yardstick']:g}" if row["yardstick"] else "")


def device_table(rows: Rows) -> Table:
    """A line for each row of the attacks on devices: what `deeplock attack device` prints."""
    return Table(
        ["network", "suite", "attack", "target", "figure", "value", "inferences"],
        [
            [
                *(row[name] for name in ("network", "scheme", "attack", "target", "metric")),
                _device_value(row),
                "-" if row["inferences"] is None else str(row["inferences"]),
            ]
            for row in rows
        ],
    )


def _devices(rows: Rows) -> str:
    """A line for each figure of each attack, a column for each suite, and for older RTL. Behind a slash: inferences. Where
    golden device and RTL do not say the same, both."""
    columns = {(row["scheme"], row.get("rtl", "")): None for row in rows}
    order = sorted(columns, key=lambda column: (column[0] != "deep-lock", column[0], not column[1]))
    cells: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, str]]] = {}
    for row in rows:
        text = _device_value(row) + (f" / {row['inferences']}" if row["inferences"] is not None else "")
        line = cells.setdefault((row["network"], row["attack"], row["metric"]), {})
        line.setdefault((row["scheme"], row.get("rtl", "")), {})[row["target"]] = text

    def cell(said: dict[str, str]) -> str:
        texts = [text if len(set(said.values())) == 1 else f"{target} {text}" for target, text in said.items()]
        return ", ".join(dict.fromkeys(texts)) or "-"

    head = [f"{suite}, {rtl}" if rtl else suite for suite, rtl in order]
    lines = [[*names, *(cell(line.get(column, {})) for column in order)] for names, line in cells.items()]
    return markdown(Table(["network", "attack", "figure", *head], lines), 3)


def _networks(rows: Rows) -> list[str]:
    there = {row["network"] for row in rows}
    return [name for name in (*_NETWORKS, "digits") if name in there]


def _mean(rows: Rows, column: str = "value", **wanted: object) -> float | None:
    """Mean over the seeds of the rows that match; with several budgets, the highest of their means."""
    by_budget: dict[str, list[float]] = {}
    for row in rows:
        if all(row[name] == value for name, value in wanted.items()) and row[column] is not None:
            by_budget.setdefault(str(row["budget"]), []).append(row[column])
    return max((sum(found) / len(found) for found in by_budget.values()), default=None)


def _share(value: float | None) -> str:
    return "-" if value is None else percent(value)


def _best_tuned(rows: Rows, share: float, **wanted: object) -> float | None:
    """The best accuracy by fine-tuning on that share, at any learning rate, reset or not."""
    found = [
        row["value"]
        for row in rows
        if row["attack"] == "fine-tuning"
        and row["budget"]["share"] == share
        and all(row[name] == value for name, value in wanted.items())
    ]
    return max(found, default=None)


def _shares(rows: Rows) -> list[float]:
    return sorted({row["budget"]["share"] for row in rows if row["attack"] == "fine-tuning"})


def _overview(rows: Rows) -> str:
    shares, lines = _shares(rows), []
    for network in _networks(rows):
        for scheme in (*_SCHEMES, "scratch"):
            cells = [
                _share(_mean(rows, column, network=network, scheme=scheme, attack=attack, metric=metric))
                for attack, metric, column in _ACCURACIES.values()
            ]
            tuned = [_share(_best_tuned(rows, share, network=network, scheme=scheme)) for share in shares]
            lines.append([network, "*from scratch*" if scheme == "scratch" else scheme, *cells, *tuned])
    return markdown(Table(["network", "scheme", *_ACCURACIES, *(f"tuned, {share:.0%}" for share in shares)], lines), 2)


def _headlines(rows: Rows) -> str:
    lines = []
    for network in _networks(rows):
        for scheme in _SCHEMES:
            wanted = {"network": network, "scheme": scheme, "attack": "wrong-key", "metric": "accuracy without a key"}
            right, without = _mean(rows, "yardstick", **wanted), _mean(rows, **wanted)
            plain = _mean(rows, "yardstick", **{**wanted, "scheme": "deep-lock"})
            if right is None or without is None or plain is None:
                continue
            paper = _PAPERS.get((scheme, network), "-")
            cost = f"{100 * (plain - right):.2f}"
            lines.append(
                [network, scheme, _share(right), cost, _share(without), f"{100 * (right - without):.2f}", paper]
            )
    return markdown(
        Table(["network", "scheme", "with key", "cost of the scheme", "without key", "drop", "paper"], lines), 2
    )


def _recoveries(rows: Rows) -> str:
    lines = []
    for row in rows:
        if row["attack"] in ("known-plaintext", "flat-table"):
            keys = row["budget"]["keys"]
            lines.append(
                [row["network"], row["metric"].removeprefix("share of "), f"{row['value'] * keys:.0f} of {keys}", "-"]
            )
        elif row["attack"] == "ciphertext-only" and row["metric"] == "share of keys recovered":
            budget, keys = row["budget"], row["budget"]["keys"]
            same = {"network": row["network"], "attack": "ciphertext-only", "budget": budget}
            seconds = _mean(rows, metric="core seconds a key", **same)
            given = "" if budget["first"] == 256 else f", {8 - (budget['first']).bit_length() + 1} bits a strand given"
            what = f"AES-128 keys from {budget['bytes']} locked bytes alone{given}"
            lines.append([row["network"], what, f"{row['value'] * keys:.0f} of {keys}", f"{seconds:.1f}"])
    return markdown(Table(["network", "attack", "recovered", "core seconds a key"], lines), 2)


def _sboxes(rows: Rows) -> str:
    metrics = ("non-linearity", "accuracy, random keys, mean", "key bits that linear algebra finds")
    lines = []
    for network in _networks([row for row in rows if row["attack"] == "weak-sbox"]):
        for name in ("aes", "affine", "identity"):
            cells = [
                _mean(rows, attack="weak-sbox", network=network, metric=f"{metric} ({name})") for metric in metrics
            ]
            if None not in cells:
                lines.append([network, name, f"{cells[0]:.0f}", _share(cells[1]), f"{cells[2]:.0f} of 128"])
    return markdown(Table(["network", "S-box", *metrics], lines), 2)


def _rates(rows: Rows) -> str:
    tuned = [row for row in rows if row["attack"] == "fine-tuning"]
    budgets = sorted(
        {(b["share"], b["epochs"], b["learning_rate"]) for b in (row["budget"] for row in tuned)}, reverse=True
    )
    lines = []
    for network in _networks(tuned):
        for scheme, reset in (*((name, False) for name in _SCHEMES), ("deep-lock", True), ("scratch", False)):
            cells = [
                _share(
                    next(
                        (
                            row["value"]
                            for row in tuned
                            if (row["network"], row["scheme"], row["budget"]["reset"]) == (network, scheme, reset)
                            and tuple(row["budget"][name] for name in ("share", "epochs", "learning_rate")) == budget
                        ),
                        None,
                    )
                )
                for budget in budgets
            ]
            lines.append([network, f"{scheme}, reset" if reset else scheme, *cells])
    heads = [f"{share:.0%}, {epochs} epochs, {rate:g}" for share, epochs, rate in budgets]
    return markdown(Table(["network", "from", *heads], lines), 2)


def _budgets(result: dict[str, Any]) -> str:
    seeds = sorted({seed for row in result["rows"] for seed in row["seeds"]})
    seconds = sum(entry["seconds"] for entry in result["seconds"])
    lines = {}
    for row in result["rows"]:
        budget = ", ".join(f"{name} {value}" for name, value in row["budget"].items() if name != "test_images")
        lines.setdefault(row["attack"], {})[budget.replace("_", " ")] = True
    text = "".join(f"- {attack}: {'; '.join(found)}\n" for attack, found in sorted(lines.items()))
    images = max((row["budget"].get("test_images", 0) for row in result["rows"]), default=0)
    return (
        f"By `{result['command']}` on {result['machine']}, {seconds / 3600:.1f} h of processes on a shared machine. "
        f"Seeds: {', '.join(map(str, seeds))}. Accuracies on the first {images:,} test images. Budgets:\n\n{text}"
    )


def security_tables(result: dict[str, Any]) -> dict[str, str]:
    """Markdown tables, by the names of their marks in docs/security.md."""
    rows = [row for row in result["rows"] if not on_device(row)]
    return {
        "devices": _devices([row for row in result["rows"] if on_device(row)]),
        "overview": _overview(rows),
        "headlines": _headlines(rows),
        "recovery": recovery_text(rows),
        "recoveries": _recoveries(rows),
        "sboxes": _sboxes(rows),
        "rates": _rates(rows),
        "budgets": _budgets({**result, "rows": rows}),
    }


def _panels(networks: list[str], title: str):
    from matplotlib.figure import Figure

    figure = Figure((4 * max(1, len(networks)), 3.6))
    panels = figure.subplots(1, max(1, len(networks)), sharey=True, squeeze=False)[0]
    for axes, network in zip(panels, networks, strict=False):
        axes.axhline(10, color="black", linestyle="--", linewidth=0.8)
        axes.set(title=network, xlabel=title, ylim=(0, 100))
    panels[0].set_ylabel("accuracy (%)")
    return figure, panels


def _png(figure, labels: int) -> bytes:
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=labels, frameon=False, fontsize=8)
    return png(figure)


_LINES = {
    ("scratch", False): ("from scratch", BLACK),
    ("deep-lock", False): ("deep-lock", BLUE),
    ("deep-lock", True): ("deep-lock, reset", LIGHT_BLUE),
    ("hpnn", False): ("hpnn", ORANGE),
    ("adv-params", False): ("adv-params", TEAL),
    ("secure-net", False): ("secure-net", PURPLE),
}


def _tuning_figure(curves: Rows) -> bytes:
    """As Deep-Lock's Figure 2: accuracy by epoch, on the largest share of the training data and at the highest rate."""
    tuned = [curve for curve in curves if curve["attack"] == "fine-tuning"]
    largest = max(((c["budget"]["share"], c["budget"]["learning_rate"]) for c in tuned), default=None)
    networks = _networks(tuned)
    figure, panels = _panels(networks, f"epoch, on {largest[0]:.0%} of the training images" if largest else "epoch")
    for axes, network in zip(panels, networks, strict=False):
        for curve in tuned:
            budget = curve["budget"]
            if curve["network"] == network and (budget["share"], budget["learning_rate"]) == largest:
                label, colour = _LINES[curve["scheme"], budget["reset"]]
                axes.plot(*zip(*((x, 100 * y) for x, y in curve["points"]), strict=True), color=colour, label=label)
    return _png(figure, 6)


def _genetic_figure(curves: Rows) -> bytes:
    """The longest search on each network and scheme."""
    longest: dict[tuple[str, str], dict[str, Any]] = {}
    for curve in sorted((c for c in curves if c["attack"] == "genetic"), key=lambda c: len(c["points"])):
        longest[curve["network"], curve["scheme"]] = curve
    found = list(longest.values())
    networks = _networks(found)
    figure, panels = _panels(networks, "generation (held-out images)")
    for axes, network in zip(panels, networks, strict=False):
        for curve in found:
            if curve["network"] == network:
                label, colour = _LINES[curve["scheme"], False]
                axes.plot(*zip(*((x, 100 * y) for x, y in curve["points"]), strict=True), color=colour, label=label)
    return _png(figure, 3)


def security_figures(result: dict[str, Any]) -> dict[str, bytes]:
    """PNGs, by the part of their names that follows `security-`."""
    return {"fine-tuning": _tuning_figure(result["curves"]), "genetic": _genetic_figure(result["curves"])}
