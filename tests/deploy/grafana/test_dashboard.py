"""The dashboard as a file: up to date, readable, and about metrics that there are."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations, pairwise
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.generator.__main__ import CHART, DASHBOARD, RULES
from deploy.grafana.generator.connections import PHASE_COLORS
from deploy.grafana.generator.dashboard import WIDTH, alerts, text
from rotator.confluent.phases import condition
from rotator.model.run import Result, RunResult
from rotator.observe.connections import PHASES
from tests.deploy.prometheus.test_rules import ALERTS
from tests.deploy.prometheus.test_rules import DOCUMENT as RULE_FILE
from tests.support.dashboard import DOCUMENT, PANELS, ROWS, VARIABLES, expressions
from tests.support.metrics import OF_A_SCRAPE, described

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RECORDED = {
    rule["record"]: frozenset({"rotation"})
    for group in RULE_FILE["groups"]
    for rule in group["rules"]
    if "record" in rule
}
OF_ALERTS = frozenset(
    {"alertname", "alertstate", "severity", "rotation", "target", "source", "connection"}
)
KNOWN = described() | RECORDED | {"ALERTS": OF_ALERTS}

panels = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
queries = pytest.mark.parametrize("query", expressions(), ids=str)


def test_the_file_is_what_the_code_makes() -> None:
    assert DASHBOARD.read_text() == text(), "make dashboard"


@pytest.mark.parametrize("original", [DASHBOARD, RULES], ids=lambda path: path.name)
def test_the_chart_s_copy_is_the_same(original: Any) -> None:
    assert (CHART / original.name).read_bytes() == original.read_bytes(), "make dashboard"


def test_grafana_s_types_take_it_whole() -> None:
    """Whatever the types don't know would be gone when they write it again."""
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(DOCUMENT), cls=JSONEncoder))
    expected = json.loads(json.dumps(DOCUMENT))
    for mark in expected["annotations"]["list"]:
        # Known to the data source alone, which takes any property.
        for extra in ("useValueForTime", "titleFormat", "step"):
            del mark[extra]
    for panel in (*again["panels"], *expected["panels"]):
        # Read back, a kind of panel that could have options for its fields has an empty set.
        if panel.get("fieldConfig", {}).get("defaults", {}).get("custom") == {}:
            del panel["fieldConfig"]["defaults"]["custom"]
    assert again == expected


def test_where_it_is_found() -> None:
    assert DOCUMENT["uid"] == "rotator"
    assert DOCUMENT["schemaVersion"] >= 39, "of Grafana 11"
    assert "rotator" in DOCUMENT["tags"]
    assert "id" not in DOCUMENT, "each Grafana has its own"
    assert DOCUMENT["links"][0]["url"] == "${runbooks:raw}"


def test_ids_are_unique_and_titles_too() -> None:
    ids = [panel["id"] for panel in DOCUMENT["panels"]]
    assert len(set(ids)) == len(ids)
    titles = Counter(panel["title"] for panel in PANELS)
    assert titles.most_common(1)[0][1] == 1


