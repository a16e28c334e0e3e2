"""The audit fails where something was found, and says so where nothing could be asked."""

from tools.audit import judge

ASKED = {"name": "good", "version": "1", "vulns": []}
SKIPPED = {"name": "far", "skip_reason": "not found"}


def test_a_vulnerability_is_an_error_and_named():
    bad = {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
    status, lines = judge({"dependencies": [ASKED, bad]})
    assert status == 1
    assert "bad 2: CVE-1, mended in 2.1" in lines
    assert not any("NOT AUDITED" in line for line in lines)


def test_none_is_fine():
    assert judge({"dependencies": [ASKED, ASKED]})[0] == 0


def test_no_answers_are_said_loudly():
    status, lines = judge({"dependencies": [SKIPPED, SKIPPED, ASKED]})
    assert status == 0
    assert any("NOT AUDITED" in line for line in lines)
