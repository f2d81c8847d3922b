"""One Docker engine: releases as containers, records on a volume beside them."""
