from scaigrid.config.schema import Metrics
from tests.scaigrid.api.control_plane import ControlPlane, config


async def test_the_exposition_says_in_which_format_it_is() -> None:
    answer = await ControlPlane().get("/metrics", None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_a_scrape_sees_what_was_counted() -> None:
    plane = ControlPlane()
    plane.services.telemetry.answered("demo", 200, "native")
    body = (await plane.get("/metrics?name[]=up", None)).body.decode()
    assert 'scaigrid_requests_total{model="demo",protocol="native",status="200"} 1.0\n' in body


async def test_where_they_are_off_there_is_nothing() -> None:
    answer = await ControlPlane(config(metrics=Metrics(enabled=False))).get("/metrics", None)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
