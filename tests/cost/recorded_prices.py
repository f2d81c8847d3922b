"""Answers of the vendors' price interfaces: few items, in the form and with the figures in which they were published.

AWS: columns of AmazonEC2's CSV as published 2025-09-12 (Price List Bulk API, read for a public how-to); usage
types, units and prices of the other services as public tools recorded them in 2026-09. Azure: fields of the documentation of the Retail
Prices API (learn.microsoft.com, 2026-11); prices of eastus as recorded 2026-08 (reservation of D4ds v5: 1168 and 2257 dollars) and of
westus2 (Container Apps, 2026-09). Google: fields of services.skus.list (cloud.google.com, 2026-11), rates of us-central1 of 2026-09.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

_NAMES = (
    "SKU,OfferTermCode,RateCode,TermType,PriceDescription,EffectiveDate,StartingRange,EndingRange,Unit,PricePerUnit,Currency,RelatedTo,"
    "LeaseContractLength,PurchaseOption,OfferingClass,Product Family,serviceCode,Location,Location Type,Instance Type,"
    "Current Generation,Instance Family,vCPU,Physical Processor,Clock Speed,Memory,Storage,Network Performance,Processor Architecture,"
    "Storage Media,Volume Type,Max Volume Size,Max IOPS/volume,Max IOPS Burst Performance,Max throughput/volume,Provisioned,Tenancy,"
    "EBS Optimized,Operating System,License Model,Group,Group Description,Transfer Type,From Location,From Location Type,To Location,"
    "To Location Type,usageType,operation,AvailabilityZone,CapacityStatus,ClassicNetworkingSupport,Dedicated EBS Throughput,ECU,"
    "Elastic Graphics Type,Enhanced Networking Supported,From Region Code,GPU,GPU Memory,Instance,instanceSKU,Intel AVX2 Available,"
    "MarketOption,Normalization Size Factor,Physical Cores,Pre Installed S/W,Processor Features,Product Type,Region Code,Resource Type,"
    "serviceName,SnapshotArchiveFeeType,To Region Code,Volume API Name,VPCNetworkingSupport"
)
COLUMNS = _NAMES.split(",")


def price_list(offer: str, rows: Iterable[Mapping[str, str]], published: str = "2026-11-19T17:07:46Z") -> str:
    head = [("FormatVersion", "v1.0"), ("Disclaimer", "This pricing list is for informational purposes only, free of charge.")]
    head += [("Publication Date", published), ("Version", "20261119170746"), ("OfferCode", offer)]
    lines = [_csv(cells) for cells in head] + [_csv(COLUMNS)]
    return "\n".join([*lines, *(_csv([row.get(column, "") for column in COLUMNS]) for row in rows), ""])


def _csv(cells: Iterable[str]) -> str:
    return ",".join(f'"{cell}"' for cell in cells)


def usage(kind: str, price: str, unit: str, start: str = "0", end: str = "Inf", **more: str) -> dict[str, str]:
    """A row of a managed service."""
    named = {"StartingRange": start, "EndingRange": end, "Unit": unit, "PricePerUnit": price, "usageType": kind}
    return {"SKU": "S", "TermType": "OnDemand", "Currency": "USD", **named, **more}


def machine(name: str, price: str, **more: str) -> dict[str, str]:
    """A row of AmazonEC2: on demand, Linux, shared, nothing installed."""
    facts = {"Instance Type": name, "Tenancy": "Shared", "Operating System": "Linux", "Pre Installed S/W": "NA"}
    facts |= {"CapacityStatus": "Used", "operation": "RunInstances", "Product Family": "Compute Instance"}
    return usage(f"BoxUsage:{name}", price, "Hrs") | facts | {"vCPU": "2", "Memory": "8 GiB"} | more


def reserved(name: str, price: str, years: str, upfront: str = "No Upfront", offering: str = "standard") -> dict[str, str]:
    term = {"TermType": "Reserved", "LeaseContractLength": years, "PurchaseOption": upfront, "OfferingClass": offering}
    return machine(name, price, **term)


ALB = {"operation": "LoadBalancing:Application"}
EC2 = (
    machine("m7g.large", "0.0817000000"),
    reserved("m7g.large", "0.0541000000", "1yr"),
    reserved("m7g.large", "0.0372000000", "3yr"),
    reserved("m7g.large", "0.0001000000", "1yr", "Partial Upfront"),
    reserved("m7g.large", "0.0622000000", "1yr", "No Upfront", "convertible"),
    machine("m7g.large", "9", **{"Operating System": "Windows", "operation": "RunInstances:0002"}),
    machine("m7g.large", "9", Tenancy="Dedicated", usageType="DedicatedUsage:m7g.large"),
    machine("m7g.large", "9", **{"Pre Installed S/W": "SQL Web", "operation": "RunInstances:0200"}),
    machine("m7g.large", "9", CapacityStatus="UnusedCapacityReservation", usageType="UnusedBox:m7g.large"),
    machine("m8g.metal-24xl", "4.3085", vCPU="96", Memory="384 GiB", **{"Instance Family": "General purpose"}),
    machine("q1.large", "0.5", **{"Instance Family": "Quantum"}),
    machine("c9g.large", "0.08", **{"Instance Family": "Compute optimized", "Physical Processor": "AWS Graviton5 Processor"}),
    usage("NatGateway-Hours", "0.0450000000", "Hrs", operation="NatGateway"),
    usage("NatGateway-Bytes", "0.0450000000", "GB", operation="NatGateway"),
    usage("EBS:VolumeUsage.gp3", "0.0800000000", "GB-Mo"),
    usage("LoadBalancerUsage", "0.0225000000", "Hrs", **ALB),
    usage("LCUUsage", "0.0080000000", "LCU-Hrs", **ALB),
    usage("TS-LoadBalancerUsage", "0.0056000000", "Hrs", **ALB),
    usage("LoadBalancerUsage", "0.0250000000", "Hrs", operation="LoadBalancing"),
)
ECS = (
    usage("USE1-Fargate-vCPU-Hours:perCPU", "0.0404800000", "hours"),
    usage("USE1-Fargate-GB-Hours", "0.0044450000", "hours"),
    usage("USE1-Fargate-ARM-vCPU-Hours:perCPU", "0.0323800000", "hours"),
    usage("USE1-Fargate-ARM-GB-Hours", "0.0035600000", "hours"),
    usage("USE1-Fargate-Windows-vCPU-Hours:perCPU", "0.0465520000", "hours"),
    usage("USE1-Fargate-EphemeralStorage-GB-Hours", "0.0001110000", "GB-Hours"),
    usage("USE1-SpotUsage:Fargate-vCPU-Hours:perCPU", "0.0127000000", "hours"),
)
LAMBDA = (
    usage("Request", "0.0000002000", "Requests"),
    usage("Global-Request", "0.0000000000", "Requests", end="1000000"),
    usage("Lambda-GB-Second", "0.0000166667", "Lambda-GB-Second", end="6000000000"),
    usage("Lambda-GB-Second", "0.0000150000", "Lambda-GB-Second", start="6000000000", end="15000000000"),
    usage("Lambda-GB-Second", "0.0000133334", "Lambda-GB-Second", start="15000000000"),
    usage("Lambda-GB-Second-ARM", "0.0000133334", "Lambda-GB-Second"),
    usage("Global-Lambda-GB-Second", "0.0000000000", "Lambda-GB-Second", end="400000"),
    usage("Lambda-Edge-GB-Second", "0.0000500100", "Lambda-GB-Second"),
)
OUT = {"Transfer Type": "AWS Outbound", "To Location": "External"}
TRANSFER = (
    usage("DataTransfer-Out-Bytes", "0.0900000000", "GB", end="10240", **OUT),
    usage("DataTransfer-Out-Bytes", "0.0850000000", "GB", start="10240", end="51200", **OUT),
    usage("DataTransfer-Out-Bytes", "0.0500000000", "GB", start="51200", **OUT),
    usage("Global-DataTransfer-Out-Bytes", "0.0000000000", "GB", end="100", **OUT),
    usage("DataTransfer-Regional-Bytes", "0.0100000000", "GB"),
    usage("USE1-USW2-AWS-Out-Bytes", "0.0200000000", "GB"),
)
LISTS = {
    ("AmazonEC2", "us-east-1"): EC2,
    ("AmazonEC2", "eu-west-1"): (machine("m7g.large", "0.0911", usageType="EU-BoxUsage:m7g.large"),),
    ("AmazonECS", "us-east-1"): ECS,
    ("AWSLambda", "us-east-1"): LAMBDA,
    ("AWSDataTransfer", "us-east-1"): TRANSFER,
    ("AmazonSageMaker", "us-east-1"): (
        usage("USE1-Host:ml.g5.xlarge", "1.4080000000", "Hrs"),
        usage("USE1-Train:ml.g5.xlarge", "1.5080000000", "Hrs"),
        usage("USE1-ServerlessInf:Mem-1GB", "0.0000200000", "Seconds"),
    ),
    ("AmazonVPC", "us-east-1"): (usage("USE1-PublicIPv4:InUseAddress", "0.0050000000", "Hrs"),),
    ("AWSELB", "eu-west-1"): (
        usage("EU-LoadBalancerUsage", "0.0252000000", "Hrs", **ALB),
        usage("EU-LCUUsage", "0.0080000000", "LCU-Hrs", **ALB),
    ),
}


def azure_item(**more: Any) -> dict[str, Any]:
    item = {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": 0.192,
        "armRegionName": "eastus",
        "location": "US East",
    }
    item |= {"effectiveStartDate": "2021-11-01T00:00:00Z", "meterName": "D4s v5", "productName": "Virtual Machines Dsv5 Series"}
    item |= {"skuName": "D4s v5", "serviceName": "Virtual Machines", "unitOfMeasure": "1 Hour", "type": "Consumption"}
    return {**item, "isPrimaryMeterRegion": True, "armSkuName": "Standard_D4s_v5", **more}


def app(meter: str, price: float, unit: str, start: float = 0.0) -> dict[str, Any]:
    named = {
        "serviceName": "Azure Container Apps",
        "productName": "Azure Container Apps",
        "armSkuName": "",
        "skuName": "Standard",
    }
    named |= {"armRegionName": "westus2", "meterName": meter}
    return azure_item(retailPrice=price, unitOfMeasure=unit, tierMinimumUnits=start, **named)


WINDOWS = "Virtual Machines Dsv5 Series Windows"
AZURE_VMS = (
    azure_item(),
    azure_item(meterName="D4s v5 Spot", skuName="D4s v5 Spot", retailPrice=0.0384),
    azure_item(meterName="D4s v5 Low Priority", skuName="D4s v5 Low Priority", retailPrice=0.001),
    azure_item(productName=WINDOWS, retailPrice=0.376),
    azure_item(type="DevTestConsumption", retailPrice=0.002),
    azure_item(armSkuName="Standard_X9_v9", retailPrice=1.0),
)
AZURE_RESERVED = (
    azure_item(type="Reservation", reservationTerm="1 Year", retailPrice=992.0),
    azure_item(type="Reservation", reservationTerm="3 Years", retailPrice=1916.0),
)
APPS = (
    app("Standard vCPU Active Usage", 0.0, "1 Second"),
    app("Standard vCPU Active Usage", 0.000034, "1 Second", 180000.0),
    app("Standard Memory Active Usage", 0.000004, "1 GiB Second"),
    app("Standard vCPU Idle Usage", 0.000004, "1 Second"),
    app("Standard Memory Idle Usage", 0.000004, "1 GiB Second"),
    app("Standard Requests", 0.4, "1M"),
    app("Dedicated vCPU Usage", 0.0571, "1 Hour"),
)
BALANCER = {"serviceName": "Load Balancer", "productName": "Load Balancer", "armRegionName": "Global", "armSkuName": ""}
BALANCERS = (azure_item(meterName="Standard Included LB Rules and Outbound Rules", retailPrice=0.025, **BALANCER),)
MGN = {
    "serviceName": "Bandwidth",
    "productName": "Rtn Preference: MGN",
    "meterName": "Standard Data Transfer Out",
    "armSkuName": "",
}
BANDWIDTH = tuple(
    azure_item(retailPrice=price, tierMinimumUnits=start, unitOfMeasure="1 GB", **MGN)
    for start, price in ((0.0, 0.0), (100.0, 0.087), (10335.0, 0.083))
)
LOGS = tuple(
    azure_item(
        retailPrice=price,
        tierMinimumUnits=start,
        unitOfMeasure="1 GB",
        serviceName="Log Analytics",
        productName="Log Analytics",
        meterName="Analytics Logs Data Ingestion",
        skuName="Analytics Logs",
        armSkuName="",
    )
    for start, price in ((0.0, 0.0), (5.0, 2.3))
)
AZURE = {
    ("Log Analytics", "eastus", "Consumption"): LOGS,
    ("Virtual Machines", "eastus", "Consumption"): AZURE_VMS,
    ("Virtual Machines", "eastus", "Reservation"): AZURE_RESERVED,
    ("Azure Container Apps", "westus2", "Consumption"): APPS,
    ("Load Balancer", "Global", "Consumption"): BALANCERS,
    ("Bandwidth", "eastus", "Consumption"): BANDWIDTH,
}


def sku(
    name: str, price: float, kind: str = "OnDemand", unit: str = "h", regions: Iterable[str] = ("us-central1",), free: float = 0
):
    def step(start: float, at: float) -> dict[str, Any]:
        return {
            "startUsageAmount": start,
            "unitPrice": {"currencyCode": "USD", "units": str(int(at)), "nanos": round(at % 1 * 1e9)},
        }

    steps = [step(0, 0.0), step(free, price)] if free else [step(0, price)]
    expression = {"usageUnit": unit, "displayQuantity": 1, "tieredRates": steps}
    category = {"serviceDisplayName": "S", "resourceFamily": "Compute", "resourceGroup": "CPU", "usageType": kind}
    info = [
        {"summary": "", "pricingExpression": expression, "currencyConversionRate": 1, "effectiveTime": "2026-11-20T00:00:00Z"}
    ]
    return {
        "skuId": "2E27-4F75-95CD",
        "description": name,
        "category": category,
        "serviceRegions": [*regions],
        "pricingInfo": info,
    }


RAM = "GiBy.h"
COMPUTE = (
    sku("N1 Predefined Instance Core running in Americas", 0.031611),
    sku("N1 Predefined Instance Ram running in Americas", 0.004237, unit=RAM),
    sku("N2 Instance Core running in Americas", 0.031611),
    sku("N2 Instance Ram running in Americas", 0.004237, unit=RAM),
    sku("N2 Custom Instance Core running in Americas", 0.9),
    sku("N2 Instance Core running in EMEA", 0.5, regions=["europe-west1"]),
    sku("Spot Preemptible N2 Instance Core running in Americas", 0.0077, "Preemptible"),
    sku("Spot Preemptible N2 Instance Ram running in Americas", 0.001, "Preemptible", RAM),
    sku("Commitment v1: N2 Cpu in Americas for 1 Year", 0.019915, "Commit1Yr"),
    sku("Commitment v1: N2 Ram in Americas for 1 Year", 0.002669, "Commit1Yr", RAM),
    sku("Commitment v1: Cpu in Americas for 1 Year", 0.019915, "Commit1Yr"),
    sku("Commitment v1: Ram in Americas for 1 Year", 0.002669, "Commit1Yr", RAM),
    sku("N2D AMD Instance Core running in Americas", 0.027502),
    sku("N2D AMD Instance Ram running in Americas", 0.003686, unit=RAM),
    sku("E2 Instance Core running in Americas", 0.021811590),
    sku("E2 Instance Ram running in Americas", 0.002923530, unit=RAM),
    sku("Compute optimized Core running in Americas", 0.03398),
    sku("Compute optimized Ram running in Americas", 0.00455, unit=RAM),
    sku("G2 Instance Core running in Americas", 0.024988),
    sku("G2 Instance Ram running in Americas", 0.002927, unit=RAM),
    sku("Nvidia L4 GPU running in Americas", 0.560040),
    sku("Balanced PD Capacity in Iowa", 0.1, unit="GiBy.mo"),
    sku("Regional Balanced PD Capacity in Iowa", 0.2, unit="GiBy.mo"),
)
ONE, TWO = ("us-central1", "europe-west1"), ("europe-west2", "europe-west3")
RUN = (
    sku("Services CPU (Request-based billing)", 0.000024, unit="s", regions=ONE, free=180000),
    sku("Services Memory (Request-based billing)", 0.0000025, unit="GiBy.s", regions=ONE, free=360000),
    sku("Services CPU Tier 2  (Request-based billing)", 0.0000336, unit="s", regions=TWO, free=180000),
    sku("Services Min Instance CPU (Request-based billing)", 0.0000025, unit="s", regions=ONE),
    sku("Services CPU (Instance-based billing) in us-central1", 0.000018, unit="s"),
    sku("Services Memory (Instance-based billing) in us-central1", 0.000002, unit="GiBy.s"),
    sku("Requests", 0.0000004, unit="count", regions=["global"], free=2_000_000),
)
VERTEX = (
    sku("Vertex AI: Online/Batch Prediction N1 Predefined Instance Core running in Americas", 0.036353),
    sku("Vertex AI: Online/Batch Prediction N1 Predefined Instance Ram running in Americas", 0.004873, unit=RAM),
    sku("Vertex AI: Training/Pipelines N1 Predefined Instance Core running in Americas", 9.0),
)
LOGGING = (sku("Log Storage cost", 0.5, unit="GiBy", regions=["global"], free=50),)
GOOGLE = {"5490-F7B7-8DF6": LOGGING, "6F81-5844-456A": COMPUTE, "152E-C115-5142": RUN, "C7E2-9256-1C43": VERTEX}
PAGES = {"Azure": 4, "Google": 10}  # items on a page


def answer(path: str, query: str, host: str = "prices.azure.com") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body: what the three interfaces say to this."""
    found = (
        _aws(path) if path.startswith("/offers/") else _azure(query, host) if path.startswith("/api/") else _google(path, query)
    )
    if found is None:
        return 404, {}, b'{"Error": "not found"}'
    if isinstance(found, str):
        return 200, {"Content-Type": "text/csv", "Content-Encoding": "gzip"}, gzip.compress(found.encode(), 1)
    return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()


