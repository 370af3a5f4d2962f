"""Listeners of a Kafka broker that ask who is there: by a certificate, or by user and password; and their rights."""

from __future__ import annotations

from pathlib import Path

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

HOST = "127.0.0.1"
PLAIN_USER = ("plain-user", "plain-password-4711")
# Whoever comes without a name, over the listener without TLS, may do all.
_PROPERTIES = f"""
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
auto.create.topics.enable=true
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={{folder}}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={{folder}}/ca.pem
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^.*CN=([^,]+).*$/$1/
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{PLAIN_USER[0]}="{PLAIN_USER[1]}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class Security:
    """Certificates for brokers and clients, and the settings that make brokers want them.

    Args:
        folder: where the files go.

    Attributes:
        ca: file of the authority that all certificates are from.
        cert: a client's certificate, whose name is `app`.
        key: its key.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        authority = trustme.CA()
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        authority.cert_pem.write_to_path(self.ca)
        client = authority.issue_cert("app.example", common_name="app")
        client.cert_chain_pems[0].write_to_path(self.cert)
        client.private_key_pem.write_to_path(self.key)
        broker = authority.issue_cert(HOST)
        key = serialization.load_pem_private_key(broker.private_key_pem.bytes(), None)
        # The only form of a key that the broker reads.
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "broker.pem").write_bytes(pem + broker.cert_chain_pems[0].bytes())

    @property
    def properties(self) -> str:
        """What a broker's settings have more."""
        return _PROPERTIES.format(folder=self._folder)


def add_user(admin: AdminClient, name: str, password: str) -> None:
    """Let somebody in, who may do nothing yet; or give them another password."""
    information = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
    credential = UserScramCredentialUpsertion(name, information, password.encode())
    admin.alter_user_scram_credentials([credential])[name].result(30)


def allow(admin: AdminClient, name: str, topic: str, *operations: AclOperation) -> None:
    """Let a user do something with a topic."""
    bindings = [
        AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{name}", "*", operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]  # fmt: skip
    for made in admin.create_acls(bindings).values():
        made.result(30)
