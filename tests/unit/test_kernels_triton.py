"""The Triton kernels against the torch reference, in Triton's interpreter, and their compilation.

The interpreter runs the kernels' Python on CPU tensors, slowly but without a GPU; on a machine with
one, tests/gpu/test_kernels_cuda.py asks the same questions of the compiled kernels. Triton decides
between the two when it is imported, hence the variable before that.
"""

import importlib.util
import os
import subprocess
import sys

import kernel_cases as cases
import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed: pip install animate124[gpu]", allow_module_level=True)
if torch.cuda.is_available():
    pytest.skip("the compiled kernels are tested in tests/gpu", allow_module_level=True)
os.environ["TRITON_INTERPRET"] = "1"

from animate124.kernels import cuda, reference
from animate124.kernels.levels import GridLevels

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")


@pytest.mark.parametrize("counts", cases.GROUPS.values(), ids=cases.GROUPS.keys())
@pytest.mark.parametrize("name", cases.LEVELS)
def test_encode_is_the_reference(name, counts):
    levels = cases.LEVELS[name]
    cases.check_encode(cuda, levels, counts, levels.levels)


@pytest.mark.parametrize("active", [0, 1, 3, 99])
def test_encode_masks_the_levels_that_are_not_active(active):
    cases.check_encode(cuda, cases.LEVELS["mixed"], [40, 0, 60], active)


@pytest.mark.parametrize("features", [1, 4])
def test_encode_takes_any_number_of_features(features):
    levels = GridLevels(levels=3, features=features, coarsest=3, finest=20, log2_size=9)
    cases.check_encode(cuda, levels, [40, 20], 3)


@pytest.mark.parametrize("magnitude", [1e-25, 1.0, 1e20])
def test_deterministic_gradient_is_the_reference(magnitude):
    levels = cases.LEVELS["mixed"]
    x, tables, starts, gradient = cases.encode_inputs(levels, [150, 150])
    inputs = x, tables, starts, gradient * magnitude
    expected = cases.run_encode(reference, inputs, levels, 5)[1]
    torch.use_deterministic_algorithms(True)
    try:
        got = cases.run_encode(cuda, inputs, levels, 5)[1]
        order = torch.arange(149, -1, -1)
        turned = (x[:150][order], tables[:1], starts[:2], inputs[3][:150][order])
        straight = (x[:150], tables[:1], starts[:2], inputs[3][:150])
        first, second = (cases.run_encode(cuda, i, levels, 5)[1] for i in (straight, turned))
    finally:
        torch.use_deterministic_algorithms(False)
    cases.close(got / magnitude, expected / magnitude)
    assert torch.equal(first, second)  # the order of additions does not matter


def test_deterministic_gradient_has_room_for_all_samples_at_one_vertex():
    levels = cases.LEVELS["one"]
    inputs = torch.zeros(300, 3), torch.zeros(1, 216, 2), torch.tensor([0, 300])
    torch.use_deterministic_algorithms(True)
    try:
        got = cases.run_encode(cuda, (*inputs, torch.full((300, 2), 1.75)), levels, 1)[1]
    finally:
        torch.use_deterministic_algorithms(False)
    assert got[0, 0].tolist() == [525, 525]
    assert not got[0, 1:].any()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_deterministic_gradient_does_not_hide_a_broken_one(broken):
    levels = cases.LEVELS["dense"]
    x, tables, starts, gradient = cases.encode_inputs(levels, [20])
    gradient[3, 2] = broken
    torch.use_deterministic_algorithms(True)
    try:
        got = cases.run_encode(cuda, (x, tables, starts, gradient), levels, 3)[1]
    finally:
        torch.use_deterministic_algorithms(False)
    assert got.isnan().any()


def test_a_point_that_is_not_a_number_gives_features_that_are_not():
    levels = cases.LEVELS["mixed"]
    x, tables, starts, _ = cases.encode_inputs(levels, [50])
    x[7, 1] = float("nan")
    got = cuda.encode(x, tables, starts, levels, 5)
    assert got[7].isnan().all()
    assert not got[:7].isnan().any() and not got[8:].isnan().any()


