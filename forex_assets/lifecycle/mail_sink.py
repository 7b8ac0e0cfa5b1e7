"""A note about each deployment: a message file, or a mail by SMTP."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from forex_assets.errors import StoreError
from forex_assets.lifecycle.change import Change
from forex_assets.settings.deployment import MailSettings
from forex_assets.store.files import explain, write_file


def compose(change: Change, settings: MailSettings) -> EmailMessage:
    """Return the note: what changed, why, and where to read more."""
    subject = change.subject
    what = "the settings' model" if change.version is None else f"version {change.version.hash}"
    note = EmailMessage()
    note["From"], note["To"] = settings.sender, ", ".join(settings.recipients)
    note["Subject"] = f"{subject.owner} {subject.part}: {change.span.cause}, now {what}"
    note["Date"] = format_datetime(change.span.recorded_at)
    note["Message-ID"] = f"<{change.span.entry}.{subject.owner}.{subject.part}@forex-assets>"
    lines = [
        f"{subject.owner} {subject.part}: {change.span.cause} at {change.span.recorded_at:%Y-%m-%d %H:%M} UTC.",
        f"Now in use: {what} (before: {change.before}), for forecasts from {change.span.valid_from} on.",
    ]
    if change.version is not None:
        values = ", ".join(f"{name} {item.value} {item.unit}" for name, item in change.version.parameters.items())
        lines.append(f"Model {change.version.model}" + (f": {values}" if values else "") + ".")
        lines.extend(f"{name}: {item.value} {item.unit}" for name, item in change.version.metrics.items())
    lines.append(f"Why: forex ledger show {change.span.entry}")
    note.set_content("\n".join(lines) + "\n")
    return note


def deliver(change: Change, settings: MailSettings, home: Path, credentials: tuple[str, str] | None) -> str:
    """Write or send the note; return where to.

    Raises
    ------
    StoreError
        When the folder or the server refuses.
    """
    note = compose(change, settings)
    if settings.mode == "file":
        path = home / settings.folder / f"{change.generation:08d}-{change.subject.key.replace('/', '-')}.eml"
        try:
            write_file(path, bytes(note))
        except OSError as error:
            raise explain(error, "write", path) from error
        return str(path)
    try:
        with smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s) as server:
            if settings.starttls:
                import ssl

                server.starttls(context=ssl.create_default_context())
            if credentials is not None:
                server.login(*credentials)
            server.send_message(note)
    except (OSError, smtplib.SMTPException) as error:
        raise StoreError(
            f"The mail server {settings.host}:{settings.port} refused the note: {error}.",
            remedy="see that it runs and takes mail from this host; the note is sent again later.",
        ) from error
    return f"{', '.join(settings.recipients)} by {settings.host}"
