"""What an operator can measure, and who may."""

from tests.fixtures.service import Service, TenantClient


def _metrics(service: Service) -> dict[str, float]:
    response = service.admin.get(f"{service.base_url}/metrics")
    assert response.status_code == 200, response.text
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_need_the_operators_credential(service: Service, tenant: TenantClient) -> None:
    url = f"{service.base_url}/metrics"
    assert service.client(None).get(url).status_code == 401
    assert tenant.http.get(url).status_code == 401


def test_an_upload_and_an_answer_are_counted_without_naming_the_tenant(service: Service, tenant: TenantClient) -> None:
    before = _metrics(service)
    tenant.ready("facts.txt", b"The harbour light was lit in 1868.")
    assert tenant.http.post("chat", json={"message": "When was the harbour light lit?"}).status_code == 200
    after = _metrics(service)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert grown('insula_job_attempts_total{kind="document.process",outcome="succeeded"}') >= 1
    assert grown('insula_runs_ended_total{code="",outcome="completed"}') >= 1
    assert grown("insula_runs_started_total") >= 1
    assert grown("insula_first_text_seconds_count") >= 1
    assert grown("insula_retrieval_seconds_count") >= 1
    assert grown('insula_tokens_total{direction="output",provider="extractive"}') > 0
    assert not any(tenant.id in name or tenant.slug in name for name in after)
