"""Accepts TLS connections in front of PostgreSQL and of Secrets Manager, and forwards them without TLS.

The certificates have the form of those of AWS: RSA keys of 2048 bits, and an intermediate authority. The root is written to
a file for the clients. Prints both ports.

Usage: endpoints.py FOLDER POSTGRES_PORT SECRETS_MANAGER_PORT
"""

import asyncio
import datetime
import ipaddress
import ssl
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])


def certificate(name, issuer, is_authority):
    """Returns a certificate and its key. Without an issuer it signs itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()), key


def server_context(folder):
    root = certificate("benchmark root", None, True)
    intermediate = certificate("benchmark intermediate", root, True)
    leaf = certificate("127.0.0.1", intermediate, False)
    pem = serialization.Encoding.PEM
    (folder / "root.pem").write_bytes(root[0].public_bytes(pem))
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(leaf[0].public_bytes(pem) + intermediate[0].public_bytes(pem))
    encryption = serialization.NoEncryption()
    key.write_bytes(leaf[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    return context


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


def forward_to(port, negotiate):
    async def serve(reader, writer):
        try:
            await negotiate(reader, writer)
            upstream = await asyncio.open_connection("127.0.0.1", port)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            writer.close()
            return
        await asyncio.gather(copy(reader, upstream[1]), copy(upstream[0], writer))

    return serve


async def main(folder, postgres, secrets_manager):
    context = server_context(folder)

    async def postgres_tls(reader, writer):
        if await reader.readexactly(8) != SSL_REQUEST:
            raise ConnectionError("the client does not ask for TLS")
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(context)

    async def immediate_tls(reader, writer):
        await writer.start_tls(context)

    servers = []
    for port, negotiate in [(postgres, postgres_tls), (secrets_manager, immediate_tls)]:
        servers.append(await asyncio.start_server(forward_to(port, negotiate), "127.0.0.1", 0))
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
