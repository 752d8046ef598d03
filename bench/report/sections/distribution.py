"""The section on distribution: readings of the cases that tell most, within a size. No files."""

from __future__ import annotations

from bench.analysis.distribution import in_order_of_telling, texts
from bench.analysis.run_analysis import RunAnalysis
from bench.model.numbers import count_text
from bench.report.charts.distribution import distribution_chart, names_of
from bench.report.elements.chart import Chart
from bench.report.elements.section import Section
from bench.report.elements.sentences import slot_names

MOST_CHARACTERS = 900_000
"""Of all charts of the section."""
MOST_OF_PAGE = 2_400_000
"""Characters of all charts of a page; where the others leave less, the section has less."""
MOST_CHARTS = 24
MOST_NAMED = 12
"""Cases that are named where they are left out; of more it says how many."""


def distribution_section(
    analysis: RunAnalysis, taken: int = 0, most_charts: int = MOST_CHARTS
) -> Section | None:
    """Show the readings themselves; None where none were taken.

    Charts are drawn in the order of telling until their size is used up, and stand in the order of
    the plan. Where there are too many, only those that are worth showing by themselves are drawn.

    Args:
        analysis: The run.
        taken: Characters of all other charts of the page.
        most_charts: Of more cases, only those that tell something by themselves are drawn, and so
            many at most.
    """
    histories = analysis.histories
    if not histories:
        return None
    names = names_of(*slot_names(analysis.run))
    places = {history.case: place for place, history in enumerate(histories)}
    drawn: dict[int, Chart] = {}
    size = 0
    order = in_order_of_telling(histories)
    if len(order) > most_charts:
        order = [chosen for chosen in order if chosen.reason][:most_charts] or order[:most_charts]
    for chosen in order:
        place = places[chosen.history.case]
        chart = distribution_chart(f"distribution_{place}", chosen, names)
        size += len(chart.svg)
        if size > min(MOST_CHARACTERS, MOST_OF_PAGE - taken):
            break
        drawn[place] = chart
    left = [history for place, history in enumerate(histories) if place not in drawn]
    text = [
        "Every reading in the order of taking, and beside it what share of the readings took at "
        "most that long: here drift, two ways of running and outliers can be seen. Statistics "
        "count invocations, not these readings."
    ]
    if left:
        named = "; ".join(texts(left[:MOST_NAMED]))
        more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
        text.append(
            f"{count_text(len(drawn), 'case')} of {len(histories)} are shown, so that the page "
            "stays small: first the one with the widest interval, the one with the most drifting "
            "invocations, and the shortest and the longest of each phase; others where there is "
            f"room. Left out: {named}{more}. samples.jsonl has their readings."
        )
    return Section(
        "distribution",
        "Distribution",
        "The readings themselves",
        text,
        folded=[drawn[place] for place in sorted(drawn)],
    )
