"""How the Mojo library is built: when, by which command, by whom, and what a refusal says.

A compiler of our own, a script that writes down each of its runs, stands in for Mojo's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path

import pytest
from filelock import FileLock

from mojo_impl.building import build as building
from mojo_impl.building.build import FLAGS, BuildError, Recipe, build, command, digest, measure
from mojo_impl.building.program import build_program, program_command, program_files

ROOT = Path(__file__).parents[2]

SCRIPT = """#!/bin/sh
echo "$@" >> "{folder}/runs"
case "$*" in
*print-effective-target*)
    echo "Effective target configuration:"; echo "  --target-cpu abacus"
    echo "  --target-features +beads,-wires,+avx2"; exit 0 ;;
esac
if [ -e "{folder}/broken" ]; then
    echo "bindings.mojo:1:1: error: line one"; echo "line two" >&2; exit 1
fi
while [ $# -gt 1 ]; do [ "$1" = -o ] && echo library > "$2"; shift; done
"""


@pytest.fixture
def what(tmp_path: Path) -> Recipe:
    compiler = tmp_path / "mojo"
    compiler.write_text(SCRIPT.format(folder=tmp_path))
    compiler.chmod(0o755)
    return Recipe("sources", str(compiler), "9.9", FLAGS, "native", "abacus", ".so")


def compilations(folder: Path) -> int:
    runs = folder / "runs"
    lines = runs.read_text().splitlines() if runs.exists() else []
    return sum("print-effective-target" not in line for line in lines)


@pytest.mark.parametrize("field", [field.name for field in fields(Recipe)])
def test_everything_in_a_recipe_is_in_its_key(what: Recipe, field: str) -> None:
    other = ("other",) if field == "flags" else "other"
    assert replace(what, **{field: other}).key != what.key
    assert replace(what).key == what.key


def test_the_digest_sees_names_contents_and_their_border() -> None:
    files = {"a.mojo": b"1", "b.mojo": b"2"}
    assert digest(files) == digest(dict(reversed(files.items())))
    others = [
        {"a.mojo": b"1"},
        {"a.mojo": b"1", "b.mojo": b"3"},
        {"a.mojo": b"1", "c.mojo": b"2"},
        {"a.mojo": b"2", "b.mojo": b"1"},
        {"a.mojo": b"12", "b.mojo": b""},
    ]
    assert len({digest(files), *map(digest, others)}) == 6


def test_all_mojo_sources_count() -> None:
    found = set(building.source_files())
    assert not {"standalone/train.mojo", "standalone/files/npy.mojo"} & found  # another build
    assert found | set(building.source_files("ladder")) | set(program_files()) == {
        path.relative_to(ROOT / "mojo_impl").as_posix()
        for path in (ROOT / "mojo_impl").rglob("*.mojo")
    }
    assert {"extension/bindings.mojo", "mlp/network.mojo", "mlp/gemm/matmul.mojo"} <= found


def test_the_command_names_flags_and_a_target_only_when_asked(what: Recipe) -> None:
    line = command(what, Path("out.so"))
    assert line[:4] == [what.compiler, "build", "--emit", "shared-lib"]
    assert line[line.index("-o") + 1] == "out.so"
    assert line[line.index("--fp-mode") + 1] == "contract=off"
    assert "--target-cpu" not in line
    line = command(replace(what, cpu="haswell"), Path("out.so"))
    assert line[line.index("--target-cpu") + 1] == "haswell"


def test_a_library_is_compiled_once_and_told_about(what: Recipe, tmp_path: Path) -> None:
    said: list[str] = []
    first = build(what, tmp_path / "build", said.append)
    assert first.path.read_text() == "library\n"
    assert first.path.parent.name == what.key
    assert (first.version, first.target_cpu) == ("9.9", "abacus")
    assert first.features == ("beads", "avx2")
    assert first.flags == " ".join(FLAGS)
    assert said[0] == "Compiling the Mojo library (about 30 s the first time) ..."
    assert said[1].startswith("... compiled in ")
    assert build(what, tmp_path / "build", said.append) == first
    assert len(said) == 2
    assert compilations(tmp_path) == 1
    changed = build(replace(what, sources="changed"), tmp_path / "build", said.append)
    assert changed.path != first.path
    assert compilations(tmp_path) == 2
    assert {path.name for path in first.path.parent.iterdir()} == {"_library.so", "facts.json"}


def test_the_program_is_built_beside_the_library_and_for_this_machine(
    what: Recipe, tmp_path: Path
) -> None:
    said: list[str] = []
    found = [build_program(None, tmp_path / "build", said.append, what) for _ in range(2)]
    assert found[0] == found[1]
    assert said[0] == "Compiling the Mojo program (about 30 s the first time) ..."
    assert len(said) == 2
    assert compilations(tmp_path) == 1
    program = tmp_path / "build" / what.key / "train"
    assert found[0].path == program
    assert program.read_text() == "library\n"
    line = program_command(replace(what, cpu="haswell"), program)
    assert line[:3] == [what.compiler, "build", "--Werror"]
    assert line[line.index("--target-cpu") + 1] == "haswell"
    assert "--emit" not in line
    assert line[-1].endswith("train.mojo")


def test_what_compiling_took_is_kept_and_older_facts_load(what: Recipe, tmp_path: Path) -> None:
    library = build(what, tmp_path / "build", lambda text: None)
    assert library.seconds is not None
    assert 0 < library.seconds < 60
    facts = library.path.with_name("facts.json")
    older = {name: value for name, value in json.loads(facts.read_text()).items()
             if name != "seconds"}  # fmt: skip
    facts.write_text(json.dumps(older))
    assert build(what, tmp_path / "build") == replace(library, seconds=None)


def test_compiling_is_timed_with_empty_and_with_full_caches(what: Recipe, tmp_path: Path) -> None:
    compiler = Path(what.compiler)
    keeps = 'ls "$MODULAR_CACHE_DIR" >> "{0}/seen"; touch "$MODULAR_CACHE_DIR/kept"\n'
    compiler.write_text(
        compiler.read_text() + f'[ -z "$MODULAR_CACHE_DIR" ] || {{ {keeps.format(tmp_path)}}}\n'
    )
    said: list[str] = []
    found = measure(what, tmp_path / "build", said.append)
    assert found.keys() == {"cold_s", "cached_s"}
    assert min(found.values()) > 0
    assert (tmp_path / "seen").read_text() == "kept\n"  # nothing the first time
    path = building.library_path(what, tmp_path / "build")
    assert json.loads(building.times_of(path).read_text()) == found
    assert compilations(tmp_path) == 3
    assert said[-1].endswith("s with full ones")
    assert build(what, tmp_path / "build").path == path


def test_a_compiler_that_keeps_its_cache_elsewhere_is_not_timed(
    what: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match="keeps no cache in MODULAR_CACHE_DIR"):
        measure(what, tmp_path / "build", lambda text: None)
    assert not building.times_of(building.library_path(what, tmp_path / "build")).exists()


def test_two_builders_compile_once(what: Recipe, tmp_path: Path) -> None:
    libraries: list[Path] = []
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        libraries.append(build(what, tmp_path / "build", lambda text: None).path)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(libraries) == 4
    assert len(set(libraries)) == 1
    assert compilations(tmp_path) == 1


def test_a_builder_that_waits_says_so(what: Recipe, tmp_path: Path) -> None:
    said: list[str] = []
    waiting = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    (tmp_path / "build").mkdir()
    lock = FileLock(tmp_path / "build" / "lock")
    thread = threading.Thread(target=build, args=(what, tmp_path / "build", say))
    with lock:
        thread.start()
        assert waiting.wait(60)
        assert said == ["Waiting for another process, which is compiling the Mojo library ..."]
        assert compilations(tmp_path) == 0
    thread.join()
    assert compilations(tmp_path) == 1


def test_a_compile_error_is_shown_whole_and_leaves_nothing(what: Recipe, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(BuildError) as caught:
        build(what, tmp_path / "build", lambda text: None)
    text = str(caught.value)
    assert "bindings.mojo:1:1: error: line one\nline two\n" in text
    assert " ".join([what.compiler, "build", "--emit", "shared-lib", *FLAGS]) in text
    assert not list((tmp_path / "build").rglob("_library*"))
    (tmp_path / "broken").unlink()
    assert build(what, tmp_path / "build", lambda text: None).path.is_file()


def test_a_folder_that_cannot_be_written_is_named(what: Recipe, tmp_path: Path) -> None:
    (tmp_path / "build").write_text("in the way")
    with pytest.raises(BuildError, match=r"cannot be written to .*build"):
        build(what, tmp_path / "build")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one place for caches")
def test_libraries_go_to_the_checkout_or_else_to_the_cache(tmp_path: Path) -> None:
    package, cache = tmp_path / "somewhere" / "mojo_impl", tmp_path / "cache"
    package.mkdir(parents=True)
    here = building.folder(package, {"XDG_CACHE_HOME": str(cache)})
    assert here == cache / "python-vs-mojo"
    assert building.folder(package, {}) == Path.home() / ".cache" / "python-vs-mojo"
    (package.parent / "pyproject.toml").touch()
    assert building.folder(package, {}) == package.parent / "build" / "mojo_impl"


def test_a_missing_compiler_is_looked_for_in_two_places(tmp_path: Path) -> None:
    beside, path = tmp_path / "beside", tmp_path / "path"
    for folder in (beside, path):
        folder.mkdir()
    with pytest.raises(BuildError, match="no Mojo compiler") as caught:
        building.find_compiler(str(beside), str(path))
    assert str(beside) in str(caught.value)
    assert str(path) in str(caught.value)
    assert "make build" in str(caught.value)
    for folder in (path, beside):  # the second one found goes first
        compiler = folder / "mojo"
        compiler.touch(0o755)
        assert building.find_compiler(str(beside), str(path)) == str(compiler)


def test_a_missing_linker_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="install gcc") as caught:
        building.check_linker(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    (tmp_path / "cc").touch(0o755)
    building.check_linker(str(tmp_path))


def test_a_compiler_that_cannot_be_run_is_named(what: Recipe, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no-such-compiler could not be run"):
        build(replace(what, compiler=str(tmp_path / "no-such-compiler")), tmp_path / "build")


def test_the_recipe_of_this_machine() -> None:
    here = building.recipe()
    assert here == building.recipe()
    assert here.version.startswith("1.2.0")
    assert Path(here.compiler).is_file()
    assert len(here.machine) > 10
    assert building.recipe("haswell").key != here.key


def python(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *arguments]
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_importing_the_package_compiles_nothing() -> None:
    done = python(
        "-c",
        "import sys, mojo_impl, mojo_impl.building.build as b\n"
        "assert 'mojo_impl._library' not in sys.modules\n"
        "try: mojo_impl.nonsense\nexcept AttributeError as error: print(error)",
    )
    assert done.stdout == "module 'mojo_impl' has no attribute 'nonsense'\n", done.stderr


def test_the_command_line_prints_the_library_and_is_quiet_when_it_is_there() -> None:
    path = build().path  # compiles now, if no test has before
    done = python("-m", "mojo_impl.building")
    assert (done.stdout, done.stderr, done.returncode) == (f"{path}\n", "", 0)
    assert path.suffix == ".so"


def test_the_command_line_shows_what_the_compiler_says_of_a_wrong_cpu() -> None:
    done = python("-m", "mojo_impl.building", "--target-cpu", "abacus-9")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "abacus-9" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="an empty environment starts no Python there")
def test_the_library_works_under_an_empty_environment() -> None:
    code = "import mojo_impl as m; print(m.MLP([2, 1], seed=1).weights[0].shape, m.get_threads())"
    done = python("-c", code, env={})
    assert done.stdout == "(2, 1) 1\n", done.stderr


@pytest.mark.parametrize(("value", "threads"), [("3", 3), (None, 1)])
def test_threads_come_from_the_environment(value: str | None, threads: int) -> None:
    env = {name: text for name, text in os.environ.items() if name != "MOJO_IMPL_THREADS"}
    env |= {"MOJO_IMPL_THREADS": value} if value else {}
    done = python("-c", "import mojo_impl as m; print(m.describe()['threads'])", env=env)
    assert done.stdout == f"{threads}\n", done.stderr


@pytest.mark.parametrize("value", ["0", "-1", "two", ""])
def test_a_wrong_number_of_threads_in_the_environment_is_named(value: str) -> None:
    env = os.environ | {"MOJO_IMPL_THREADS": value}
    done = python("-c", "import mojo_impl as m; m.get_threads()", env=env)
    assert f"MOJO_IMPL_THREADS must be a number from 1; got '{value}'" in done.stderr
