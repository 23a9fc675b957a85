from deeplock.report.synth_tables import component_table

COUNTS = {"lut4": 100, "ff": 50, "carry": 0, "bram": 2, "dsp": 0, "spram": 0, "lutram": 0}


def test_components_are_told_by_their_arguments():
    shared = {"device": "up5k", "board": None, "fmax_mhz": [], "error": "", **COUNTS}
    rows = [
        {"component": "sbox", "direction": "both", "sbox": "composite", **shared},
        {"component": "key_schedule", "bytes_per_beat": 4, "key_sizes": [16, 24, 32], "sbox": "rom", **shared},
        {"component": "unlock_unit", "bytes_per_beat": 8, "sbox": "lut", **shared},
        {"component": "riscv", "core": "picorv32", **shared, "dsp": 4, "fmax_mhz": [60.0, 62.0, 61.0]},
    ]
    head, lines = component_table(rows)
    assert head == ["device", "component", "S-box", "what", "LUT4", "FF", "BRAM", "DSP", "MHz"]
    assert lines == [
        ["up5k", "sbox", "composite", "both", 100, 50, 2, 0, ""],
        ["up5k", "key_schedule", "rom", "B=4 key 16, 24, 32", 100, 50, 2, 0, ""],
        ["up5k", "unlock_unit", "lut", "B=8", 100, 50, 2, 0, ""],
        ["up5k", "riscv", "", "picorv32", 100, 50, 2, 4, "61.0 (60.0..62.0)"],
    ]
