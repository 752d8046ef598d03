"""What `bench validate` found -> a page in Markdown and lines for the terminal. Pure.

Every figure with how many trials it rests on; what misses a goal is said as plainly as what meets
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.verdicts import BAND, LEAST_FOR_VERDICT
from bench.measuring.validation.simulation import MODELS, ROUNDS, Share
from bench.measuring.validation.trials import CASES
from bench.measuring.validation.trials_run import Claims, Validity
from bench.model.cases import case_text
from bench.model.tables import Table, markdown_lines

COVERAGE_GOAL = (0.93, 0.97)
EXCLUDING_GOAL = (0.03, 0.07)
DIFFERENT_GOAL = (0.0, 0.05)


@dataclass(frozen=True, slots=True)
class Line:
    """One goal, what was found, and what that says of the goal."""

    what: str
    found: str
    goal: str
    state: Literal["met", "open", "MISSED"]  # open: outside the goal, by too few trials to tell


def summary(found: Validity) -> list[Line]:
    """Hold every finding against its goal.

    A share of few trials is not known exactly. Outside its goal, it misses it where its whole 95 %
    interval lies outside, and leaves it open otherwise.
    """
    lines = [_coverage_line(found)] if found.coverage else []
    for claim in found.claims:
        where = f"{claim.size}, {claim.neighbour}"
        lines += [
            _share_line(
                f"A/A intervals that exclude 1, {where}", claim.ours.excluding, EXCLUDING_GOAL
            ),
            _share_line(
                f"A/A verdicts FASTER or SLOWER, {where}", claim.ours.different, DIFFERENT_GOAL
            ),
        ]
    if found.claims:
        every = [claim.ours.excluding for claim in found.claims]
        pooled = Share(sum(one.hits for one in every), sum(one.of for one in every))
        lines.append(_share_line("A/A intervals that exclude 1, together", pooled, EXCLUDING_GOAL))
    refused = [one for one in found.refusals if one.words]
    twins = [one for one in found.refusals if not one.words]
    right = sum(one.ok for one in refused)
    if not found.refusals:
        return lines
    lines += [
        Line(
            "seeded faults refused for the right reason",
            f"{right} of {len(refused)}",
            "all",
            _met(right == len(refused)),
        ),
        Line(
            "twins without a fault that pass",
            f"{sum(one.ok for one in twins)} of {len(twins)}",
            "all",
            _met(all(one.ok for one in twins)),
        ),
    ]
    return lines


def page(found: Validity, command: str) -> str:
    """Write everything as Markdown.

    Args:
        found: What `validate` returned.
        command: What was typed.
    """
    return "\n".join(_page(found, command)) + "\n"


def _page(found: Validity, command: str) -> Iterator[str]:
    machine, software = found.environment.machine, found.environment.software
    yield from (
        "# Is the harness right?",
        "",
        f"Written by `{command}` in {found.minutes:.0f} minutes on {machine.get('cpu')}, "
        f"{machine.get('cores allowed')} cores, hypervisor {machine.get('hypervisor')}, with NumPy "
        f"{software.get('numpy')}; load before {machine.get('load')}. How it is done stands in "
        "`bench/measuring/validation/trials_run.py`; what the words mean in "
        "[method.md](method.md).",
        "",
        "A share of few trials is known only so far: brackets hold the 95 % interval of Clopper "
        "and Pearson. Outside its goal a share misses it where all of the interval lies outside, "
        "and else leaves it open.",
        "",
    )
    yield from _table(
        ("", "found", "goal", ""),
        [(one.what, one.found, one.goal, one.state) for one in summary(found)],
    )
    yield from _claims(found)
    yield from _coverage(found)
    yield from _power(found)
    yield from _refusals(found)


def _claims(found: Validity) -> Iterator[str]:
    if not found.claims:
        return
    yield from (
        "## NumPy against itself",
        "",
        "The same implementation as two workers, so whatever is claimed is false. A trial is a run "
        f"of {LEAST_FOR_VERDICT} invocations. "
        + "; ".join(f"{one.size}: {case_text(CASES[one.size])}" for one in _sizes(found.claims))
        + ". Busy: another process keeps one core busy all the while. Between the trials, on the "
        "same case, other tools time NumPy twice, one after the other, with their own settings: "
        "pyperf calls the two significantly different or not; pytest-benchmark has no test and is "
        "given `--benchmark-compare-fail=median:2%` in both directions.",
        "",
    )
    tools = list(dict.fromkeys(name for claim in found.claims for name in claim.rivals))
    rows = [
        (
            claim.size,
            claim.neighbour,
            share_text(claim.ours.excluding),
            share_text(claim.ours.different),
            *(share_text(claim.rivals[name]) if name in claim.rivals else "–" for name in tools),
        )
        for claim in found.claims
    ]
    heads = ("size", "machine", "intervals that exclude 1", "FASTER or SLOWER")
    yield from _table((*heads, *(f"{name}: different" for name in tools)), rows)


def _coverage(found: Validity) -> Iterator[str]:
    if not found.coverage:
        return
    yield from (
        "## Coverage",
        "",
        f"Simulated runs of {ROUNDS} rounds with a known ratio: how many 95 % intervals hold it. "
        f"{found.extent.simulated:,} runs of each model. Processes differ by the spread named; "
        "readings by 1 %; tails: every tenth reading is late by an exponential time of 30 % in the "
        "mean; drift: the machine loses 20 % of its speed over the run.",
        "",
    )
    shares = dict(found.coverage)
    noises = list(dict.fromkeys(model.noise for model in MODELS))
    kinds = sorted({(model.process_spread, model.invocations) for model in MODELS})
    rows = []
    for spread, invocations in kinds:
        mine = {
            model.noise: share
            for model, share in shares.items()
            if (model.process_spread, model.invocations) == (spread, invocations)
        }
        cells = [f"{mine[noise].value:.1%}" if noise in mine else "–" for noise in noises]
        rows.append((f"{spread:.0%}", str(invocations), *cells))
    yield from _table(("between processes", "invocations", *noises), rows)


def _power(found: Validity) -> Iterator[str]:
    if not found.power:
        return
    size = found.power[0][0]
    yield from (
        "## Power",
        "",
        f"NumPy against NumPy that does more repetitions than it says ({case_text(CASES[size])}; "
        f"the share is that of whole repetitions). Differences up to {BAND:.0%} are of no interest "
        "to a verdict, so it does not call them SLOWER unless the interval leaves the band.",
        "",
    )
    rows = [
        (
            f"{one.slower_by:.2%}",
            f"{one.found:.2%}",
            f"{one.found - one.slower_by:+.2%}",
            f"±{one.half_width:.2%}",
            share_text(one.excluding),
            share_text(one.slower),
        )
        for _, one in found.power
    ]
    heads = ("slower by", "found", "bias", "interval", "intervals below 1", "verdict SLOWER")
    yield from _table(heads, rows)


def _refusals(found: Validity) -> Iterator[str]:
    if not found.refusals:
        return
    yield from (
        "## Seeded faults",
        "",
        "Wrong and unfair implementations, made on purpose in "
        "`bench/measuring/validation/seeded_faults.py`. Each is "
        "run like any other; the reason is the one a user reads.",
        "",
    )
    rows = [
        (
            one.name,
            one.about,
            one.reason.replace("bench.measuring.validation.seeded_faults:", "").replace("|", "\\|")
            or "passes",
            "right" if one.ok else "WRONG",
        )
        for one in found.refusals
    ]
    yield from _table(("implementation", "what it does", "INVALID, because", ""), rows)


def share_text(share: Share) -> str:
    """Write a share with what it rests on: `4.0 % [1.1, 9.9] of 100`."""
    if not share.of:
        return "–"
    low, high = share.interval
    return f"{share.value:.1%} [{100 * low:.1f}, {100 * high:.1f}] of {share.of}"


def _share_line(what: str, share: Share, goal: tuple[float, float]) -> Line:
    low, high = share.interval
    text = f"{goal[0]:.0%} to {goal[1]:.0%}" if goal[0] else f"at most {goal[1]:.0%}"
    if goal[0] <= share.value <= goal[1]:
        return Line(what, share_text(share), text, "met")
    overlap = low <= goal[1] and high >= goal[0]
    return Line(what, share_text(share), text, "open" if overlap else "MISSED")


def _met(ok: bool) -> Literal["met", "MISSED"]:
    return "met" if ok else "MISSED"


def _coverage_line(found: Validity) -> Line:
    values = [share.value for _, share in found.coverage]
    low, high = COVERAGE_GOAL
    return Line(
        f"intervals that hold the truth, {len(values)} models",
        f"{min(values):.1%} to {max(values):.1%}",
        f"{low:.0%} to {high:.0%}",
        _met(low <= min(values) and max(values) <= high),
    )


def _sizes(claims: Iterable[Claims]) -> list[Claims]:
    return list({claim.size: claim for claim in claims}.values())


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from markdown_lines(Table(heads, rows))
    yield ""
