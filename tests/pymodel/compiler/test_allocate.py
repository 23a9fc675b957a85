"""No two tensors that are alive at once share a word of activation memory."""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler.allocate import allocate, words_of
from deeplock.pymodel.compiler.schedule import plan_input, plan_steps
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from tests.random_networks import chains

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4, activation_words=512),
    Config(rows=8, cols=8, activation_words=128),
    Config(),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chains(), st.sampled_from(CONFIGS))
def test_tensors_that_live_together_lie_apart(case, config):
    try:
        steps, _ = plan_input(plan_steps(case[0], config), config)
        places, own = allocate(steps, config)
    except DeeplockError:
        assume(False)
        raise
    sizes = {"input": words_of(steps[0].shape, config.rows)}
    sizes |= {step.output: words_of(step.out, config.rows) for step in steps}
    begins = {"input": -1} | {step.output: index for index, step in enumerate(steps)}
    ends = {name: index for index, step in enumerate(steps) for name in step.inputs}
    if own:
        ends["input"] = len(steps)
    half = config.activation_words // 2
    for one, at in places.items():
        assert at // half == (at + sizes[one] - 1) // half, f"{one} lies in one bank"
        for other, there in places.items():
            together = begins[one] < begins[other] <= ends[one]
            apart = at + sizes[one] <= there or there + sizes[other] <= at
            assert not together or apart, f"{one} and {other}"
    for step in steps[:-1]:
        banks = {places[name] // half for name in step.inputs}
        if len(banks) == 1 and config == Config():  # where there is room, a step writes to the other bank
            assert places[step.output] // half not in banks
