"""prices refresh as a whole: what comes goes over the shipped prices, what fails leaves the rest."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from recorded_prices import answer

from mlship.cost.book import Dated
from mlship.cost.book_file import from_bytes, to_bytes
from mlship.cost.tables import book_from
from mlship.errors import Exit, FindingsError, MlshipError
from mlship.flows.context import Context
from mlship.flows.prices import covered, import_tables, own_book, price_book, shipped_book
from mlship.flows.prices_refresh import SERVICES, Wanted, refresh
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner

NOW = 1795384800.0  # 2026-11-22
READ = Dated("azure retail prices", "2026-11-22")


class Vendors:
    """All three, as recorded; failing: hosts, or parts of paths, that answer 500."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        if any(part in str(request.url) for part in self.failing):
            return httpx.Response(500, content=iter([b""]))
        if "interrupt" in self.failing and len(self.asked) > 3:
            raise KeyboardInterrupt
        status, headers, body = answer(request.url.path, request.url.query.decode())
        return httpx.Response(status, headers=headers, content=iter([body]))


@pytest.fixture
def context(tmp_path):
    def make(**environ):
        return Context(Home(tmp_path / "home"), LocalRunner(), Silent(), environ, tmp_path, lambda: NOW, "a@b")

    return make


def refreshed(context, vendors, cloud="", regions=(), services=()):
    wanted = Wanted(cloud, tuple(regions), tuple(services))
    return refresh(context, wanted, lambda seconds: None, httpx.MockTransport(vendors))


def test_prices_of_aws_go_before_the_shipped_ones_and_leave_what_they_do_not_tell(context):
    done = refreshed(context(), Vendors(), "aws", ["us-east-1"], ["vm", "fargate", "load_balancer"])
    assert (done.exit, done.missing) == (Exit.OK, ())
    book, before = price_book(context()), shipped_book().offer("aws", "us-east-1", "m7g.large")
    offer = book.offer("aws", "us-east-1", "m7g.large")
    assert (offer.on_demand, offer.reserved_1y, offer.sources.on_demand) == (
        0.0817,
        0.0541,
        Dated("aws price list", "2026-11-19"),
    )
    assert (offer.spot, offer.interruption, offer.sources.spot) == (before.spot, before.interruption, before.sources.spot)
    assert book.tiers("aws", "fargate", "us-east-1", "spot_vcpu_x86")[0].price == 0.0127
    assert book.offer("aws", "us-east-1", "c7g.large") == shipped_book().offer("aws", "us-east-1", "c7g.large")
    assert book.as_of == "2026-11-22"


def test_balancers_come_from_whichever_list_has_them(context):
    refreshed(context(), Vendors(), "aws", ["us-east-1", "eu-west-1"], ["load_balancer"])
    hours = {
        region: price_book(context()).tiers("aws", "load_balancer", region, "alb_hour") for region in ("us-east-1", "eu-west-1")
    }
    assert {region: tier.price for region, (tier,) in hours.items()} == {"us-east-1": 0.0225, "eu-west-1": 0.0252}


def test_pages_are_read_to_their_end(context):
    done = refreshed(context(), Vendors(), "azure", ["eastus"], ["vm", "egress_internet", "load_balancer"])
    offer = price_book(context()).offer("azure", "eastus", "Standard_D4s_v5")
    assert (offer.spot, offer.spot_is_listed, offer.sources.spot) == (0.0384, True, READ)
    assert offer.reserved_1y == pytest.approx(0.11324, abs=1e-5)
    assert (done.exit, done.offers, done.services) == (Exit.OK, 1, 4)


def test_google_is_asked_with_a_key_and_skipped_without(context):
    done = refreshed(context(), Vendors(), "", ["us-central1", "eastus"], ["vm", "cloud_run"])
    assert [missing.cloud for missing in done.skipped] == ["gcp"] and done.exit == Exit.OK
    done = refreshed(context(GOOGLE_API_KEY="k"), Vendors(), "gcp", ["us-central1"], ["vm", "cloud_run", "vertex_ai"])
    assert done.exit == Exit.OK
    book = price_book(context())
    assert book.offer("gcp", "us-central1", "n2-standard-4").sources.on_demand == Dated("gcp billing catalog", "2026-11-22")
    assert book.tiers("gcp", "cloud_run", "europe-west2", "vcpu_request_based")[-1].price == pytest.approx(3.36e-05)
    assert book.tiers("gcp", "vertex_ai", "us-central1", "online_prediction n1-standard-4")[0].price is not None
    assert book.offer("azure", "eastus", "Standard_D4s_v5").sources.spot == READ  # of the first call


@pytest.mark.parametrize(("cloud", "regions"), [("gcp", ()), ("", ("us-central1",))])
def test_google_alone_without_a_key_is_exit_8_and_writes_nothing(context, cloud, regions):
    with pytest.raises(FindingsError, match="no price was read") as caught:
        refreshed(context(), Vendors(), cloud, regions)
    assert caught.value.exit == Exit.DENIED and not context().home.prices.exists()
    (told,) = caught.value.findings
    assert "GOOGLE_API_KEY has none" in told.what and "set GOOGLE_API_KEY" in told.fix


def test_an_interface_that_is_gone_is_not_asked_forever(context):
    vendors = Vendors("prices.azure.com")
    with pytest.raises(FindingsError) as caught:
        refreshed(context(), vendors, "azure")
    assert caught.value.exit == Exit.UNREACHABLE and len(vendors.asked) == 12
    assert len(caught.value.findings) == 4
    assert caught.value.findings[-1].what == "it was not asked for any more"
    assert caught.value.findings[-1].where.startswith("azure all else of australiaeast, brazilsouth")


