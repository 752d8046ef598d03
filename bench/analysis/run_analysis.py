"""One run with all that is derived of it, each thing once: what everything after storage takes.

The readings are sorted when the object is made; everything else is derived when it is first asked
for, and kept. Pure: no clock, no files, no text for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from bench.analysis.breakdown import Split, splits_of
from bench.analysis.distribution import History, histories_of
from bench.analysis.intervals import Floats
from bench.analysis.ladder_steps import Step, steps_of
from bench.analysis.readings import (
    Disturbance,
    Others,
    Readings,
    ReadTimes,
    disturbance_of,
    readings_by_candidate,
    readings_of,
    sort_samples,
)
from bench.analysis.roofline import LogRates, log_rates_of, rates_of, shares_of
from bench.analysis.scaling import Crossover, Setting, crossover, settings_of
from bench.analysis.verdicts import geometric_means, results_of
from bench.model.cases import case_id
from bench.model.records import (
    Case,
    Cost,
    FairnessCheck,
    Fault,
    ParityResult,
    Rate,
    Ratio,
    Result,
    Run,
    Sample,
    Share,
    TimeEstimate,
    WorkerSpec,
)
from bench.model.slots import narrowed


class Recorded(Protocol):
    """A run as `bench.storage.runs` reads it."""

    @property
    def run(self) -> Run: ...  # noqa: D102
    @property
    def samples(self) -> tuple[Sample, ...]: ...  # noqa: D102
    @property
    def parity(self) -> tuple[ParityResult, ...]: ...  # noqa: D102
    @property
    def faults(self) -> tuple[Fault, ...]: ...  # noqa: D102
    @property
    def contract(self) -> tuple[FairnessCheck, ...]: ...  # noqa: D102
    @property
    def costs(self) -> tuple[Cost, ...]: ...  # noqa: D102
    @property
    def training(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class RunAnalysis:
    """A run, what was recorded of it, and what follows from that."""

    run: Run
    times: ReadTimes  # the readings that count, sorted
    samples: Sequence[Sample]  # all of them, as they were recorded
    parity: Sequence[ParityResult]
    faults: Sequence[Fault]
    fairness: Sequence[FairnessCheck] = ()
    costs: Sequence[Cost] = ()
    training: Mapping[str, Floats] = field(default_factory=dict)
    notes: Sequence[str] = ()  # what was tolerated in reading, for people
    whole: RunAnalysis | None = None  # the run of which this is what one candidate sees

    @cached_property
    def cases(self) -> dict[str, Case]:
        """All cases by id, in the order of the plan."""
        return {case_id(case): case for case in self.run.plan.cases}

    @cached_property
    def readings(self) -> dict[str, Readings]:
        """Complete invocations by case id, of all workers together."""
        return readings_of(self.run, self.times, self.parity, self.faults)

    @cached_property
    def each(self) -> dict[str, dict[str, Readings]]:
        """Complete invocations by a candidate's label and case id: each beside the baseline."""
        return readings_by_candidate(self.run, self.times, self.parity, self.faults)

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """One result per case and candidate, as `bench.analysis.verdicts` derives them."""
        if self.whole is not None:  # Holm's correction is over all candidates
            labels = {spec.label for spec in self.run.candidates}
            return tuple(one for one in self.whole.results if one.candidate in labels)
        return results_of(self.run, self.each)

    @cached_property
    def estimates(self) -> dict[str, dict[str, TimeEstimate]]:
        """Times of one repetition by case id and label."""
        found: dict[str, dict[str, TimeEstimate]] = {}
        for result in self.results:
            found.setdefault(case_id(result.case), {}).update(result.times)
        return found

    @cached_property
    def means(self) -> tuple[Ratio, ...]:
        """The geometric mean of the ratios of each phase and candidate."""
        return geometric_means(self.run, self.each)

    @cached_property
    def _log_rates(self) -> LogRates:
        return log_rates_of(self.run, self.readings)

    @cached_property
    def rates(self) -> tuple[Rate, ...]:
        """What the probes of the machine found."""
        return rates_of(self.run, self._log_rates)

    @cached_property
    def shares(self) -> tuple[Share, ...]:
        """The part of the machine's peak that each worker reaches in each case."""
        return shares_of(self.run, self._log_rates)

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        """Where the time of each phase goes."""
        return splits_of(self.run, self.readings)

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """The cases by phase, dtype and threads, small ones first."""
        return settings_of(self.run, self.readings, self.results)

    @cached_property
    def crossovers(self) -> tuple[Crossover, ...]:
        """The sizes at which the faster side changes, for each of `settings`."""
        return tuple(crossover(setting) for setting in self.settings)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What each step of the ladder buys."""
        return steps_of(self.run, self.each)

    @cached_property
    def histories(self) -> tuple[History, ...]:
        """All readings of each case, in the order of taking."""
        return histories_of(self.run, self.samples, self.results)

    @cached_property
    def disturbance(self) -> Disturbance:
        """What the system did while samples were taken."""
        return disturbance_of(self.samples)

    @cached_property
    def of_main(self) -> RunAnalysis:
        """The run as its main candidate sees it: for what compares two sides."""
        return self.seen_by(self.run.main)

    def seen_by(self, candidate: WorkerSpec) -> RunAnalysis:
        """Leave one candidate in a run, beside both slots of its baseline.

        What is derived of a case is the same as in the whole run. The results are those of the
        whole run, as Holm's correction is over all candidates.
        """
        if self.run.candidates == (candidate,):
            return self
        others = Others(self.run, candidate)
        times = {
            name: {
                number: {k: v for k, v in by_label.items() if k not in others.labels}
                for number, by_label in by_number.items()
            }
            for name, by_number in self.times.items()
        }
        return replace(
            self,
            run=narrowed(self.run, candidate),
            times=times,
            samples=others.left_out(self.samples),
            parity=others.left_out(self.parity),
            faults=others.left_out(self.faults),
            whole=self,
        )


def analyse(
    run: Run,
    samples: Iterable[Sample],
    parity: Iterable[ParityResult],
    faults: Iterable[Fault],
) -> RunAnalysis:
    """Sort what was recorded of a run."""
    samples = tuple(samples)
    return RunAnalysis(run, sort_samples(samples), samples, tuple(parity), tuple(faults))


def analyse_stored(stored: Recorded) -> RunAnalysis:
    """Sort what is stored of a run."""
    return replace(
        analyse(stored.run, stored.samples, stored.parity, stored.faults),
        fairness=stored.contract,
        costs=stored.costs,
        training=stored.training,
        notes=stored.notes,
    )
