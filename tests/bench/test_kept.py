"""Result files of which only some rows are measured anew."""

from deeplock.bench.kept import beside, joined


def test_new_rows_take_the_places_of_those_of_the_same_fields():
    there = [{"network": name, "rows": rows, "cycles": 1} for name in ("a", "b") for rows in (4, 8)]
    new = [{"network": "c", "rows": 4, "cycles": 2}, {"network": "a", "rows": 8, "cycles": 2}]
    found = beside(there, new, ("network", "rows"))
    assert [(row["network"], row["rows"], row["cycles"]) for row in found] == [
        ("a", 4, 1), ("a", 8, 2), ("b", 4, 1), ("b", 8, 1), ("c", 4, 2),
    ]  # fmt: skip


def test_commands_and_machines_are_named_once_in_their_order():
    there = {"command": "first && second", "machine": "old, 2 cores"}
    assert joined(there, "first", "old, 2 cores") == there
    assert joined(there, "third", "new, 2 cores") == {
        "command": "first && second && third",
        "machine": "old, 2 cores; new, 2 cores",
    }
