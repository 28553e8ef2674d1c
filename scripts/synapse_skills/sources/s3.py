"""S3 and what speaks its protocol (MinIO, Ceph …), through botocore, which synapse-sdk brings along.

Not through s3fs: it strips and splits keys (`//`, a slash at the end, `?versionId=`), holds a whole listing in memory,
and can't ask for one version. One page of a listing is one request here, and carries sizes, times and version tags.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar

from synapse_skills.errors import keep_secret
from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault, fault, timeout_s
from synapse_skills.sources.remote import CHUNK, Entry, Page, Reading, Remote, paged, version_of

PREFIX = "SYNAPSE_S3_"
_MISSING_HINT = (
    "Looked at SYNAPSE_S3_ACCESS_KEY_ID and SYNAPSE_S3_SECRET_ACCESS_KEY, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "the profile (SYNAPSE_S3_PROFILE, AWS_PROFILE) in ~/.aws/credentials and ~/.aws/config, and the role of this "
    "machine. On the cluster only SYNAPSE_ variables arrive. For a public bucket set SYNAPSE_S3_ANONYMOUS=1."
)
_BUSY = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeTooSkewed", "503", "500"}
_BUSY |= {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "502", "504", "429"}
_LOGIN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_LOGIN |= {"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
# Sorts after every key that begins with a folder's name.
_LAST = "\U0010ffff"


@dataclass(frozen=True)
class S3Login:
    """How to log in, of which `credentials` may be shown and nothing else. Empty fields are left to botocore."""

    credentials: str
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    profile: str = ""
    region: str = ""
    endpoint: str = ""
    anonymous: bool = False


def login_from_environment() -> S3Login:
    """The login of the usual places: SYNAPSE_S3_ variables before those of AWS.

    Raises:
        Fault: `login`: there is none.
    """

    def value(name: str) -> str:
        return os.environ.get(PREFIX + name, "").strip()

    region, endpoint = value("REGION"), value("ENDPOINT_URL")
    key, secret, token, profile = (
        value(name) for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE")
    )
    if value("ANONYMOUS").lower() in ("1", "true", "yes"):
        return S3Login("anonymous", region=region, endpoint=endpoint, anonymous=True)
    if key or secret:
        if not (key and secret):
            missing = "SECRET_ACCESS_KEY" if key else "ACCESS_KEY_ID"
            raise Fault("login", f"{PREFIX}{missing} is not set, and the other half of the key is", hint=_MISSING_HINT)
        return S3Login("environment", key, secret, token, region=region, endpoint=endpoint)
    return S3Login(_found_by_botocore(profile), profile=profile, region=region, endpoint=endpoint)


def _found_by_botocore(profile: str) -> str:
    """Where botocore finds a login, in words."""
    from botocore.exceptions import BotoCoreError

    try:
        session = _session(profile)
        found = session.get_credentials()
    except BotoCoreError as error:
        raise fault("login", error, hint=_MISSING_HINT) from None
    if found is None:
        raise Fault("login", "no key was found", hint=_MISSING_HINT)
    method = str(found.method)
    if method == "env":
        return "environment"
    if method in ("iam-role", "container-role", "assume-role-with-web-identity"):
        return "node"
    return f"profile {session.profile or 'default'}"


def _session(profile: str) -> Any:
    import botocore.session

    make: Any = botocore.session.Session
    session = make(profile=profile or None)
    # The descriptions of services, read once in a process: most of the time that a client takes to be made.
    session.register_component("data_loader", _loader())
    return session


@functools.cache
def _loader() -> Any:
    from botocore import loaders

    make: Any = loaders.create_loader
    return make()


class S3(Remote):
    """A prefix of a bucket."""

    rows_are_sorted: ClassVar[bool] = True

    def __init__(self, address: Address, login: S3Login) -> None:
        super().__init__(address, login.credentials)
        self._bucket = address.host
        self._prefix = f"{address.path}/" if address.path else ""
        for secret in (login.secret_key, login.token):
            keep_secret(secret)
        self._client = _client(login)

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """Page by page, 1,000 keys each."""
        asked = {"Bucket": self._bucket, "Prefix": self._prefix} | ({} if recursive else {"Delimiter": "/"})
        return paged(lambda token, behind: self._page(asked, token, behind), done)

    def _page(self, asked: dict[str, str], token: str | None, behind: str | None) -> Page:
        where = {"ContinuationToken": token} if token else {}
        where |= {"StartAfter": f"{self._prefix}{behind}/{_LAST}"} if behind else {}
        with _faults():
            page: dict[str, Any] = self._client.list_objects_v2(**asked, **where)
        start = len(self._prefix)
        files = [_entry(row["Key"][start:], row, "Size") for row in page.get("Contents", ())]
        folders = [Entry(row["Prefix"][start:], 0, 0) for row in page.get("CommonPrefixes", ())]
        more = page["NextContinuationToken"] if page.get("IsTruncated") else None
        return Page([each for each in files if each.key] + folders, files[-1].key if files else "", more)

    def stat(self, key: str) -> Entry | None:
        """One HEAD."""
        try:
            with _faults():
                found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except Fault as error:
            if error.word == "missing":
                return None
            raise
        return _entry(key, found, "ContentLength")

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """One GET, in a stream."""
        with _faults():
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        body = found["Body"]
        try:
            yield Reading(_entry(key, found, "ContentLength"), _chunks(body))
        finally:
            body.close()

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """One PUT: S3 shows the whole object or none. Above 64 MB in parts, which are put together at the end."""
        if size > _PART:
            self._write_parts(key, content, exclusive)
            return
        condition = {"IfNoneMatch": "*"} if exclusive else {}
        with _faults():
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=content, ContentLength=size, **condition
            )

    def _write_parts(self, key: str, content: BinaryIO, exclusive: bool) -> None:
        where = {"Bucket": self._bucket, "Key": self._prefix + key}
        condition = {"IfNoneMatch": "*"} if exclusive else {}
        with _faults():
            upload = self._client.create_multipart_upload(**where)["UploadId"]
            parts: list[dict[str, Any]] = []
            try:
                while data := content.read(_PART):
                    number = len(parts) + 1
                    tag = self._client.upload_part(**where, UploadId=upload, PartNumber=number, Body=data)["ETag"]
                    parts.append({"ETag": tag, "PartNumber": number})
                self._client.complete_multipart_upload(
                    **where, UploadId=upload, MultipartUpload={"Parts": parts}, **condition
                )
            except BaseException:
                self._client.abort_multipart_upload(**where, UploadId=upload)
                raise

    def delete(self, key: str) -> None:
        """One DELETE."""
        with _faults():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def check(self) -> None:
        """The root has something below it, if only its own marker."""
        if self._holds(self._prefix) or not self._prefix:
            return
        try:
            with _faults():
                self._client.head_object(Bucket=self._bucket, Key=self.address.path)
        except Fault as error:
            if error.word not in ("missing", "denied"):
                raise
        else:
            raise Fault("a-file")
        parts = self.address.path.split("/")
        for count in range(len(parts) - 1, 0, -1):
            above = "/".join(parts[:count])
            if self._holds(f"{above}/"):
                raise Fault("missing", f"s3://{self._bucket}/{above} exists")
        raise Fault("missing", f"the bucket s3://{self._bucket} exists")

    def _holds(self, prefix: str) -> bool:
        with _faults():
            return bool(self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1).get("Contents"))

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()


_PART = 64 << 20


def _client(login: S3Login) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    seconds = timeout_s()
    # Tries are counted in one place, faults.patiently, for all kinds alike. Checksums beyond what S3 itself demands
    # are unknown to older servers of other makers.
    config: Any = Config
    options: dict[str, Any] = {
        "connect_timeout": min(10.0, seconds),
        "read_timeout": seconds,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "max_pool_connections": 32,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if login.anonymous:
        options["signature_version"] = UNSIGNED
    try:
        session = _session(login.profile)
        region = login.region or session.get_config_variable("region") or "us-east-1"
        return session.create_client(
            "s3",
            region_name=region,
            endpoint_url=login.endpoint or None,
            aws_access_key_id=login.access_key or None,
            aws_secret_access_key=login.secret_key or None,
            aws_session_token=login.token or None,
            config=config(**options),
        )
    except (BotoCoreError, ValueError) as error:
        raise fault("login", error, hint="Check SYNAPSE_S3_ENDPOINT_URL, the region and ~/.aws/config.") from None


def _entry(key: str, row: dict[str, Any], size: str) -> Entry:
    try:
        version = version_of(row["LastModified"].timestamp(), str(row.get("ETag", "")).strip('"'))
        return Entry(key, int(row[size]), version)
    except (KeyError, AttributeError):
        # A proxy's page, say, in place of an object: what S3 tells of each is not there.
        raise fault("busy", "an answer that is not S3's") from None


def _chunks(body: Any) -> Iterator[bytes]:
    with _faults():
        yield from body.iter_chunks(CHUNK)


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Sort what botocore raises."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        raise _sorted(error) from None
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound) as error:
        raise fault("login", error, hint=_MISSING_HINT) from None
    except (boto.TokenRetrievalError, boto.CredentialRetrievalError, boto.UnauthorizedSSOTokenError) as error:
        raise fault("refused-login", error) from None
    except boto.SSLError as error:
        raise fault("tls", error) from None
    except (boto.ConnectTimeoutError, boto.ReadTimeoutError) as error:
        raise fault("timeout", error) from None
    except (boto.ResponseStreamingError, boto.IncompleteReadError, boto.ConnectionClosedError) as error:
        raise fault("cut", error) from None
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        raise fault("unreachable", error) from None
    except boto.ParamValidationError as error:
        raise fault("no-bucket", error) from None
    except boto.BotoCoreError as error:
        raise fault("other", error) from None


def _sorted(error: Any) -> Fault:
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket" or code == "InvalidBucketName":
        return Fault("no-bucket", code)
    if code in _LOGIN:
        return Fault("refused-login", code)
    if code in _REGION or status in (301, 307):
        return Fault("region", code)
    if code in _BUSY or status >= 500 or status == 429:
        return fault("busy", code)
    if code in ("PreconditionFailed", "ConditionalRequestConflict") or status in (409, 412):
        return Fault("exists", code)
    if status == 404:
        return Fault("missing")
    if status in (401, 403):
        return Fault("denied", code)
    return fault("other", f"{status} {code}")