def _aws(path: str) -> Any:
    if path == "/offers/v1.0/aws/index.json":
        named = {of: f"/offers/v1.0/aws/{of}/current/region_index.json" for of, _ in LISTS}
        return {
            "formatVersion": "v1.0",
            "offers": {of: {"offerCode": of, "currentRegionIndexUrl": at} for of, at in named.items()},
        }
    *_, offer, _, last = path.split("/")
    if last == "region_index.json":
        regions = [region for of, region in LISTS if of == offer]
        at = {region: f"/offers/v1.0/aws/{offer}/20261119170746/{region}/index.json" for region in regions}
        return {"regions": {region: {"regionCode": region, "currentVersionUrl": url} for region, url in at.items()}}
    *_, offer, _, region, _ = path.split("/")
    rows = LISTS.get((offer, region))
    return price_list(offer, rows) if rows and last == "index.csv" else None


def _azure(query: str, host: str) -> Any:
    said = parse_qs(query)
    words = unquote(said["$filter"][0]).split("'")[1::2]
    skip = int(said.get("$skip", ["0"])[0])
    items = AZURE.get((words[0], words[1], words[2]), ())
    size = PAGES["Azure"]
    following = f"https://{host}:443/api/retail/prices?{query.partition('&$skip')[0]}&$skip={skip + size}"
    page = items[skip : skip + size]
    return {
        "BillingCurrency": "USD",
        "Items": page,
        "NextPageLink": following if items[skip + size :] else None,
        "Count": len(page),
    }


