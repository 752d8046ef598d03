"""What is started for a worker of ours: `bench.workers.worker`, or the program that a variant is.

The program is compiled where it is not there yet; a run has that done before it (`build_mojo`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module

from bench.model.errors import WorkerError
from bench.model.records import WorkerSpec
from bench.model.registry import VARIANTS, is_program

CPU = "MOJO_IMPL_TARGET_CPU"
"""The variable that names what to compile for; see `mojo_impl.building.build`."""


def command_of(spec: WorkerSpec, variables: Mapping[str, str]) -> list[str]:
    """Return the command line of a slot.

    Args:
        spec: The slot.
        variables: Added to the environment of this process for it.

    Raises:
        WorkerError: It is a program that cannot be compiled, or cannot run here.
    """
    if not is_program(spec.implementation):
        return [
            sys.executable,
            "-m",
            "bench.workers.worker",
            "--implementation",
            spec.implementation,
        ]
    from mojo_impl.building.toolchain import BuildError

    module, _, name = VARIANTS[spec.implementation].where.partition(":")
    cpu = variables.get(CPU) or os.environ.get(CPU) or "native"
    try:
        return list(getattr(import_module(module), name)(cpu))
    except BuildError as error:
        raise WorkerError(spec.label, f"cannot be started: {error}") from error
