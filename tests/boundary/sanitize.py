"""Runs the sanitizers: `python tests/boundary/sanitize.py [PART ...]`, all unless named.

Parts: `suites`, those of tests/mojo_impl/mojo under AddressSanitizer and LeakSanitizer;
`extension`, fuzzed from Python under AddressSanitizer; `threads`, teams and products under
ThreadSanitizer; `valgrind`, the suites under memcheck, which sees reads of what was never written.
Each part first shows that its tool sees a fault that is put there. Linux with gcc; Mojo links gcc's
sanitizers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOJO = ROOT / "tests" / "mojo_impl" / "mojo"
# No other name of an instruction set: memcheck knows no AVX-512.
OLDER_CPU = ("--target-cpu", "x86-64-v3")
# CPython and NumPy let go of much only with the process, on purpose, so leaks are looked for in the
# suites, and across the boundary by test_leaks.py.
OF_PYTHON = {"ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
# Tests ask for more memory than there is, to see it refused; the sanitizer would end them there.
OF_SUITES = {"ASAN_OPTIONS": "allocator_may_return_null=1"}
EXAMPLES = 2000


class Fault(Exception):  # noqa: N818
    """A tool found something, or did not see what it had to."""


def run(*line: str | Path, **more: str) -> tuple[int, str]:
    """Run a command in the root of the project; return how it ended and all that it said."""
    done = subprocess.run(
        [str(word) for word in line],
        cwd=ROOT,
        env=os.environ | {"MODULAR_CRASH_REPORTING_ENABLED": "false"} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=3600,
        check=False,
    )
    return done.returncode, done.stdout


def well(*line: str | Path, **more: str) -> str:
    """Run a command that must end with 0, and return what it said.

    Raises:
        Fault: It did not.
    """
    code, said = run(*line, **more)
    if code:
        raise Fault(f"{' '.join(map(str, line))} ended with {code}:\n{said[-8000:]}")
    return said


def build(source: Path, output: Path, *flags: str) -> Path:
    """Compile a Mojo file, with all assertions."""
    compiler = Path(sys.executable).parent / "mojo"
    folders = ("-I", "mojo_impl", "-I", "tests/mojo_impl/mojo")
    well(compiler, "build", "--Werror", "-D", "ASSERT=all", *folders, *flags, source, "-o", output)
    return output


def must_see(words: str, *line: str | Path, **more: str) -> None:
    """Run what holds a fault.

    Raises:
        Fault: The tool does not see it.
    """
    code, said = run(*line, **more)
    if code == 0 or words not in said:
        raise Fault(f"the tool does not see a fault that is there ({words}):\n{said[-4000:]}")


def suites(place: Path) -> None:
    """Run the suites under AddressSanitizer."""
    sanitizer = ("--sanitize", "address")
    must_see("heap-use-after-free", build(MOJO / "faulty.mojo", place / "faulty", *sanitizer))
    for suite in sorted(MOJO.glob("test_*.mojo")):
        one_suite(suite, place)


def one_suite(suite: Path, place: Path) -> None:
    """Run one suite under AddressSanitizer."""
    said = well(build(suite, place / suite.stem, "--sanitize", "address"), **OF_SUITES)
    print(suite.stem, *[line for line in said.splitlines() if "Summary" in line], flush=True)  # noqa: T201


def extension(place: Path) -> None:
    """Fuzz the extension under AddressSanitizer."""
    flags = ("--emit", "shared-lib", "--sanitize", "address", "-O3", "--fp-mode", "contract=off")
    library = build(
        ROOT / "mojo_impl" / "extension" / "bindings.mojo", place / "_library.so", *flags
    )
    memory = place / "memory.so"
    well("gcc", "-O1", "-shared", "-fPIC", MOJO / "runtime.c", "-o", memory)
    found = well("gcc", "-print-file-name=libasan.so").strip()
    more = OF_PYTHON | {"LD_PRELOAD": f"{found}:{memory}"}
    beyond = "import ctypes as c, sys; m = c.CDLL(sys.argv[1]); a = m.KGEN_CompilerRT_AlignedAlloc;"
    beyond += "a.restype = c.c_void_p; c.memset(a(64, 64), 0, 65)"
    must_see("heap-buffer-overflow", sys.executable, "-c", beyond, memory, **more)
    boundary = ("tests/boundary/boundary.py", "--examples", str(EXAMPLES), "--seed", "1000000")
    said = well(sys.executable, *boundary, "--library", library, **more)
    print(*[line for line in said.splitlines() if " examples, " in line])  # noqa: T201


def threads(place: Path) -> None:
    """Run teams of threads and products under ThreadSanitizer."""
    flags = ("--emit", "shared-lib", "--sanitize", "thread")
    runtime = place / "libKGENCompilerRTShared.so"
    gcc = ("gcc", "-g", "-O1", "-fno-builtin", "-fsanitize=thread")
    well(*gcc, "-shared", "-fPIC", MOJO / "runtime.c", "-o", runtime)
    unresolved = ("-Xlinker", "--unresolved-symbols=ignore-all")
    library = build(MOJO / "races.mojo", place / "libraces.so", *flags, *unresolved)
    program = place / "races"
    found = (f"-Wl,-rpath,{place}", f"-Wl,-rpath-link,{place}")
    well(*gcc, MOJO / "races.c", library, runtime, *found, "-o", program)
    must_see("data race", program, "race", LD_LIBRARY_PATH=str(place))
    well(program, LD_LIBRARY_PATH=str(place))
    print("no data race")  # noqa: T201


def valgrind(place: Path) -> None:
    """Run the suites under memcheck."""
    memcheck = ("valgrind", "-q", "--error-exitcode=9")
    must_see("Invalid read", *memcheck, build(MOJO / "faulty.mojo", place / "faulty", *OLDER_CPU))
    for suite in sorted(MOJO.glob("test_*.mojo")):
        said = well(*memcheck, build(suite, place / suite.stem, *OLDER_CPU))
        print(suite.stem, *[line for line in said.splitlines() if "Summary" in line], flush=True)  # noqa: T201


PARTS: dict[str, Callable[[Path], None]] = {
    "suites": suites,
    "extension": extension,
    "threads": threads,
    "valgrind": valgrind,
}


def main(names: list[str]) -> int:
    """Run the parts of these names."""
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")  # noqa: T201
        return 2
    failed = 0
    for name in names or PARTS:
        print(f"== {name}", flush=True)  # noqa: T201
        with tempfile.TemporaryDirectory() as place:
            try:
                PARTS[name](Path(place))
            except Fault as fault:
                failed = 1
                print(fault)  # noqa: T201
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
