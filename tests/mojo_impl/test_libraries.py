"""Which libraries are compiled: of what, again when, beside what, and who sees to it in a run."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli import app as command
from bench.model.errors import BuildError as HarnessBuildError
from bench.workers.implementations.drivers import IMPLEMENTATIONS
from mojo_impl.building import build as building
from mojo_impl.building import libraries
from mojo_impl.building.__main__ import main
from mojo_impl.building.build import BuildError, Library, library_path, recipe
from mojo_impl.building.libraries import LIBRARIES, LIBRARY_OF, find_max, max_options
from mojo_impl.variants import implementations

ROOT = Path(__file__).parents[2]
MAX_PACKAGES = {
    *("_cublas", "_cudnn", "_cufft", "_hal", "_miopen", "_rocblas", "algorithm", "attn_res"),
    *("builtin_kernels", "builtin_primitives", "comm", "extensibility", "graph_compiler"),
    *("internal_utils", "kda", "kv_cache", "layout", "linalg", "machine", "matmul_rs", "max"),
    *("mega_ffn", "msa", "nn", "pipeline", "profiling_range", "qsa", "quantization", "shmem"),
    *("state_space", "std", "structured_kernels", "weights_registry"),
}
"""The Mojo packages of MAX and of the compiler: these go before files of the same name."""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's sources, in their place."""
    copy = tmp_path / "mojo_impl"
    shutil.copytree(ROOT / "mojo_impl", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(building, "PACKAGE", copy)
    return copy


@pytest.fixture
def max_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a MAX that is installed."""
    folder = tmp_path / "packages" / "modular" / "lib"
    (folder / "mojo").mkdir(parents=True)
    for path in [folder / libraries._MAX_RUNTIME, *libraries.max_packages(folder)]:
        path.write_text("one")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages")])
    return folder.resolve()


def test_every_library_has_its_entry_among_its_sources() -> None:
    for name, contents in LIBRARIES.items():
        files = building.source_files(name)
        assert contents.entry in files
        assert f"PyInit_{contents.module}()".encode() in files[contents.entry]
        assert "mlp/random.mojo" in files
    assert not [file for file in building.source_files() if file.startswith("variants/")]
    assert {"variants/port.mojo", "variants/simd.mojo"} <= building.source_files("ladder").keys()


def test_no_folder_has_the_name_of_a_package_of_max() -> None:
    found = {path.name for path in (ROOT / "mojo_impl").iterdir() if path.is_dir()}
    assert not found & MAX_PACKAGES
    try:
        here = {path.stem for path in (find_max() / "mojo").glob("*.mojoc")}
    except BuildError:
        return
    assert here <= MAX_PACKAGES


def test_a_library_is_stale_when_its_own_sources_change(sources: Path) -> None:
    before = {name: recipe(library=name).key for name in ("main", "ladder")}
    assert before["main"] != before["ladder"]
    changed = sources / "variants" / "port.mojo"
    changed.write_text(changed.read_text() + "\n")
    assert recipe(library="main").key == before["main"]
    assert recipe(library="ladder").key != before["ladder"]
    after = recipe(library="ladder").key
    stream = sources / "mlp" / "random.mojo"
    stream.write_text(stream.read_text() + "\n")
    assert recipe(library="ladder").key != after


def test_a_library_beside_max_is_stale_when_max_changes(max_here: Path) -> None:
    before = recipe(library="ladder-max")
    assert before.max_folder == str(max_here)
    assert recipe(library="ladder-max") == before
    (max_here / "mojo" / "linalg.mojoc").write_text("two")
    assert recipe(library="ladder-max").key != before.key
    assert recipe(library="ladder").max_folder == ""


def test_the_command_line_finds_sources_and_max(max_here: Path) -> None:
    what = recipe("x86-64-v3", "ladder-max")
    line = building.command(what, Path("out.so"))
    assert line[-1] == str(building.PACKAGE / "variants" / "bindings_max.mojo")
    included = [line[place + 1] for place, word in enumerate(line) if word == "-I"]
    assert included == [str(building.PACKAGE), str(max_here / "mojo")]
    linked = [line[place + 1] for place, word in enumerate(line) if word == "-Xlinker"]
    assert linked[-3:] == [str(max_here / libraries._MAX_RUNTIME), "-rpath", str(max_here)]
    assert set(building.FLAGS) <= set(line)
    assert line[line.index("--target-cpu") + 1] == "x86-64-v3"
    plain = building.command(recipe(), Path("out.so"))
    assert plain.count("-I") == 1
    assert not set(max_options(max_here)) & set(plain) - {"-I", "-Xlinker"}


def test_where_a_library_lies_tells_which_it_is(tmp_path: Path) -> None:
    ending = recipe().ending
    for library, name in (("main", "_library"), ("ladder", "_ladder")):
        path = library_path(recipe(library=library), tmp_path)
        assert path == tmp_path / recipe(library=library).key / f"{name}{ending}"


def test_without_max_the_words_say_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BuildError, match=r"no MAX.*pip install max-core==26\.7\.0"):
        find_max([str(tmp_path), ""])
    monkeypatch.setattr(libraries.sys, "path", [str(tmp_path)])
    with pytest.raises(BuildError, match="no MAX"):
        recipe(library="ladder-max")
    with pytest.raises(HarnessBuildError, match="no MAX"):
        command.build_mojo(workers=command.workers_of(["mojo-max"]))
    assert main(["--library", "ladder-max"]) == 3


def test_half_of_max_is_none(max_here: Path) -> None:
    assert find_max() == max_here
    (max_here / "mojo" / "layout.mojoc").unlink()
    with pytest.raises(BuildError, match="no MAX"):
        find_max()


@pytest.mark.parametrize(
    ("candidates", "isa", "expected"),
    [
        (["mojo"], "", ["main"]),
        (["mojo-simd", "mojo", "mojo_impl.variants:MojoPort"], "avx2", ["ladder", "main"]),
        (["elsewhere:Other"], "", []),
    ],
)
def test_a_run_compiles_what_its_workers_load(
    candidates: list[str], isa: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    monkeypatch.setattr(building, "build", built.append)
    monkeypatch.setenv("MOJO_IMPL_TARGET_CPU", "haswell")
    command.build_mojo(isa, command.workers_of(candidates))
    assert [what.library for what in built] == expected
    assert {what.cpu for what in built} <= {"x86-64-v3" if isa else "haswell"}


def test_commands_without_workers_of_their_own_compile_the_main_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[Any] = []
    monkeypatch.setattr(building, "build", built.append)
    command.build_mojo()
    assert [what.library for what in built] == ["main"]


def test_every_implementation_in_mojo_is_known_by_the_library_it_loads() -> None:
    assert "mojo" in IMPLEMENTATIONS
    classes = (implementations.MojoPort, implementations.MojoSimd, implementations.MojoMax)
    names = {f"mojo_impl.variants:{one.__name__}": one.name for one in classes}
    for where, name in names.items():
        assert LIBRARY_OF[where] == LIBRARY_OF[name] in LIBRARIES
    assert LIBRARY_OF["mojo"] == "main"


def test_a_library_of_the_ladder_that_cannot_run_here_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unfit(what: object) -> Library:
        return replace(building.build(recipe()), features=("sse4.2", "neon"))

    monkeypatch.setattr(implementations, "build", unfit)
    with pytest.raises(BuildError, match=r"this machine lacks (?:neon|sse4\.2)"):
        implementations.extension.__wrapped__("ladder")
