"""How panels look: few kinds, each with what all of its kind have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import (
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

FEW = 100
"""Points over time, of what Prometheus has to go through all connections for."""

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"


@dataclass(frozen=True, slots=True)
class Line:
    """A query over time; `exemplars` are the ids of runs that rotator puts beside its counts."""

    expr: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """How a value is written: its unit, its words, and which colour it has from where on."""

    unit: str = "short"
    steps: Sequence[tuple[float, str]] = ()
    """From this value on this colour; below the first, `base`."""
    base: str = GREEN
    words: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Value → word and colour: what a colour says is always said in words or numbers too."""
    decimals: int | None = None

    def thresholds(self) -> builders.ThresholdsConfig:
        steps = [Threshold(None, self.base), *(Threshold(*step) for step in self.steps)]
        return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)

    def mappings(self) -> list[ValueMapping]:
        words = {
            str(value): ValueMappingResult(word, color, index=index)
            for index, (value, (word, color)) in enumerate(self.words.items())
        }
        return [ValueMap(words)] if words else []

    @property
    def coloured(self) -> bool:
        return bool(self.steps or self.words)


def runbook(*alerts: str) -> list[builders.DashboardLink]:
    """Anchors of headings are in lower case where Markdown is shown."""
    return [
        builders.DashboardLink(f"Runbook: {alert}")
        .type(DashboardLinkType.LINK)
        .url(f"${{runbooks:raw}}#{alert.lower()}")
        .target_blank(True)
        for alert in alerts
    ]


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _query(expr: str, ref: int, kind: PromQueryFormat) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(expr).format(kind).ref_id(_letter(ref))
    return made.datasource(DATASOURCE)


def _over_time(lines: Sequence[Line], step: str = "") -> list[prometheus.Dataquery]:
    """`step` is the least that lies between two points."""
    made = [
        _query(line.expr, n, PromQueryFormat.TIME_SERIES)
        .range()
        .legend_format(line.legend)
        .exemplar(line.exemplars)
        for n, line in enumerate(lines)
    ]
    return [query.interval(step) for query in made] if step else made


def _placed(panel: Panel, width: int, height: int) -> Panel:
    panel.grid_pos = GridPos(w=width, h=height)
    panel.datasource = DATASOURCE
    return panel


def number(
    title: str,
    description: str,
    expr: str,
    look: Look,
    *,
    nothing: str,
    legend: str = "",
    alerts: Sequence[str] = (),
    width: int = 3,
) -> Panel:
    """One number as it is now; `nothing` is what stands there where Prometheus has no answer."""
    made = (
        stat.Panel()
        .title(title)
        .description(description)
        .with_target(
            _query(expr, 0, PromQueryFormat.TIME_SERIES).instant().legend_format(legend or title)
        )
        .unit(look.unit)
        .mappings(look.mappings())
        .thresholds(look.thresholds())
        .no_value(nothing)
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .text_mode(common.BigValueTextMode.AUTO)
        .links(list(runbook(*alerts)))
    )
    if look.decimals is not None:
        made = made.decimals(look.decimals)
    return _placed(made.build(), width, 4)


def graph(
    title: str,
    description: str,
    lines: Sequence[Line],
    look: Look,
    *,
    stacked: bool = False,
    bars: bool = False,
    colors: Mapping[str, str] | None = None,
    lowest: float | None = 0,
    highest: float | None = None,
    points: int | None = None,
    alerts: Sequence[str] = (),
    width: int = 8,
    height: int = 8,
) -> Panel:
    """`colors` are by legend. The thresholds of `look` are drawn as lines."""
    made = (
        timeseries.Panel()
        .title(title)
        .description(description)
        # $__rate_interval is a scrape longer than a step: the longer steps are, the less is in two.
        .targets(list(_over_time(lines, "2m" if bars else "")))
        .unit(look.unit)
        .thresholds(look.thresholds())
        .no_value("no data")
        .line_width(1)
        .fill_opacity(60 if stacked or bars else 5)
        .show_points(common.VisibilityMode.AUTO)
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .legend(
            options.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            options.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .links(list(runbook(*alerts)))
    )
    if look.steps:
        dashed = options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        made = made.thresholds_style(dashed)
    if stacked:
        made = made.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if lowest is not None:
        made = made.min(lowest)
    if highest is not None:
        made = made.axis_soft_max(highest)
    if points is not None:
        made = made.max_data_points(points)
    for name, color in (colors or {}).items():
        fixed = {"mode": FieldColorModeId.FIXED, "fixedColor": color}
        made = made.override_by_name(name, [DynamicConfigValue("color", fixed)])
    return _placed(made.build(), width, height)


def heat(title: str, description: str, expr: str, *, width: int = 12, height: int = 9) -> Panel:
    """`expr` counts by `le`, in seconds and cumulative, as the buckets of a histogram do."""
    made = (
        heatmap.Panel()
        .title(title)
        .description(description)
        .with_target(_query(expr, 0, PromQueryFormat.HEATMAP).range().legend_format("{{le}}"))
        .max_data_points(FEW)
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(32)
        )
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(common.AxisPlacement.LEFT))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.LE))
        .cell_values(heatmap.CellValues().unit("short").decimals(0))
        .show_value(common.VisibilityMode.AUTO)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .cell_gap(1)
        .show_legend()
        .no_value("no data")
    )
    return _placed(made.build(), width, height)