def test_half_precision_inputs_are_computed_in_float32():
    levels = cases.LEVELS["mixed"]
    x, tables, starts, _ = cases.encode_inputs(levels, [50])
    half = tables.half()
    got = cuda.encode(x, half, starts, levels, 5)
    cases.close(got, reference.encode(x, half.float(), starts, levels, 5))
    leaf = half.clone().requires_grad_()
    cuda.encode(x, leaf, starts, levels, 5).sum().backward()
    assert leaf.grad.dtype == torch.float16
    arguments = [a.half() for a in cases.mlp_inputs(9)[:-1]]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = cuda.mlp(*arguments)
    cases.close(got, reference.mlp(*(a.float() for a in arguments)))


@pytest.mark.parametrize("samples", [0, 9])
def test_mlp_is_the_reference(samples):
    cases.check_mlp(cuda, samples)
    cases.check_mlp(cuda, samples, outputs=3)  # no multiple of 4 needed


@pytest.mark.parametrize("tight", [False, True], ids=["whole cube", "tight boxes"])
@pytest.mark.parametrize("name", cases.MARCHES)
def test_march_is_the_reference(name, tight):
    kept = cases.check_march(cuda, name, tight, rays=60)
    assert (kept == 0) == (name == "empty")


def test_march_of_no_rays():
    none = torch.zeros(0, 3)
    offsets, distances, points = cuda.march(
        none, none, torch.zeros(0, dtype=torch.int64), torch.ones(1, 2, 2, 2), torch.zeros(1), 1.0,
        0.1, torch.zeros(0), 9.0, torch.zeros(1, 2, 3),
    )  # fmt: skip
    assert offsets.tolist() == [0]
    assert distances.shape == (0,) and points.shape == (0, 3)


@pytest.mark.parametrize("kind", ["random", "opaque", "empty", "thin", "wall"])
def test_composite_is_the_reference(kind):
    cases.check_composite(cuda, kind, rays=20)


def test_composite_of_no_samples():
    offsets, empty = torch.zeros(4, dtype=torch.int64), torch.zeros(0, requires_grad=True)
    colour = torch.zeros(0, 3, requires_grad=True)
    rgb, opacity, distance, weights = cuda.composite(empty, colour, empty, offsets, 0.1)
    assert rgb.shape == (3, 3) and not rgb.any() and not opacity.any() and not distance.any()
    assert torch.autograd.grad(rgb.sum() + weights.sum(), (empty, colour))[1].shape == (0, 3)


# What the interpreter cannot see: that the kernels pass Triton's type checks and the assembler.
COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from animate124.kernels import cuda_composite, cuda_encode, cuda_march

KINDS = {"p": "*fp32", "i": "i32", "f": "fp32", "I": "*i32", "L": "*i64"}

def build(kernel, signature, constants, options=None):
    free = [n for n in kernel.arg_names if n not in constants]
    types = dict(zip(free, (KINDS[s] for s in signature), strict=True))
    signature = {n: types.get(n, "constexpr") for n in kernel.arg_names}
    constants = {(kernel.arg_names.index(n),): v for n, v in constants.items()}
    source = ASTSource(kernel, signature, constexprs=constants)
    for capability in (75, 90):
        target = GPUTarget("cuda", capability, 32)
        print(len(compile(source, target=target, options=options).asm["cubin"]))

warp = {"num_warps": 1}
build(cuda_encode.forward, "piiIpiIpiiii", {"FEATURES": 2, "BLOCK": 256})
back = {"FEATURES": 2, "BLOCK": 256}
build(cuda_encode.backward, "piiIpiiiIppi", back | {"FIXED": False})
build(cuda_encode.backward, "piiIpiiiILpi", back | {"FIXED": True})
exact = warp | {"enable_fp_fusion": False}
build(cuda_march.march, "ppLppppLLppiiifffffi", {"BLOCK": 32}, exact)
build(cuda_composite.forward, "ppiipLfppppp", {"BLOCK": 32}, warp)
build(cuda_composite.backward, "piipLfppppppppi", {"BLOCK": 32}, warp)
"""


def test_every_kernel_compiles_for_gpus_that_are_not_there(tmp_path, root):
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}
    del environment["TRITON_INTERPRET"]
    # From a file: Triton reads its kernels' source, and a command line has none.
    script = tmp_path / "build.py"
    script.write_text(COMPILE)
    run = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    sizes = [int(line) for line in run.stdout.split()]
    assert len(sizes) == 12 and min(sizes) > 1000
