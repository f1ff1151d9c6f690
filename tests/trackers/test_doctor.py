"""What the doctor says of the login."""

from __future__ import annotations

import pytest

from talksplat.doctor import check_wandb_login


def test_no_key(wandb_alone: str) -> None:
    finding = check_wandb_login()
    assert finding.state == "missing" and wandb_alone in finding.detail and "wandb login" in finding.remedy


def test_a_key_is_there_and_stays_secret(key: None, capfd: pytest.CaptureFixture) -> None:
    finding = check_wandb_login()
    assert finding.state == "ok"
    assert "0123456789" not in str(finding) + "".join(capfd.readouterr())
