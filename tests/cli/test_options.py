"""An option that would have no effect is an error: whoever gives it expects one. Also if its value is the default."""

import pytest

USELESS = (
    ("compile NETWORK --board icebreaker --rows 8 -o out", "--rows has no effect with --board"),
    ("compile NETWORK --board icebreaker --dense -o out", "--dense has no effect with --board"),
    ("compile NETWORK --suite acorn -o out", "--suite has no effect without --key-file"),
    ("compile NETWORK --calibration images -o out", "--calibration has no effect on NETWORK"),
    ("compile NETWORK --mean 0 -o out", "--mean has no effect on NETWORK"),
    ("compile NETWORK --std 1 -o out", "--std has no effect on NETWORK"),
    ("evaluate NETWORK --seed 0", "--seed has no effect without --wrong-keys"),
    ("evaluate NETWORK --fresh", "--fresh has no effect without --paper"),
    ("evaluate NETWORK --networks digits", "--networks has no effect without --paper"),
    ("evaluate NETWORK --wrong-images 9", "--wrong-images has no effect without --paper"),
    ("evaluate NETWORK --images images --data data", "--data has no effect with --images"),
    ("evaluate --paper --count 3", "--count has no effect with --paper"),
    ("simulate PLAIN --seed 0", "--seed has no effect without --pauses"),
    ("simulate PLAIN --simulator native --waves out", "--waves has no effect with --simulator native"),
    ("simulate PLAIN --sbox lut", "--sbox has no effect with suite plain"),
    ("simulate PLAIN --images images --data data", "--data has no effect with --images"),
    ("quantise net.pt2 --calibration images --data data -o out", "--data has no effect with --calibration"),
    ("keygen --model --bits 256 -o out", "--bits has no effect with --model"),
    ("keygen --device --bits 128 -o out", "--bits has no effect with --device"),
    ("synth --device up5k --suite acorn --sbox rom", "--sbox has no effect with suite acorn"),
    ("synth --board icebreaker --sbox rom", "--sbox has no effect with suite tinyjambu"),
    ("synth --device up5k --suite plain --key-sizes 16", "--key-sizes has no effect with suite plain"),
    ("run PLAIN --board icebreaker --port none --images images --data data", "--data has no effect with --images"),
    ("attack genetic --at 0", "--at has no effect without FILE"),
    ("attack genetic --bytes 1024", "--bytes has no effect without FILE"),
    ("attack genetic --fresh", "--fresh has no effect without --json"),
    ("attack genetic --scheduler tcp://127.0.0.1:1 --jobs 2", "--jobs has no effect with --scheduler"),
    ("attack genetic --suite acorn", "--suite has no effect without the name device"),
    ("attack device --quick", "--quick has no effect with device"),
    ("attack device --count 2000", "--count has no effect with device"),
    ("attack known-plaintext file --known known --like file", "--like has no effect with known-plaintext"),
    ("attack ciphertext-only file --at 16", "--at has no effect with ciphertext-only"),
    ("attack ciphertext-only file --network digits", "--network has no effect with FILE"),
)


@pytest.mark.parametrize("line, fault", USELESS, ids=[line for line, _ in USELESS])
def test_an_option_without_effect_is_refused(line, fault, files, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"NETWORK": str(files.network), "PLAIN": str(files.plain_loadable)}
    found = refused(*(names.get(word, word) for word in line.split()))
    assert found.startswith(fault.replace("NETWORK", names["NETWORK"])) and found.endswith(": leave it out")


def test_a_term_of_a_licence_is_given_once(files, deeplock, refused, tmp_path):
    key, sealed = tmp_path / "key", tmp_path / "sealed"
    deeplock("keygen", "-o", key)
    deeplock("seal", files.plain_loadable, "--key-file", key, "-o", sealed)
    keys = ("--model-key", key, "--device-key", key, "--device", 1)
    line = refused(
        "licence", sealed, *keys, "--allow", "inferences=1", "--allow", "inferences=2", "-o", tmp_path / "out"
    )
    assert line == "a licence allows inferences once only, not inferences=2 as well"
