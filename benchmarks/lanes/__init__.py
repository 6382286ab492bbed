"""The lanes, one file each: adding one is a file and a line here."""

from benchmarks.lanes import governed, stream, tenants

LANES = (governed.LANE, stream.LANE, tenants.LANE)