def _google(path: str, query: str) -> Any:
    service = path.split("/")[3]
    if service not in GOOGLE:
        return None
    start, size = int(parse_qs(query).get("pageToken", ["0"])[0]), PAGES["Google"]
    following = str(start + size) if GOOGLE[service][start + size :] else ""
    return {"skus": GOOGLE[service][start : start + size], "nextPageToken": following}


def many_lines(megabytes: int) -> Iterable[bytes]:
    """A list of AmazonEC2 as long as the true ones: dedicated machines with Windows, and at its end what is looked for."""
    head = price_list("AmazonEC2", ()).encode()
    noise = _csv(
        [machine("m5.large", "9", Tenancy="Dedicated", usageType="DedicatedUsage:m5.large").get(name, "") for name in COLUMNS]
    )
    lines = (noise + "\n").encode() * 1000
    yield head
    for _ in range(megabytes * 2**20 // len(lines) + 1):
        yield lines
    yield (_csv([EC2[0].get(name, "") for name in COLUMNS]) + "\n").encode()


def main(how: str) -> None:
    """Serves it all on a free port of this machine, which is printed. how: `all`, `huge` (long lists), `stalls` (never ends)."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if how != "all" and path.endswith("/AmazonEC2/20261119170746/us-east-1/index.csv"):
                self.long()
                return
            status, headers, body = answer(path, query, self.headers["Host"].partition(":")[0])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def long(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                for lines in many_lines(200 if how == "huge" else 1):
                    self.wfile.write(lines)
                if how == "stalls":
                    self.wfile.flush()
                    print("stalls", flush=True)
                    threading.Event().wait(60)
            except ConnectionError:
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
