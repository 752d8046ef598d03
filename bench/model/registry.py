"""The variants of the ladder: every way this project knows to run the network, in order. Pure data.

What stands here is looked up before anything of a variant is imported: where its class is, which
packages it needs and how they are installed, and what it offers. Nothing else says so a second
time: cases, parity and the pilot ask `bench.model.slots.slots_of`, and that asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from bench.model.records import OVERHEADS, PHASES, Phase

PROJECT = "python-vs-mojo"
MODULES = {"scikit-learn": "sklearn", "max-core": "max"}
"""What a distribution is imported as, where that is not its own name."""
MOST_TRAINING = 100
"""Most arithmetic of a variant's training, in longest epochs that it is timed at."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run the network."""

    name: str
    text: str  # what it is, in one line
    where: str  # of its class, "module:Class"; of a program, of what gives its command
    needs: tuple[str, ...] = ()  # distributions beside those that the project requires
    extra: str = ""  # of pyproject.toml, which installs them
    phases: tuple[Phase, ...] = PHASES  # those that it offers to be compared and timed
    floors: tuple[Phase, ...] = OVERHEADS  # and to be timed beside them
    program: bool = False  # whether it is a program of its own, which speaks the protocol
    most_flops: int | None = None  # of the largest epoch it is timed at; None: any
    most_threads: int | None = None  # that it can use; None: any
    flushes: bool = False  # whether it cannot help taking subnormal numbers for zero


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            "python", "lists and loops of plain Python, no NumPy in the arithmetic",
            "ladder.plain:Plain", most_flops=100_000_000, most_threads=1,
        ),
        Variant("numpy", "idiomatic NumPy, the named baseline", "bench.implementations:NumPy"),
        Variant(
            "numpy-tuned", "NumPy into memory that is there: out=, in place, one flat update",
            "ladder.numpy_tuned:NumPyTuned",
        ),
        Variant(
            "mojo-port", "the port of NumPy line by line: naive loops in Mojo",
            "mojo_impl.variants:MojoPort", most_flops=10_000_000_000, most_threads=1,
        ),
        Variant(
            "mojo-simd", "the same loops, vectorized", "mojo_impl.variants:MojoSimd", most_threads=1
        ),
        Variant("mojo", "the tuned one: tiles in registers, fused, threads",
             "bench.implementations:Mojo"),
        Variant(
            "mojo-max", "the vectorized one with products by MAX", "mojo_impl.variants:MojoMax",
            ("max-core",), "max", most_threads=1, flushes=True,
        ),
        Variant(
            "mojo-exe", "the tuned one as a program of its own, no Python in the process",
            "mojo_impl.building.program:worker", floors=("timer",), program=True,
        ),
        Variant("numba", "loops compiled by Numba, products by BLAS", "ladder.numba_mlp:Numba",
             ("numba",), "numba"),
        Variant(
            "jax", "JAX: gradients by vjp, a whole epoch in one compiled scan",
            "ladder.jax_mlp:JAX", ("jax", "jaxlib"), "jax", flushes=True,
        ),
        Variant(
            "torch", "PyTorch, backward by hand, out= and in place",
            "ladder.torch_mlp:Torch", ("torch",), "torch",
        ),
        Variant(
            "torch-autograd", "PyTorch as in its tutorials: modules, autograd, SGD",
            "ladder.torch_mlp:TorchAutograd", ("torch",), "torch",
        ),
        Variant(
            "torch-compile", "the same, model and optimizer by torch.compile",
            "ladder.torch_mlp:TorchCompile", ("torch",), "torch",
        ),
        Variant(
            "sklearn", "scikit-learn's MLPRegressor, one partial_fit an epoch",
            "ladder.sklearn_mlp:Sklearn", ("scikit-learn",), "sklearn", phases=("epoch",),
        ),
    )
}  # fmt: skip
"""By name, in the order of the ladder."""


def offers(name: str, flops: int, threads: int) -> bool:
    """Tell whether an implementation takes on a problem; what is no variant takes on all.

    Args:
        name: Of the implementation.
        flops: Arithmetic of an epoch of the problem.
        threads: Of its problem.
    """
    variant = VARIANTS.get(name)
    if variant is None:
        return True
    return not (
        (variant.most_flops is not None and flops > variant.most_flops)
        or (variant.most_threads is not None and threads > variant.most_threads)
    )


def trains(name: str, flops: int) -> bool:
    """Tell whether an implementation draws a loss curve of so much arithmetic in all."""
    variant = VARIANTS.get(name)
    return (
        variant is None or variant.most_flops is None or flops <= MOST_TRAINING * variant.most_flops
    )


def phases_of(name: str) -> tuple[Phase, ...]:
    """List the phases that a variant has a slot in; empty: all, as of what is no variant."""
    variant = VARIANTS.get(name)
    if variant is None or (variant.phases, variant.floors) == (PHASES, OVERHEADS):
        return ()
    return (*variant.phases, *variant.floors)


def is_program(name: str) -> bool:
    """Tell whether an implementation is a variant that is a program, not a class."""
    return name in VARIANTS and VARIANTS[name].program


def flushes(name: str) -> bool:
    """Tell whether an implementation cannot help taking subnormal numbers for zero."""
    return name in VARIANTS and VARIANTS[name].flushes


def lacks(variant: Variant, find: Callable[[str], object] = find_spec) -> list[str]:
    """Name the distributions that a variant needs and that are not installed; imports nothing."""
    return [name for name in variant.needs if not _there(MODULES.get(name, name), find)]


def missing(variant: Variant, find: Callable[[str], object] = find_spec) -> str:
    """Say in a line what a variant lacks and the command that installs it; empty if nothing."""
    lacking = lacks(variant, find)
    if lacking:
        command = f"pip install '{PROJECT}[{variant.extra}]'"
        return f"{variant.name}: {' and '.join(lacking)} not installed; {command}"
    if not _there(variant.where.partition(":")[0], find):
        return f"{variant.name}: this copy of the project has no {variant.where}"
    if variant.program and not _has_compiler():
        return f"{variant.name}: no Mojo compiler; make build, or pip install mojo"
    return ""


def installed() -> list[str]:
    """Name the variants that can be run here, in order."""
    return [variant.name for variant in VARIANTS.values() if not missing(variant)]


def _has_compiler() -> bool:
    from mojo_impl.building.toolchain import BuildError, find_compiler

    try:
        find_compiler()
    except BuildError:
        return False
    return True


def _there(module: str, find: Callable[[str], object]) -> bool:
    try:
        return find(module) is not None
    except (ImportError, ValueError):  # a package in which it would lie is missing, or half there
        return False


BASELINE = "numpy"