def test_nothing_overlaps_and_no_line_has_a_hole() -> None:
    taken = {
        (x, y): panel["title"]
        for panel in DOCUMENT["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }
    areas = [panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in DOCUMENT["panels"]]
    assert len(taken) == sum(areas)
    assert {x for x, _ in taken} == set(range(WIDTH))
    assert len(taken) == WIDTH * (max(y for _, y in taken) + 1)


def test_the_rows_are_in_order() -> None:
    assert DOCUMENT["panels"][0] == ROWS[0]
    tops = [panel["gridPos"]["y"] for panel in DOCUMENT["panels"]]
    assert all(above <= below for above, below in pairwise(tops))


@panels
def test_each_says_how_to_read_it(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 40
    assert panel["fieldConfig"]["defaults"]["noValue"]


@panels
def test_each_asks_the_source_that_was_chosen(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == SOURCE
    assert all(target["datasource"] == SOURCE for target in panel["targets"])
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == [chr(ord("A") + n) for n in range(len(letters))]


def test_no_source_is_written_into_it() -> None:
    """Neither by id nor by name: it can be imported anywhere."""
    told = re.findall(r'"uid": "([^"]+)"', json.dumps(DOCUMENT))
    assert set(told) == {"rotator", "${datasource}"}
    assert set(VARIABLES) == {"datasource", "namespace", "job", "target", "rotation", "runbooks"}
    for name in ("target", "rotation"):
        assert VARIABLES[name]["multi"]
        assert VARIABLES[name]["includeAll"]
        assert VARIABLES[name]["query"].startswith("label_values(rotator_")


@panels
def test_colour_is_never_the_only_sign(panel: dict[str, Any]) -> None:
    """Words where a number stands for something else, a number or a legend elsewhere."""
    if panel["type"] == "state-timeline":
        words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        assert all(word["text"] for word in words.values())
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"]
        assert all(target["legendFormat"] for target in panel["targets"])


def test_every_colour_belongs_to_a_known_value() -> None:
    assert set(PHASE_COLORS) == {*PHASES, "ACTIVE"}
    assert condition("ACTIVE") is condition("READY")
    given = {
        panel["title"]: {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
        for panel in PANELS
        if panel["type"] == "timeseries"
    }
    assert given["Credentials"] == {str(outcome) for outcome in Result}
    counted = {RunResult.SUCCEEDED, RunResult.FAILED, RunResult.REFUSED}
    assert given["Runs that ended"] == {str(result) for result in counted}


@panels
def test_tables_name_the_columns_that_they_have(panel: dict[str, Any]) -> None:
    """Nothing is left as `Value #A`, and no override is for a column that isn't there."""
    if panel["type"] != "table":
        return
    shape = panel["transformations"][-1]["options"]
    shown = set(shape["renameByName"].values())
    assert {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]} <= shown
    letters = [target["refId"] for target in panel["targets"]]
    values = {f"Value #{letter}" for letter in letters} if len(letters) > 1 else {"Value"}
    assert values <= set(shape["renameByName"]) | set(shape["excludeByName"])


@panels
def test_tables_of_connections_are_cut_short(panel: dict[str, Any]) -> None:
    """There may be 5,000: whatever keeps their names asks for a few."""
    for target in panel["targets"]:
        names = re.search(r"by \([^)]*\bconnection\b", target["expr"])
        assert not names or "topk(" in target["expr"]
    if panel["type"] == "timeseries":
        assert "connection}}" not in str([t["legendFormat"] for t in panel["targets"]])


@panels
def test_queries_over_all_connections_return_few_points(panel: dict[str, Any]) -> None:
    over_time = [target for target in panel["targets"] if target["range"]]
    if any("rotator_connection_" in target["expr"] for target in over_time):
        assert panel["maxDataPoints"] <= 100


@queries
def test_each_metric_and_label_is_one_of_rotator_s(query: Any) -> None:
    used = re.findall(r"([a-zA-Z_][\w:]*)\{([^}]*)\}", query.text)
    assert used
    everywhere: set[str] = {"le", "runbook"} | OF_A_SCRAPE
    for name, matchers in used:
        assert name in KNOWN
        everywhere |= KNOWN[name]
        assert set(re.findall(r"(\w+)[=!]~?\"", matchers)) <= KNOWN[name] | OF_A_SCRAPE
    assert not re.search(r"\b(rotator_\w+|ALERTS)\b(?!\{)", query.text), "each is narrowed"
    for labels in re.findall(r"(?:by|on|group_left) \(([^)]*)\)", query.text):
        assert {label.strip() for label in labels.split(",") if label} <= everywhere


def test_every_metric_is_on_the_dashboard() -> None:
    asked = " ".join(query.text for query in expressions())
    missing = {name for name in described() if name.removesuffix("_bucket") not in asked}
    missing = {name for name in missing if not name.endswith(("_sum", "_count"))}
    assert missing == set()


def test_links_lead_to_runbooks_that_exist() -> None:
    assert alerts() == list(ALERTS)
    links = [link["url"] for panel in PANELS for link in panel.get("links", [])]
    anchors = {link.removeprefix("${runbooks:raw}#") for link in links}
    assert anchors == {name.lower() for name in ALERTS}, "each alert has a panel that explains it"


def test_no_two_queries_of_a_panel_are_the_same() -> None:
    for panel in PANELS:
        asked = [target["expr"] for target in panel["targets"]]
        assert all(one != other for one, other in combinations(asked, 2))
