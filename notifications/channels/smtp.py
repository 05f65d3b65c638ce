"""An SMTP backend that knows whether the server may have taken a message.

Used through EMAIL_BACKEND. smtplib reports a connection that breaks in the middle and one that breaks before the
message was handed over with the same exception. Here everything up to the server's 354 is certainly not taken;
a break after that raises `Unanswered`.
"""

import re
import smtplib
import socket
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from notifications.channels import deadline


class Unanswered(smtplib.SMTPException):
    """The message was handed over; the answer never came."""


class _Exact(smtplib.SMTP):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        deadline.watch(sock)
        return sock

    def data(self, msg: Any) -> tuple[int, bytes]:
        """As smtplib's, with the two halves told apart."""
        self.putcmd("data")
        code, reply = self.getreply()
        if code != 354:
            self._rset()  # type: ignore[attr-defined]  # else the server answers the next message with "nested MAIL", as if that were wrong
            raise smtplib.SMTPDataError(code, reply)
        if isinstance(msg, str):
            msg = msg.encode("ascii")
        body = re.sub(rb"(?m)^\.", b"..", re.sub(rb"(?:\r\n|\n|\r(?!\n))", b"\r\n", msg))
        end = b".\r\n" if body.endswith(b"\r\n") else b"\r\n.\r\n"
        try:
            self.send(body + end)
            code, reply = self.getreply()
        except (OSError, smtplib.SMTPServerDisconnected) as exc:
            self.close()
            raise Unanswered("the connection broke before the server answered") from exc
        if 200 <= code < 300:
            return 250, reply  # 251 has taken it as well
        if not 400 <= code < 600:
            raise Unanswered(f"the server answered {code}, which is neither yes nor no")
        return code, reply


class _ExactSSL(_Exact, smtplib.SMTP_SSL):
    """The order of bases makes smtplib's TLS come first and the watched socket be the one in TLS."""


class ExactBackend(EmailBackend):
    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _ExactSSL if self.use_ssl else _Exact
