"""A mail server for tests: smtp_server.py PORT FOLDER. It writes each message to a file, and rejects some addresses."""

import pathlib
import sys
import threading
import uuid

from aiosmtpd.controller import Controller


class Server:
    def __init__(self, folder):
        self.folder = folder

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown@"):
            return f"550 5.1.1 <{address}> no such mailbox"
        if address.startswith("later@"):
            return f"451 4.3.0 <{address}> try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        (self.folder / f"{uuid.uuid4()}.eml").write_bytes(envelope.content)
        return "250 OK"


Controller(Server(pathlib.Path(sys.argv[2])), hostname="127.0.0.1", port=int(sys.argv[1]), enable_SMTPUTF8=True).start()
threading.Event().wait()