def test_what_fails_is_named_and_leaves_the_rest(context):
    done = refreshed(context(), Vendors("us-east-1/index.csv"), "aws", ["us-east-1", "eu-west-1"], ["vm"])
    assert done.exit == Exit.UNREACHABLE
    assert [missing.what for missing in done.missing] == ["us-east-1 AmazonEC2"]
    book = price_book(context())
    assert book.offer("aws", "eu-west-1", "m7g.large").on_demand == 0.0911
    assert book.offer("aws", "us-east-1", "m7g.large") == shipped_book().offer("aws", "us-east-1", "m7g.large")


def test_a_cloud_that_cannot_be_reached_leaves_the_others(context):
    done = refreshed(context(), Vendors("pricing.us-east-1"), "", ["us-east-1", "eastus"], ["vm"])
    assert [(missing.cloud, missing.what) for missing in done.missing] == [("aws", "us-east-1")]
    assert done.read == ("azure eastus machines",)


def test_a_region_that_the_vendor_does_not_have_is_named(context):
    with pytest.raises(FindingsError) as caught:
        refreshed(context(), Vendors(), "aws", ["us-east-9"], ["vm"])
    assert caught.value.exit == Exit.UNREACHABLE and not context().home.prices.exists()
    assert [str(finding) for finding in caught.value.findings] == [
        "aws us-east-9 AmazonEC2  the AWS price list has no AmazonEC2 of us-east-9; did you mean us-east-1?"
    ]


def test_what_was_there_stays_where_reading_is_interrupted(context):
    own = context().home.prices
    own.parent.mkdir(parents=True)
    own.write_bytes(before := to_bytes(book_from("2026-11-01")))
    with pytest.raises(KeyboardInterrupt):
        refreshed(context(), Vendors("interrupt"), "aws", ["us-east-1", "eu-west-1"], ["vm"])
    assert own.read_bytes() == before


def test_the_users_own_prices_stay_where_nothing_newer_came(context):
    own = context().home.prices
    own.parent.mkdir(parents=True)
    columns = "cloud,region,instance_type,arch,vcpus,memory_gib,on_demand_usd_hour,as_of,source\n"
    own.write_bytes(to_bytes(book_from("2026-11-01", columns + "aws,us-east-1,own.large,arm64,2,4,0.01,2026-11-01,ours\n")))
    refreshed(context(), Vendors(), "aws", ["us-east-1"], ["vm"])
    assert own_book(context()).offer("aws", "us-east-1", "own.large").on_demand == 0.01
    assert own_book(context()).offer("aws", "us-east-1", "m7g.large").on_demand == 0.0817


def test_tables_go_into_the_same_book_and_leave_what_was_refreshed(context, tmp_path):
    refreshed(context(), Vendors(), "aws", ["us-east-1"], ["vm"])
    (tmp_path / "managed.csv").write_text(
        "cloud,service,region,item,unit,price_usd\naws,fargate,us-east-1,vcpu_x86,vCPU-hour,0.03\n"
    )
    done = import_tables(context(), tmp_path, "2026-11-23")
    assert (done.offers, done.services, done.path) == (0, 1, context().home.prices)
    assert price_book(context()).offer("aws", "us-east-1", "m7g.large").on_demand == 0.0817
    assert price_book(context()).tiers("aws", "fargate", "us-east-1", "vcpu_x86")[0].price == 0.03
    import_tables(context(), tmp_path, "2026-11-23", tmp_path / "new" / "alone.book")
    assert not from_bytes((tmp_path / "new" / "alone.book").read_bytes()).offers


def test_the_guide_names_every_service_that_can_be_asked_for():
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
    for cloud, title in (("aws", "AWS"), ("gcp", "Google Cloud"), ("azure", "Azure")):
        (row,) = re.findall(rf"^\| {title} \| .*(?:account|GOOGLE_API_KEY).* \| (.*) \|$", guide, re.MULTILINE)
        assert set(re.findall("`([a-z0-9_]+)`", row)) == set(SERVICES[cloud])


def test_coverage_tells_the_users_own_book_and_how_old_its_spot_prices_are(context):
    assert covered(context()).own is None
    refreshed(context(), Vendors(), "aws", ["us-east-1"], ["vm"])
    refreshed(context(), Vendors(), "azure", ["eastus"], ["vm"])
    own = covered(context()).own
    assert (own.as_of, own.offers, own.spot, own.old_spot) == ("2026-11-22", 4, 1, 0)
    assert own.sources == ("aws price list", "azure retail prices")
    assert covered(context(), "azure").own.offers == 1


@pytest.mark.parametrize(
    ("wanted", "said", "fix"),
    [
        (Wanted("", ("us-est-1",)), "no cloud has the region us-est-1", "did you mean us-west-1?"),
        (Wanted("", ("moon",)), "no cloud has the region moon", r"name its cloud with --cloud aws\|gcp\|azure"),
        (Wanted("aws", (), ("fargat",)), "no cloud has the service fargat", "did you mean fargate?"),
        (Wanted("azure", (), ("fargate",)), "no cloud has the service fargate", "known: vm, container_apps"),
    ],
)
def test_names_that_nobody_knows_are_refused_before_anything_is_asked(context, wanted, said, fix):
    vendors = Vendors()
    with pytest.raises(MlshipError, match=said) as caught:
        refresh(context(), wanted, lambda seconds: None, httpx.MockTransport(vendors))
    assert fix.replace("\\", "") in caught.value.fix
    assert vendors.asked == []