def states(
    title: str,
    description: str,
    line: Line,
    look: Look,
    *,
    alerts: Sequence[str] = (),
    width: int = 12,
    height: int = 8,
) -> Panel:
    """What held when, a line for each series."""
    made = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .targets(list(_over_time([line])))
        .mappings(look.mappings())
        .thresholds(look.thresholds())
        .color_scheme(builders.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .no_value("no data")
        .line_width(0)
        .fill_opacity(70)
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .per_page(20)
        .links(list(runbook(*alerts)))
    )
    return _placed(made.build(), width, height)


@dataclass(frozen=True, slots=True)
class Column:
    """Either a label of the series or, with `expr`, the value of a query."""

    name: str
    """Empty: the value is not shown, since only the labels of the query count."""
    label: str = ""
    expr: str = ""
    look: Look = Look()
    link: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Value of a label → what is shown instead."""


def rows(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    nothing: str,
    alerts: Sequence[str] = (),
    sort: str = "",
    width: int = 12,
    height: int = 9,
) -> Panel:
    """A table as of now: a line for each combination of labels, whichever query has it."""
    asked = [column for column in columns if column.expr]
    values = [f"Value #{_letter(n)}" if len(asked) > 1 else "Value" for n in range(len(asked))]
    named = [(column.label or values[asked.index(column)], column.name) for column in columns]
    hidden = ["Time", *(["Value"] if len(asked) > 1 else []), *(f for f, name in named if not name)]
    shape = {
        # A value is called Value, without its letter, where no other query of the table has any.
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {field: n for n, (field, _) in enumerate(named)},
        "renameByName": {field: name for field, name in named if name},
    }
    made = (
        table.Panel()
        .title(title)
        .description(description)
        .targets([_query(c.expr, n, PromQueryFormat.TABLE).instant() for n, c in enumerate(asked)])
        .transformations(
            [
                *([DataTransformerConfig("merge", options={})] if len(asked) > 1 else []),
                DataTransformerConfig("organize", options=shape),
            ]
        )
        .no_value(nothing)
        .show_header(True)
        .filterable(True)
        .links(list(runbook(*alerts)))
    )
    if sort:
        made = made.sort_by([options.TableSortByFieldState().display_name(sort).desc(True)])
    for column in columns:
        if properties := _properties(column):
            made = made.override_by_name(column.name, properties)
    return _placed(made.build(), width, height)


def _properties(column: Column) -> list[DynamicConfigValue]:
    found: list[DynamicConfigValue] = []
    look = column.look
    if column.expr and column.name:
        found.append(DynamicConfigValue("unit", look.unit))
        if look.decimals is not None:
            found.append(DynamicConfigValue("decimals", look.decimals))
    if look.coloured:
        cell = {"type": "color-text"}
        found += [
            DynamicConfigValue("thresholds", look.thresholds().build()),
            DynamicConfigValue("mappings", look.mappings()),
            DynamicConfigValue("custom.cellOptions", cell),
        ]
    if column.texts:
        words = {value: ValueMappingResult(text) for value, text in column.texts.items()}
        found.append(DynamicConfigValue("mappings", [ValueMap(words)]))
    if column.link:
        link = {"title": "Open the runbook", "url": column.link, "targetBlank": True}
        found.append(DynamicConfigValue("links", [link]))
    return found
