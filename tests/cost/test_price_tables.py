"""Tables of prices become a book, and a wrong cell is named with its place."""

from __future__ import annotations

import pytest

from mlship.cost.book import Dated, Machine, Offer, ServicePrice, Sources
from mlship.cost.tables import book_from, sources_from
from mlship.errors import MlshipError

INSTANCES = """\
cloud,region,instance_type,family,category,arch,vcpus,memory_gib,accelerator,accelerator_count,on_demand_usd_hour,\
spot_usd_hour,spot_basis,reserved_1y_usd_hour,reserved_3y_usd_hour,sustained_use_usd_hour,interruption_bucket,\
vcpu_is_physical_core,source,as_of
aws,us-east-1,c7g.large,c7g,compute,arm64,2,4.0,,0,0.0725,0.0309,snapshot,0.0457,0.0313,,5-10%,1,\
"KA + ES(reserved) + SA(spot,bucket) + CP(spot)",2026-07-20 / 2025-04-05 / 2025-06-28 / 2026-09-06
gcp,us-east1,g2-standard-4,g2,gpu,x86_64,4,,L4,1,0.7,,,,,,,0,GC,2026-07-30
"""
MANAGED = """\
cloud,service,region,item,unit,price_usd,tier_from,tier_to,source,as_of,note
gcp,egress_internet,us-east1,out,GB,0.12,0-1,,GC,2026-07-30,
gcp,egress_internet,us-east1,out,GB,0.08,10n,,GC,2026-07-30,
gcp,egress_internet,us-east1,out,GB,0.11,1-10,,GC,2026-07-30,
aws,egress_internet,us-east-1,out,GB,0.09,100,10240,IC,2026-09,
azure,azure_ml_online_endpoint,all,surcharge,instance-hour,0,,,docs,,no surcharge
azure,load_balancer,eastus,standard_lb,hour,,,,not found,,
"""


def test_an_offer_has_each_price_with_its_own_source_and_day():
    offer = book_from("2026-11-21", INSTANCES).offer("aws", "us-east-1", "c7g.large")
    assert offer == Offer(
        Machine("aws", "c7g.large", "c7g", "compute", "arm64", 2.0, 4.0, "", 0, True),
        "us-east-1",
        0.0725,
        0.0309,
        True,
        0.0457,
        0.0313,
        None,
        "5-10%",
        Sources(Dated("KA", "2026-07-20"), Dated("CP", "2026-09-06"), Dated("ES", "2025-04-05"), Dated("SA", "2025-06-28")),
    )


def test_what_the_table_leaves_empty_is_unknown_and_never_zero():
    offer = book_from("2026-11-21", INSTANCES).offer("gcp", "us-east1", "g2-standard-4")
    assert offer is not None and offer.machine.memory_gib is None
    assert (offer.spot, offer.reserved_1y, offer.sustained, offer.interruption) == (None, None, None, "")


def test_a_spot_price_is_of_the_day_of_whoever_told_it():
    told = "KA + SA(spot,bucket) + CP(spot)"
    days = "2026-07-20 / 2025-06-28 / 2026-09-06"
    assert sources_from(told, days, is_listed=True).spot == Dated("CP", "2026-09-06")
    assert sources_from(told, days, is_listed=False).spot == Dated("SA", "2025-06-28")


def test_tiers_come_in_order_and_in_one_unit():
    book = book_from("2026-11-21", managed=MANAGED)
    tiers = book.tiers("gcp", "egress_internet", "us-east1", "out")
    assert [(tier.above, tier.upto, tier.price) for tier in tiers] == [
        (0.0, 1024.0, 0.12),
        (1024.0, 10240.0, 0.11),
        (10240.0, None, 0.08),
    ]
    (tier,) = book.tiers("aws", "egress_internet", "us-east-1", "out")
    assert (tier.above, tier.upto) == (100.0, 10240.0)


def test_a_price_of_all_regions_is_every_regions():
    book = book_from("2026-11-21", managed=MANAGED)
    (price,) = book.tiers("azure", "azure_ml_online_endpoint", "westeurope", "surcharge")
    assert price.price == 0.0 and price.note == "no surcharge"
    assert book.tiers("azure", "load_balancer", "westeurope", "standard_lb") == ()
    assert [tier.price for tier in book.tiers("azure", "load_balancer", "eastus", "standard_lb")] == [None]


def test_another_books_prices_go_before_and_the_rest_stays():
    book = book_from("2026-11-21", INSTANCES, MANAGED)
    own = book_from("2026-12-01", INSTANCES.replace("0.0725", "0.05"), MANAGED.replace("0.09,100", "0.02,100"))
    only = book_from("2026-12-01", "\n".join(INSTANCES.replace("0.0725", "0.05").splitlines()[:2]))
    assert book.overridden(own).offer("aws", "us-east-1", "c7g.large").on_demand == 0.05
    assert book.overridden(only).offer("gcp", "us-east1", "g2-standard-4").on_demand == 0.7
    assert book.overridden(own).tiers("aws", "egress_internet", "us-east-1", "out")[0].price == 0.02
    assert len(book.overridden(own).services) == len(book.services) and book.overridden(only).as_of == "2026-12-01"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.0725", "cheap", "instances.csv:2  on_demand_usd_hour 'cheap' is no number"),
        ("0.0725", "-1", "on_demand_usd_hour '-1' is not a number from 0 on"),
        ("0.0725", "nan", "on_demand_usd_hour 'nan' is not a number from 0 on"),
        (",2,4.0,", ",,4.0,", "vcpus '' is not a number of processors"),
        ("gcp,us-east1", "ibm,us-east1", "instances.csv:3  cloud 'ibm' is none of aws, gcp, azure"),
        ("arch", "archi", "instances.csv:1  the table has no column arch"),
    ],
)
def test_what_is_wrong_with_a_table_is_named_with_its_line(old, new, said):
    with pytest.raises(MlshipError) as caught:
        book_from("2026-11-21", INSTANCES.replace(old, new, 1))
    error = caught.value
    assert said in f"{error.where}  {error.what}"


def test_a_service_price_keeps_what_its_table_says():
    price = book_from("2026-11-21", managed=MANAGED).services[3]
    assert price == ServicePrice(
        "aws", "egress_internet", "us-east-1", "out", "GB", 0.09, 100.0, 10240.0, Dated("IC", "2026-09"), ""
    )
