"""The table of variants: whole, in agreement with the project's own files, asked in one place."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.ladder_steps import ORDER
from bench.cli.app import slots_for, workers_of
from bench.cli.options import PresetName, RunOptions
from bench.model.errors import UsageError
from bench.model.records import Case, Problem, WorkerSpec
from bench.model.registry import (
    VARIANTS,
    Variant,
    installed,
    lacks,
    missing,
    offers,
    phases_of,
    trains,
)
from bench.model.slots import slots_of
from bench.workers.fairness import of_workers
from bench.workers.implementations.drivers import implementation
from bench.workers.parity import check, demanded
from bench.workers.tensor_files import needed, phase_of

ROOT = Path(__file__).parents[2]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
SMALL = Problem((1, 4, 1), 5, 20, "float64", 1)
WIDE = Problem((1, 400, 400, 1), 5, 1000, "float64", 1)


def names_of(requirements: list[str]) -> set[str]:
    return {text.partition(">=")[0].partition("==")[0] for text in requirements}


def test_variants_and_extras_name_the_same_packages() -> None:
    for variant in VARIANTS.values():
        assert bool(variant.needs) == bool(variant.extra)
        if variant.extra:
            assert names_of(EXTRAS[variant.extra]) == set(variant.needs), variant.name
    assert names_of(EXTRAS["ladder"]) == {name for one in VARIANTS.values() for name in one.needs}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda variant: variant.name)
def test_every_rung_is_where_the_table_says(variant: Variant) -> None:
    module, _, name = variant.where.partition(":")
    place = ROOT.joinpath(*module.split("."))
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not path.exists():
        assert "no " in missing(variant)
        return
    kind = ast.FunctionDef if variant.program else ast.ClassDef
    body = ast.parse(path.read_text()).body
    imported = [node.names for node in body if isinstance(node, ast.ImportFrom)]
    assert name in {
        *(node.name for node in body if isinstance(node, kind)),
        *(alias.name for names in imported for alias in names),
    }


def test_the_report_has_them_in_the_same_order() -> None:
    assert [name for name in ORDER if name in VARIANTS] == list(VARIANTS)


def test_docs_name_every_variant() -> None:
    text = (ROOT / "docs" / "ladder.md").read_text()
    for variant in VARIANTS.values():
        assert f"| `{variant.name}` |" in text


def test_what_is_missing_is_a_line_with_the_command() -> None:
    def nothing(name: str) -> object:
        return None

    def all_but_jaxlib(name: str) -> object:
        if name == "jaxlib":
            raise ModuleNotFoundError(name)
        return name

    assert missing(VARIANTS["sklearn"], nothing) == (
        "sklearn: scikit-learn not installed; pip install 'python-vs-mojo[sklearn]'"
    )
    assert lacks(VARIANTS["jax"], all_but_jaxlib) == ["jaxlib"]
    assert missing(VARIANTS["python"], lambda name: name) == ""
    assert missing(VARIANTS["python"], nothing).endswith("no ladder.plain:Plain")
    assert {"python", "numpy", "numpy-tuned", "mojo"} <= set(installed())


def test_an_implementation_that_lacks_a_package_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variant = Variant("flax", "another", "ladder.flax:Flax", ("no-such-package",), "flax")
    monkeypatch.setitem(VARIANTS, "flax", variant)
    with pytest.raises(UsageError, match=r"pip install 'python-vs-mojo\[flax\]'"):
        implementation("flax")
    assert "flax" not in [
        spec.label for spec in slots_for(RunOptions(preset=PresetName.quick, ladder=True)).specs
    ]


def test_what_a_variant_offers() -> None:
    assert offers("python", 1_000_000, 1)
    assert not offers("python", 1_000_000, 2)
    assert not offers("python", 10**12, 1)
    assert offers("sklearn", 10**12, 4)
    assert offers("a.stranger:Class", 10**15, 64)
    assert phases_of("sklearn") == ("epoch", "call", "timer")
    assert phases_of("mojo") == phases_of("a.stranger:Class") == ()  # all
    assert trains("mojo", 10**15)
    assert not trains("python", 10**11)


def test_slots_follow_the_table() -> None:
    workers = workers_of(["mojo", "python", "sklearn"])

    def labels(case: Case) -> list[str]:
        return [spec.label for spec in slots_of(case, workers)]

    assert labels(Case("epoch", SMALL)) == ["numpy", "numpy-again", "mojo", "python", "sklearn"]
    assert labels(Case("forward", SMALL)) == ["numpy", "numpy-again", "mojo", "python"]
    assert labels(Case("epoch", WIDE)) == ["numpy", "numpy-again", "mojo", "sklearn"]
    assert labels(Case("peak", WIDE)) == ["mojo"]
    assert labels(Case("loss", SMALL)) == ["numpy", "mojo", "python"]
    assert labels(Case("timer", SMALL)) == ["numpy", "numpy-again", "mojo", "python", "sklearn"]


def test_the_preset_slots_what_is_installed_mojo_first(capsys: pytest.CaptureFixture[str]) -> None:
    workers = slots_for(RunOptions(preset=PresetName.ladder)).specs
    assert [spec.role for spec in workers[:3]] == ["baseline", "again", "candidate"]
    assert workers[2] == WorkerSpec("mojo", "mojo", "candidate")
    assert {spec.label for spec in workers} == {*installed(), "numpy-again"}
    told = capsys.readouterr().err.splitlines()
    assert told == [words for variant in VARIANTS.values() if (words := missing(variant))]
    assert slots_for(RunOptions(preset=PresetName.ladder, ladder=True)).specs == workers
    assert len(slots_for(RunOptions(preset=PresetName.quick)).specs) == 3
    with pytest.raises(UsageError, match="two ways to say who takes part"):
        slots_for(RunOptions(ladder=True, implementation=["mojo"]))


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("initial weights[0]", None),
        ("activations[1]", "forward"),
        ("y_hat", "forward"),
        ("loss", "forward"),
        ("timed: y_hat", "forward"),
        ("extreme: y_hat of NaN and infinity", "forward"),
        ("grads_w[0]", "backprop"),
        ("another seed: grads_b[1]", "backprop"),
        ("timed: grads_w[0]", "backprop"),
        ("stepped biases[1]", "backprop"),
        ("timed: weights[0]", "epoch"),
        ("training_loss", "epoch"),
    ],
)
def test_every_tensor_has_its_phase(name: str, phase: Any) -> None:
    assert phase_of(name) == phase


def test_parity_demands_all_of_what_is_offered_and_nothing_else() -> None:
    import numpy as np

    whole = {name: np.ones(2) for name in ("initial weights[0]", "y_hat", "timed: weights[0]")}
    reference = needed(whole, phases_of("sklearn"))
    offered = {name: array for name, array in whole.items() if name != "y_hat"}
    result = check(SMALL, "numpy", "sklearn", reference, offered, whole)
    assert result.ok
    assert [one.name for one in result.tensors] == ["initial weights[0]", "timed: weights[0]"]
    assert not check(SMALL, "numpy", "mojo", whole, offered, whole).ok
    without = {"initial weights[0]": np.ones(2)}
    assert (
        "timed: weights[0] is missing from sklearn"
        in check(SMALL, "numpy", "sklearn", reference, without, reference).reason
    )
    subnormal = "extreme: activations[1] of subnormal X"
    assert not demanded(subnormal, "jax")
    assert demanded(subnormal, "torch")
    assert demanded("extreme: y_hat of NaN and infinity", "jax")


def test_who_cannot_keep_subnormal_numbers_must_say_so_and_is_named() -> None:
    fair = {"threads": 1, "denormals": "kept", "rounding": "to nearest", "facts": {}}
    flushing = {**fair, "denormals": "flushed"}
    said = {"numpy": fair, "jax": flushing}
    fairness_checks = {one.name: one for one in of_workers("p", said, 1, flushing=["jax"])}
    assert fairness_checks["subnormals"].ok
    assert fairness_checks["subnormals"].found == "kept; flushed by jax, which cannot do otherwise"
    fairness_checks = {
        one.name: one for one in of_workers("p", {**said, "jax": fair}, 1, flushing=["jax"])
    }
    assert (
        "jax has denormals 'kept' where 'flushed' is needed" in fairness_checks["subnormals"].broken
    )
    assert not {one.name: one for one in of_workers("p", said, 1)}["subnormals"].ok
