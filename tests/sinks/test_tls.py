"""Files for TLS: there, whole, and never asked for on a terminal."""

from __future__ import annotations

import os
import pty
import signal
import ssl
import sys

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from centtrack.errors import ConfigurationError
from centtrack.sinks.tls import Tls


def test_servers_are_always_verified(authority):
    for context in (Tls().context(), Tls(ca=str(authority.file)).context()):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_only_the_named_authority_is_trusted(authority):
    assert len(Tls(ca=str(authority.file)).context().get_ca_certs()) == 1


def test_client_certificate(authority):
    certificate, key = authority.certificate()
    options = {"ca": str(authority.file), "cert": str(certificate), "key": str(key)}
    assert Tls.read("kafka", options) == (str(authority.file), str(certificate), str(key))
    Tls.read("kafka", options).context()


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="option ca names no file"):
        Tls.read("kafka", {"ca": str(tmp_path / "ca.pem")})


@pytest.mark.parametrize("option", ["cert", "key"])
def test_certificate_and_key_go_together(option, authority):
    with pytest.raises(ConfigurationError, match="cert and key go together"):
        Tls.read("kafka", {option: str(authority.file)})


def test_files_that_are_something_else(tmp_path, authority):
    other = tmp_path / "other.pem"
    other.write_text("hunter2")
    for files in (
        Tls(ca=str(other)),
        Tls(cert=str(other), key=str(other)),
        Tls(cert=str(authority.file), key=str(other)),
    ):
        with pytest.raises(ConfigurationError, match=r"can't be used for TLS: .*other\.pem") as caught:
            files.context()
        assert "hunter2" not in str(caught.value)


ASK = """
import sys
from centtrack.errors import ConfigurationError
from centtrack.sinks.tls import Tls
try:
    Tls(cert=sys.argv[1], key=sys.argv[2]).context()
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*use of forkpty:DeprecationWarning")
def test_a_locked_key_is_refused(tmp_path, authority):
    """OpenSSL would ask for its password on the terminal, and the thread would wait there."""
    certificate, key = authority.certificate()
    locked = tmp_path / "locked.pem"
    private = load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a good password"))
    )
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-c", ASK, str(certificate), str(locked)])
    said = os.read(terminal, 10_000)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(terminal)
    assert b"can't be used for TLS" in said
