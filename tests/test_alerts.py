"""deploy/prometheus: its files are what Prometheus reads, and their alerts ask for what /metrics tells."""

import re
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import reverse
from prometheus_client.parser import text_string_to_metric_families

from tests.compose import ROOT

FOLDER = ROOT / "deploy/prometheus"
(GROUP,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
RULES = GROUP["rules"]
WORDS = {"or", "and", "on", "absent", "queue"}
TOKEN = "a-token-of-more-than-twenty-letters"


@pytest.fixture
def families(db: None, settings: Any) -> dict[str, set[str]]:
    """The labels of each metric that has any rows, by name."""
    settings.METRICS_TOKEN = TOKEN
    text = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    read = text_string_to_metric_families(text)
    return {one.name: {label for sample in one.samples for label in sample.labels} for one in read}


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_asks_for_what_there_is(rule: dict[str, Any], families: dict[str, set[str]]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[mhd]", rule["for"]) and rule["labels"]["severity"] in ("critical", "warning")
    asked = set(re.findall(r"[a-z_]+", rule["expr"])) - WORDS
    assert asked and asked <= set(families)
    labels = set.union(*(families[name] for name in asked))
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels
    assert set(re.findall(r"on \((\w+)\)", rule["expr"])) <= labels


def test_prometheus_is_told_where_the_metrics_and_the_alerts_are() -> None:
    told = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert [(FOLDER / name).exists() for name in told["rule_files"]] == [True]
    (job,) = told["scrape_configs"]
    path = job.get("metrics_path", "/metrics")  # Prometheus' own default
    assert path == reverse("metrics") and job["authorization"]["type"] == "Bearer"


def test_the_operators_guide_names_every_metric(families: dict[str, set[str]]) -> None:
    page = (ROOT / "docs/operating.md").read_text()
    assert [name for name in families if f"`{name.removeprefix('punctual_')}`" not in page] == []
