import pytest

from benchmarks.compile_report.hlo import parse_module
from benchmarks.compile_report.kernels import count_kernels

PROGRAM = """HloModule jit_f, is_scheduled=true

%fused_dot (a: bf16[8,8], b: bf16[8,8]) -> f32[8,8] {
  %a = bf16[8,8]{1,0} parameter(0)
  %b = bf16[8,8]{1,0} parameter(1)
  ROOT %dot = f32[8,8]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%outer (a.1: bf16[8,8]) -> f32[8,8] {
  %a.1 = bf16[8,8]{1,0} parameter(0)
  ROOT %inner = f32[8,8]{1,0} fusion(%a.1, %a.1), kind=kCustom, calls=%fused_dot
}

%moved (a.2: f32[8,8]) -> f32[8,8] {
  %a.2 = f32[8,8]{1,0} parameter(0)
  ROOT %turned = f32[8,8]{1,0} transpose(%a.2), dimensions={1,0}
}

%added (a.3: f32[8,8]) -> f32[8,8] {
  %a.3 = f32[8,8]{1,0} parameter(0)
  ROOT %sum = f32[8,8]{1,0} add(%a.3, %a.3)
}

%body (x: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {
  %x = (s32[], f32[8,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%x), index=0
  %y = f32[8,8]{1,0} get-tuple-element(%x), index=1
  %product = f32[8,8]{1,0} fusion(%y), kind=kCustom, calls=%outer
  %lib = (f32[8,8]{1,0}, s8[64]{0}) custom-call(%y, %y), custom_call_target="__cublas$gemm"
  %scores = (f32[8,8]{1,0}, u8[0]{0}) custom-call(%y), custom_call_target="__cudnn$fmhaSoftmax"
  %next = f32[8,8]{1,0} fusion(%y), kind=kLoop, calls=%moved
  ROOT %out = (s32[], f32[8,8]{1,0}) tuple(%i, %next)
}

%condition (x.1: (s32[], f32[8,8])) -> pred[] {
  %x.1 = (s32[], f32[8,8]{1,0}) parameter(0)
  %j = s32[] get-tuple-element(%x.1), index=0
  ROOT %less = pred[] fusion(%j), kind=kLoop, calls=%fused_compare
}

ENTRY %main (p: f32[8,8]) -> f32[8,8] {
  %p = f32[8,8]{1,0} parameter(0)
  %none = s32[] constant(0)
  %begin = (s32[], f32[8,8]{1,0}) tuple(%none, %p)
  %loop = (s32[], f32[8,8]{1,0}) while(%begin), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
  %found = f32[8,8]{1,0} get-tuple-element(%loop), index=1
  %doubled = f32[8,8]{1,0} fusion(%found), kind=kLoop, calls=%added
  %start = f32[8,8]{1,0} all-reduce-start(%doubled), to_apply=%add
  ROOT %done = f32[8,8]{1,0} all-reduce-done(%start)
}
"""


def test_kernels_are_counted_by_kind_as_often_as_loops_run():
    counted = count_kernels(parse_module(PROGRAM))
    assert counted == {
        "products": 5 * 2,
        "attention": 5,
        "copies": 5,
        "element-wise": 1,
        "collectives": 1,
    }


def test_a_loop_of_unknown_length_is_refused():
    text = PROGRAM.replace("known_trip_count", "unknown_trip_count")
    with pytest.raises(ValueError, match="cannot tell how often the loop loop runs"):
        count_kernels(parse_module(text))
