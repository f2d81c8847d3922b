"""CSV, Markdown and differences of plans."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from cost_plans import INCOMPLETE, OWN, SERVERLESS, UNPRICED, changed

from mlship.cost.candidate import Line
from mlship.cost.csv_text import COLUMNS, csv_text
from mlship.cost.diff import change_text, diff
from mlship.cost.markdown import diff_markdown, escaped, markdown


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# -- CSV --------------------------------------------------------------------------------------------------------------------


def test_csv_has_one_row_a_plan_with_unrounded_figures():
    first, second = rows(csv_text((OWN, SERVERLESS)))
    assert tuple(first) == COLUMNS
    assert (float(first["usd_month"]), float(first["usd_per_million"])) == (81.4, 1.5487)
    assert (first["replicas_min"], first["replicas_average"], first["replicas_peak"]) == ("2", "2.25", "6")
    assert (first["complete"], first["instance"], second["purchase"]) == ("true", "", "per-request")
    assert first["price_dates"] == "2026-03; 2026-10"


def test_csv_leaves_empty_what_nobody_knows():
    (row,) = rows(csv_text((UNPRICED,)))
    assert (row["usd_month"], row["usd_per_million"], row["complete"], row["unknowns"]) == ("", "", "false", "aws x")


def test_csv_carries_no_formula_into_a_spreadsheet():
    (row,) = rows(csv_text((changed(OWN, instance='=HYPERLINK("x"),1'),)))
    assert row["instance"] == '\'=HYPERLINK("x"),1'


# -- differences ------------------------------------------------------------------------------------------------------------


def test_a_difference_names_what_changed_and_by_how_much():
    after = replace(OWN, usd_month=93.8, usd_per_million=1.7846, lines=(*OWN.lines[:2], Line("nat", "NAT", 1, "hour", 19.7)))
    found = diff(OWN, after)
    assert change_text(found) == "+$12.40 a month (+15 %)"
    assert [(row.name, row.before, row.after, row.delta) for row in found.rows if row.is_changed] == [
        ("a month", "$81.40", "$93.80", "+$12.40"),
        ("a million requests", "$1.55", "$1.78", "+$0.24"),
        ("public IPv4", "$7.30", "-", "-$7.30"),
        ("NAT", "-", "$19.70", "+$19.70"),
    ]


def test_a_difference_of_nothing_says_so():
    found = diff(OWN, OWN)
    assert change_text(found) == "no change"
    assert not [row for row in found.rows if row.is_changed]


def test_an_unknown_price_makes_the_difference_unknown():
    for before, after in ((OWN, INCOMPLETE), (INCOMPLETE, OWN), (OWN, UNPRICED)):
        found = diff(before, after)
        assert (found.usd_month, change_text(found)) == (None, "unknown: a price is missing")


def test_from_nothing_there_is_no_share():
    assert change_text(diff(replace(OWN, usd_month=0.0), OWN)) == "+$81.40 a month"


# -- Markdown ---------------------------------------------------------------------------------------------------------------


def test_markdown_is_a_table_with_the_chosen_plan_in_bold():
    assert markdown((OWN, SERVERLESS, INCOMPLETE), "2026-11-21", chosen=0, verdict="ok, $81.40 of $150.00 a month") == (
        "### Cost estimate\n"
        "\n"
        "| target | region | purchase | replicas | USD a month | USD a million | idle | p99 |\n"
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |\n"
        "| **aws ecs 1 vCPU 2 GiB arm64** | **us-east-1** | **on-demand** | **2 / 2.2 / 6** | **$81.40** | **$1.55** | **$81.40** "
        "| **18 ms** |\n"
        "| aws lambda 2 GiB | us-east-1 | per request | - | $21.02 | $0.40 | $0 | 31 ms |\n"
        "| aws ecs 1 vCPU 2 GiB arm64 | us-east-1 | spot above 2 | 2 / 2.2 / 6 | at least $81.40 | at least $1.55 | $81.40 "
        "| 18 ms |\n"
        "\n"
        "Budget: ok, $81.40 of $150.00 a month\n"
        "\n"
        "**Unknown**, so that totals are at least what they say: aws us-east-1 fargate\\_spot vcpu\\_arm64\n"
        "\n"
        "Not included: LCU\n"
        "\n"
        "Prices as of 2026-11-21.\n"
        "\n"
        "<details><summary>Assumptions</summary>\n"
        "\n"
        "- a month has 730 hours\n"
        "- ecs arm64: 1 vCPU, whole cores (assumed)\n"
        "- each request finds a replica of its own\n"
        "\n"
        "</details>\n"
    )


def test_why_others_lost_is_folded_away():
    said = markdown((OWN,), "2026-11-21", why_not=("aws *x*: $1 more",))
    assert said.endswith("<details><summary>Why not</summary>\n\n- aws \\*x\\*: $1 more\n\n</details>\n")


def test_a_difference_as_markdown_shows_before_after_and_delta():
    after = replace(OWN, usd_month=93.8, usd_per_million=1.7846, lines=(*OWN.lines, Line("nat", "NAT|x", 1, "hour", 12.4)))
    said = diff_markdown(diff(OWN, after), "2026-11-21", base="main").splitlines()
    assert said[:7] == [
        "### Cost estimate: +$12.40 a month (+15 %)",
        "",
        "|  | main | this change | difference |",
        "| --- | ---: | ---: | ---: |",
        "| a month | $81.40 | $93.80 | +$12.40 |",
        "| a million requests | $1.55 | $1.78 | +$0.24 |",
        "| NAT\\|x | - | $12.40 | +$12.40 |",
    ]


def test_names_in_markdown_stay_text():
    assert escaped("a|b\n<img src=x> @team [x](y) `c` &lt; *d*") == (
        "a\\|b &lt;img src=x\\> &#64;team \\[x\\](y) \\`c\\` &amp;lt; \\*d\\*"
    )
