"""Who we are on the backend, resolved as synapse-sdk does it (contract/UPLOAD.md, sections 1.1 and 1.2).

Environment before `~/.synapse/config.json`, field by field; the user token of a plugin run, which only counts with
its tenant, before the access token.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from synapse_skills.errors import FindingError, OutOfReach, keep_secret

DEFAULT_HOST = "https://api.synapse.sh"


@dataclass(frozen=True)
class Login:
    """A resolved login. `headers` are secret; `host` and `tenant` may be shown."""

    host: str
    tenant: str | None
    kind: str
    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> tuple[str, str | None]:
        """Host and tenant: two logins that have the same see the same data."""
        return self.host, self.tenant

    def for_v2(self) -> Login:
        """The same login as the second API takes it: access token and tenant without the word `Token`."""
        plain = {
            key: value.removeprefix("Token ") if key in ("Synapse-Access-Token", "Synapse-Tenant") else value
            for key, value in self.headers.items()
        }
        return replace(self, headers=plain)


def login() -> Login:
    """Resolve the login.

    Raises:
        OutOfReach: there is none (`no-login`), the host is not an http(s) address (`bad-host`), or the token holds
            what no header can (`bad-token`).
    """
    from synapse_sdk.utils.auth import load_credentials

    found = load_credentials()
    host = (found.host or DEFAULT_HOST).rstrip("/")
    try:
        parts = urlsplit(host)
        _ = parts.port  # raises where it is none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise OutOfReach(
            "The configured Synapse host is not a plain http or https address.",
            hint="Set SYNAPSE_HOST, or run `synapse login`, with an address such as https://api.synapse.sh.",
            code="bad-host",
        )
    env_tenant = os.environ.get("SYNAPSE_PLUGIN_RUN_TENANT")
    env_user_token = os.environ.get("SYNAPSE_PLUGIN_RUN_USER_TOKEN")
    for secret in (found.token, found.user_token, env_user_token):
        keep_secret(secret)
    url_host = os.environ.get("SYNAPSE_PLUGIN_RUN_URL_HOST")
    params = {"url_host": url_host} if url_host else {}

    user_token = env_user_token or (None if found.token else found.user_token)
    if user_token:
        tenant = env_tenant or found.tenant
        headers = {"Authorization": f"Token {user_token}"}
        kind = "user-token"
    elif found.token:
        tenant = env_tenant
        headers = {"Synapse-Access-Token": f"Token {found.token}"}
        kind = "access-token"
    else:
        raise OutOfReach(
            "No Synapse login found: neither SYNAPSE_ACCESS_TOKEN nor ~/.synapse/config.json has a token.",
            hint="Run `synapse login`, or set SYNAPSE_HOST and SYNAPSE_ACCESS_TOKEN.",
            code="no-login",
        )
    if tenant:
        headers["Synapse-Tenant"] = f"Token {tenant}"
    if not all(value.isprintable() for value in headers.values()):
        raise OutOfReach(
            "The configured token holds a line break or another character that no token has.",
            hint="Set SYNAPSE_ACCESS_TOKEN again without it, or run `synapse login`.",
            code="bad-token",
        )
    return Login(host=host, tenant=tenant, kind=kind, headers=headers, params=params)


def login_at(where: tuple[str, str | None]) -> Login:
    """Resolve the login of a machine that helps another one, which is logged in there.

    Raises:
        FindingError: it is logged in somewhere else, and would see other data (`other-login`). OutOfReach: as `login`.
    """
    who = login()
    if who.where != where:
        raise FindingError(
            f"A machine of the cluster is logged in to {who.host}, the job to {where[0]}, or to another tenant.",
            hint="Submit the job: its login travels with it. Or set SYNAPSE_HOST and SYNAPSE_ACCESS_TOKEN there.",
            code="other-login",
        )
    return who
