"""Whether this machine can upload, export or submit: Python, SDK, login, agent, each with what mends it.

Standard library and Python 3.6 syntax only, because the machine this has to explain may have nothing else. The login
is resolved by the same rules as `backend.login`, which needs the SDK; a test holds the two together.
"""

import glob
import json
import os
import re
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlencode, urlsplit

OK, WARNING, ERROR = "ok", "warning", "error"
DEFAULT_HOST = "https://api.synapse.sh"
DASHBOARD_PORT = 8265
SECONDS = 10.0
_MAX_BYTES = 4 * 1024 * 1024
_LOG_IN = "Run `synapse login`, or set SYNAPSE_HOST and SYNAPSE_ACCESS_TOKEN."


class Check(NamedTuple):
    """One thing that was looked at; `fix` is what to do if it isn't ok."""

    name: str
    status: str
    detail: str
    fix: str = ""


class LoginFound(NamedTuple):
    """A resolved login; `headers` are secret and never printed."""

    host: str
    kind: str
    tenant: Optional[str]
    headers: Dict[str, str]
    params: Dict[str, str]


class Reply(NamedTuple):
    """What a GET brought: a status with its body, or why there was none."""

    status: int
    body: Any
    is_json: bool
    location: str = ""
    problem: str = ""


def version_key(text: str) -> Optional[Any]:
    """Something to compare versions by: packaging's, else the release numbers with a pre-release below them."""
    try:
        from packaging.version import InvalidVersion, Version
    except ImportError:
        match = re.match(r"^\s*v?(\d+(?:\.\d+)*)(.*?)\s*$", text)
        if not match:
            return None
        numbers = [int(number) for number in match.group(1).split(".")]
        rest = match.group(2).lower()
        before_release = re.match(r"[._-]?(a|b|c|rc|alpha|beta|pre|preview|dev)", rest) is not None
        return ([*numbers, 0, 0, 0, 0][:5], 0 if before_release else 1)
    try:
        return Version(text)
    except InvalidVersion:
        return None


def minimum_sdk(pyproject: str) -> str:
    """The oldest synapse-sdk that pyproject.toml accepts."""
    with open(pyproject, encoding="utf-8") as file:
        found = re.search(r'"synapse-sdk>=([^",;]+)"', file.read())
    if found is None:
        raise ValueError("{} names no minimum for synapse-sdk".format(pyproject))
    return found.group(1)


# --- the SDK ---------------------------------------------------------------------------------------------------------


def installed_version(prefix: str, distribution: str) -> Optional[str]:
    """The version of a distribution under an environment's folder, read from its metadata: nothing is run."""
    for place in ("lib*/python3*/*-packages", "Lib/site-packages"):
        found = sorted(glob.glob(os.path.join(glob.escape(prefix), place, distribution + "-*.dist-info")))
        if found:
            return os.path.basename(found[-1])[len(distribution) + 1 : -len(".dist-info")]
    return None


def find_sdks(ours: Sequence[str]) -> List[Tuple[str, Optional[str]]]:
    """Every `synapse` to be found, as (where, version or None), in the order in which people expect them to count."""
    places: List[Tuple[str, str, bool]] = []
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, "synapse")
        if folder and (os.path.isfile(path) or os.path.isfile(path + ".exe")):
            places.append(("shell: {}".format(path), path, True))
            break
    if os.environ.get("VIRTUAL_ENV"):
        places.append(("VIRTUAL_ENV", _synapse_in(os.environ["VIRTUAL_ENV"]), False))
    venvs = [name for name in sorted(_names(os.getcwd())) if "venv" in name.lower()]
    places += [(name, _synapse_in(os.path.abspath(name)), False) for name in venvs]
    places += [("ours", _synapse_in(prefix), False) for prefix in ours]
    found: List[Tuple[str, Optional[str]]] = []
    seen = set()
    for where, path, may_run in places:
        real = os.path.realpath(path)
        if os.path.isfile(path) or os.path.isfile(path + ".exe"):
            if real not in seen:
                found.append((where, _sdk_version(path, may_run)))
            seen.add(real)
    return found


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _synapse_in(prefix: str) -> str:
    return os.path.join(prefix, "Scripts" if os.name == "nt" else "bin", "synapse")


