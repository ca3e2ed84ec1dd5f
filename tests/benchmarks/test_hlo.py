import pytest

from benchmarks.compile_report.hlo import collectives, parse_module
from benchmarks.compile_report.memory_traffic import memory_traffic

LOOP = """HloModule jit_f, is_scheduled=true

%slice_layer (stack: f32[3,8,8], index: s32[]) -> f32[8,8] {
  %stack = f32[3,8,8]{2,1,0:T(8,128)} parameter(0)
  %index = s32[]{:T(128)} parameter(1)
  %zero = s32[] constant(0)
  %layer = f32[1,8,8]{2,1,0} dynamic-slice(%stack, %index, %zero, %zero)
  ROOT %flat = f32[8,8]{1,0} bitcast(%layer)
}

%body (carried: (s32[], f32[4,8], f32[3,8,8])) -> (s32[], f32[4,8], f32[3,8,8]) {
  %carried = (s32[]{:T(128)}, f32[4,8]{1,0:T(8,128)}, /*index=2*/f32[3,8,8]{2,1,0}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%carried), index=0
  %x = f32[4,8]{1,0} get-tuple-element(%carried), index=1
  %weights = f32[3,8,8]{2,1,0} get-tuple-element(%carried), index=2
  %kernel = f32[8,8]{1,0:T(8,128)S(1)} fusion(%weights, %i), kind=kLoop, calls=%slice_layer
  %y = f32[4,8]{1,0} dot(%x, %kernel), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %sum = f32[4,8]{1,0} all-reduce(%y), replica_groups={{0,1}}, to_apply=%add
  ROOT %next = (s32[], f32[4,8]{1,0}, f32[3,8,8]{2,1,0}) tuple(%i, %sum, %weights)
}

%condition (carried.1: (s32[], f32[4,8], f32[3,8,8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(3)
  %carried.1 = (s32[], f32[4,8]{1,0}, f32[3,8,8]{2,1,0}) parameter(0)
  %j = s32[] get-tuple-element(%carried.1), index=0
  ROOT %lt = pred[]{:T(512)} compare(%j, %limit), direction=LT
}

ENTRY %main (p: (s32[], f32[4,8], f32[3,8,8])) -> f32[8,8] {
  %p = (s32[], f32[4,8]{1,0}, f32[3,8,8]{2,1,0}) parameter(0)
  %loop = (s32[], f32[4,8]{1,0}, f32[3,8,8]{2,1,0}) while(%p), condition=%condition, body=%body
  %found = f32[4,8]{1,0} get-tuple-element(%loop), index=1
  %start = (f32[4,8]{1,0}, f32[8,8]{1,0}) all-gather-start(%found), dimensions={0}
  ROOT %done = f32[8,8]{1,0} all-gather-done(%start)
}
"""


def test_collectives_are_counted_by_kind_wherever_they_are():
    assert collectives(parse_module(LOOP)) == {"all-reduce": 1, "all-gather": 1}


def test_a_name_is_no_collective():
    text = LOOP.replace("all-reduce(", "negate(").replace("all-gather-", "copy-")
    text = text.replace("%sum", "%all-reduce.7")
    assert collectives(parse_module(text)) == {}


def test_a_loop_runs_to_the_bound_of_its_counter():
    module = parse_module(LOOP)
    assert module.entry == "main" and module.trips(module.computations["main"]["loop"]) == 3


def test_a_loop_that_waits_for_something_else_is_refused():
    module = parse_module(LOOP.replace("direction=LT", "direction=NE"))
    with pytest.raises(ValueError, match="how often the loop loop runs"):
        module.trips(module.computations["main"]["loop"])


def test_traffic_counts_loops_slices_and_main_memory_only():
    index, layer, x, gathered = 4, 8 * 8 * 4, 4 * 8 * 4, 8 * 8 * 4
    # The fusion reads one layer of the stack and the index, and writes beside the compute units.
    fusion, dot, reduce = layer + index, x + x, x + x
    assert memory_traffic(parse_module(LOOP)) == 3 * (fusion + dot + reduce) + gathered + x


def test_text_without_an_entry_is_refused():
    with pytest.raises(ValueError, match="no entry"):
        parse_module("HloModule empty")
