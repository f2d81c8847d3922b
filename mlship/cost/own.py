"""The user's own book over the shipped one, price by price: what it does not tell, the shipped one does. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from mlship.cost.book import Offer, PriceBook


def laid_over(shipped: PriceBook, own: PriceBook) -> PriceBook:
    """Both as one. Commitments and sustained use are the shipped ones only where its price on demand holds, too."""
    offers = {
        place: {name: _filled(offer, shipped.offer(*place, name)) for name, offer in named.items()}
        for place, named in own.offers.items()
    }
    return shipped.overridden(PriceBook(own.as_of, offers, own.services))


def _filled(own: Offer, shipped: Offer | None) -> Offer:
    if shipped is None:
        return own
    offer, sources = own, own.sources
    same_price = own.on_demand is None or own.on_demand == shipped.on_demand
    if own.on_demand is None and shipped.on_demand is not None:
        sources = replace(sources, on_demand=shipped.sources.on_demand)
        offer = replace(offer, on_demand=shipped.on_demand)
    if same_price and own.sustained is None and shipped.sustained is not None:
        offer = replace(offer, sustained=shipped.sustained)
    if own.spot is None and shipped.spot is not None:
        sources = replace(sources, spot=shipped.sources.spot)
        offer = replace(offer, spot=shipped.spot, spot_is_listed=shipped.spot_is_listed)
    if same_price and own.reserved_1y is None and own.reserved_3y is None:
        sources = replace(sources, reserved=shipped.sources.reserved)
        offer = replace(offer, reserved_1y=shipped.reserved_1y, reserved_3y=shipped.reserved_3y)
    if not own.interruption and shipped.interruption:
        sources = replace(sources, interruption=shipped.sources.interruption)
        offer = replace(offer, interruption=shipped.interruption)
    return replace(offer, sources=sources) if offer is not own else own