def _sdk_version(path: str, may_run: bool) -> Optional[str]:
    """The SDK's version beside a `synapse`; run only if it is on PATH and its environment can't be told (a shim)."""
    prefixes = [os.path.dirname(os.path.dirname(place)) for place in (path, os.path.realpath(path))]
    try:
        with open(path, "rb") as file:
            first = file.readline(300)
        if first.startswith(b"#!"):
            interpreter = os.fsdecode(first[2:].strip().split(b" ")[0])
            prefixes.append(os.path.dirname(os.path.dirname(interpreter)))
    except OSError:
        prefixes.append(os.path.dirname(path))
    for prefix in prefixes:
        version = installed_version(prefix, "synapse_sdk")
        if version:
            return version
    if not may_run:
        return None
    try:
        out = subprocess.run(  # noqa: S603 - the user's own `synapse`
            [path, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return None
    # Other programs are called synapse too (a Matrix server, a desktop launcher).
    match = re.match(r"synapse-sdk\s+(\S+)", out)
    return match.group(1) if match else None


def check_sdk(minimum: str, ours: Sequence[str]) -> Check:
    """At least the minimum, somewhere; one that is too old and comes first is named."""
    name, good, notes = "synapse-sdk", "", []
    for where, version in find_sdks(ours):
        key = version_key(version) if version else None
        if key is not None and key >= version_key(minimum):
            good = "{} ({})".format(version, where)
            break
        notes.append("{} ({})".format(version or "no synapse-sdk", where))
    if good and notes:
        detail = "{}; too old, and found first: {}".format(good, ", ".join(notes))
        fix = "Scripts started with run.py use ours; upgrade yours: pip install --upgrade 'synapse-sdk>={}'."
        return Check(name, WARNING, detail, fix.format(minimum))
    if good:
        return Check(name, OK, good)
    detail = "at least {} is needed; found {}".format(minimum, ", ".join(notes) or "none")
    return Check(name, ERROR, detail, "Run any script with run.py: it installs what it needs.")


# --- the login -------------------------------------------------------------------------------------------------------


def config_path() -> str:
    """Where `synapse login` keeps it."""
    return os.path.join(os.path.expanduser("~"), ".synapse", "config.json")


def read_config(path: str) -> Tuple[Dict[str, Any], Check]:
    """The config file (an unreadable one counts as empty, as in the SDK), and what is wrong with it."""
    name = "config file"
    try:
        with open(path, "rb") as file:
            config = json.loads(file.read().decode("utf-8"))
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return {}, Check(name, OK, "none at {}; the environment decides".format(path))
    except OSError as error:
        return {}, Check(name, ERROR, "{} can't be read: {}".format(path, error.strerror), "Mend its permissions.")
    except (ValueError, RecursionError):
        fix = "Mend or remove it, then run `synapse login`: until then the SDK treats it as empty."
        return {}, Check(name, ERROR, "{} is not valid JSON".format(path), fix)
    if not isinstance(config, dict):
        return {}, Check(name, ERROR, "{} holds no JSON object".format(path), "Remove it and run `synapse login`.")
    if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
        detail = "{} has mode {:04o}: others on this machine can read the token".format(path, stat.S_IMODE(mode))
        return config, Check(name, WARNING, detail, "chmod 600 {}".format(path))
    return config, Check(name, OK, path)


def resolve_login(environ: Mapping[str, str], config: Mapping[str, Any]) -> Tuple[Optional[LoginFound], Check]:
    """Who we are: environment before file, field by field; the user token of a plugin run before the access token."""

    def field(variable: str, key: str) -> str:
        value = environ.get(variable) or config.get(key) or ""
        return value if isinstance(value, str) else ""

    host = (field("SYNAPSE_HOST", "host") or DEFAULT_HOST).rstrip("/")
    try:
        parts = urlsplit(host)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.query
    except ValueError:
        usable = None
    if not usable:
        fix = "Set SYNAPSE_HOST, or run `synapse login`, with an address such as {}.".format(DEFAULT_HOST)
        return None, Check("login", ERROR, "the configured Synapse host is not a plain http or https address", fix)
    token = field("SYNAPSE_ACCESS_TOKEN", "access_token")
    run_token = environ.get("SYNAPSE_PLUGIN_RUN_USER_TOKEN")
    user_token = run_token or ("" if token else field("SYNAPSE_PLUGIN_RUN_USER_TOKEN", "user_token"))
    tenant = environ.get("SYNAPSE_PLUGIN_RUN_TENANT") or None
    if user_token:
        tenant = field("SYNAPSE_PLUGIN_RUN_TENANT", "tenant") or None
        kind, headers = "user-token", {"Authorization": "Token " + user_token}
    elif token:
        kind, headers = "access-token", {"Synapse-Access-Token": "Token " + token}
    else:
        detail = "none: neither SYNAPSE_ACCESS_TOKEN nor {} has a token".format(config_path())
        return None, Check("login", ERROR, detail, _LOG_IN)
    if tenant:
        headers["Synapse-Tenant"] = "Token " + tenant
    url_host = environ.get("SYNAPSE_PLUGIN_RUN_URL_HOST")
    found = LoginFound(host, kind, tenant, headers, {"url_host": url_host} if url_host else {})
    source = "environment" if environ.get("SYNAPSE_ACCESS_TOKEN") or run_token else "config file"
    shown = "{} for {}, from the {}".format(kind.replace("-", " "), host, source)
    if tenant:
        shown += ", tenant {}".format(tenant)
    if kind == "user-token" and not tenant:
        return found, Check("login", WARNING, shown + ", but without a tenant", "Set SYNAPSE_PLUGIN_RUN_TENANT too.")
    return found, Check("login", OK, shown)


# --- asking over HTTP ------------------------------------------------------------------------------------------------


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: following it would carry the token to another host."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Refuse."""


def get(url: str, headers: Mapping[str, str]) -> Reply:
    """GET through the user's proxies and CA bundle; never raises for what a network can do."""
    try:
        opener = urllib.request.build_opener(_NoRedirects(), urllib.request.HTTPSHandler(context=_tls()))
        request = urllib.request.Request(url, headers=dict(headers, Accept="application/json"))  # noqa: S310 - checked
        request.add_header("User-Agent", "synapse-skills")  # proxies and firewalls refuse urllib's own
        try:
            with opener.open(request, timeout=SECONDS) as response:
                return _reply(response.status, response.read(_MAX_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                location = (error.headers.get("Location") or "").split("?")[0]
                return _reply(error.code, error.read(_MAX_BYTES), location)
    except urllib.error.URLError as error:
        return Reply(0, None, False, problem=_reason(error.reason))
    except (OSError, HTTPException) as error:
        return Reply(0, None, False, problem=_reason(error))
    except ValueError:
        # Its message would quote the header, that is the token.
        return Reply(0, None, False, problem="the token or the address holds characters that can't be sent")


def _reason(error: Any) -> str:
    if isinstance(error, ssl.SSLError):
        return "its certificate is not trusted ({})".format(getattr(error, "verify_message", "") or error.reason)
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _reply(status: int, body: bytes, location: str = "") -> Reply:
    try:
        return Reply(status, json.loads(body.decode("utf-8")), True, location)
    except (ValueError, RecursionError):
        return Reply(status, None, False, location)


def _tls() -> ssl.SSLContext:
    """Trust what the SDK's client trusts: a named bundle, else certifi's, else the system's."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if not bundle:
        try:
            import certifi
        except ImportError:
            return ssl.create_default_context()
        bundle = certifi.where()
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def check_backend(login: LoginFound) -> Tuple[List[Dict[str, Any]], Check]:
    """Prove that the login works by asking for the agents; returns them."""
    name = "backend"
    query = "?" + urlencode(login.params) if login.params else ""
    reply = get("{}/agents/{}".format(login.host, query), login.headers)
    rows = reply.body.get("results") if isinstance(reply.body, dict) else reply.body
    if reply.status == 200 and isinstance(rows, list):
        agents = [row for row in rows if isinstance(row, dict)]
        return agents, Check(name, OK, "{} accepts the login".format(login.host))
    if reply.status == 0:
        detail = "{} can't be reached: {}".format(login.host, reply.problem)
        fix = "Check the address and the network; behind a proxy set HTTPS_PROXY, with a CA of your own SSL_CERT_FILE."
    elif reply.status in (401, 403):
        detail = "{} refuses the login ({})".format(login.host, reply.status)
        fix = "The token is wrong, expired or for another tenant: make a new one, then `synapse login`."
    elif reply.status == 429 or reply.status >= 500:
        detail = "{} answers {}: it is overloaded or down".format(login.host, reply.status)
        fix = "Wait a little and run this again."
    elif 300 <= reply.status < 400:
        detail = "{} redirects to {}".format(login.host, reply.location or "another address")
        fix = "Set SYNAPSE_HOST to where it sends you, if that is Synapse."
    else:
        what = "another kind of JSON" if reply.is_json else "a page"
        detail = "{} answers {} with {}: this is not a Synapse backend".format(login.host, reply.status, what)
        fix = "Check SYNAPSE_HOST: it must be the API's address, not the web page's, and no login portal in between."
    return [], Check(name, ERROR, detail, fix)


# --- what submit needs -----------------------------------------------------------------------------------------------


def check_agent(config: Mapping[str, Any], known: Optional[Sequence[Mapping[str, Any]]]) -> Tuple[str, Check]:
    """The configured agent; returns the host that its dashboard is on."""
    agent = config.get("agent")
    if not isinstance(agent, dict) or not agent.get("id"):
        return "", Check("agent", ERROR, "no agent is configured", "Run `synapse agent select`.")
    shown = "{} ({})".format(agent.get("name") or "agent", agent["id"])
    try:
        host = urlsplit(str(agent.get("url") or "")).hostname or ""
    except ValueError:
        host = ""
    if not host:
        return "", Check("agent", ERROR, shown + " has no address", "Run `synapse agent select` again.")
    if known is not None and str(agent["id"]) not in [str(row.get("id")) for row in known]:
        detail = "{} is not among the backend's {} agents".format(shown, len(known))
        return host, Check("agent", WARNING, detail, "Run `synapse agent select` if it is of another tenant.")
    return host, Check("agent", OK, "{} at {}".format(shown, host))


def check_dashboard(host: str, port: int = DASHBOARD_PORT) -> Check:
    """Ray's dashboard, which `synapse script submit` talks to: always this port, whatever the agent's URL says."""
    url = "http://{}:{}".format("[{}]".format(host) if ":" in host else host, port)
    reply = get(url + "/api/version", {})
    if reply.status == 200 and isinstance(reply.body, dict) and reply.body.get("ray_version"):
        return Check("dashboard", OK, "{} runs Ray {}".format(url, reply.body["ray_version"]))
    if reply.status in (401, 403):
        fix = "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as the cluster's owner tells you."
        return Check("dashboard", WARNING, "{} is there and asks for a Ray token".format(url), fix)
    detail = reply.problem or "it answers {}, which is not Ray's dashboard".format(reply.status)
    fix = "The cluster's dashboard must be reachable from here (VPN, firewall), or submit from where it is."
    return Check("dashboard", ERROR, "{} can't be used: {}".format(url, detail), fix)


def check_ray(prefixes: Sequence[str]) -> Check:
    """Ray on this side: the SDK's submit imports it, and the SDK doesn't bring it along."""
    for prefix in [*prefixes, sys.prefix]:
        version = installed_version(prefix, "ray")
        if version:
            return Check("ray", OK, version)
    return Check("ray", WARNING, "not installed yet", "run.py installs it at the first submit.")
