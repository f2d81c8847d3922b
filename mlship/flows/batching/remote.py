"""Data that comes from a bucket, by the sources of models; answers that go to one, each file in one piece or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlship.config.addresses import SCHEMES
from mlship.errors import Exit, MlshipError, need
from mlship.flows.batching.files import Put
from mlship.flows.context import Context
from mlship.flows.fetching import fetched
from mlship.sources.base import Opening

MISSING = ("404", "NoSuchBucket")
FORBIDDEN = ("401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
LOGIN = "aws sso login, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def fetched_data(context: Context, address: str) -> Path:
    """The file on this machine; what is here already is not fetched again. Raises MlshipError: exit 2, 5, 8 or 13."""
    try:
        path = fetched(context, Opening(address, context.cwd, context.environ, context.runner, "--data")).origin.path
    except MlshipError as error:
        error.fix = error.fix.replace("model.uri", "--data")
        raise
    if not path.is_file():
        raise MlshipError(f"{address} is a folder", "--data", "name one file of it")
    return path


def refuse_unwritable(context: Context, address: str) -> None:
    """Before hours of work: no credentials, or no such bucket. Raises MlshipError: exit 2, 8 or 13."""
    bucket, _ = _parts(address)
    with _errors(address):
        try:
            _client().head_bucket(Bucket=bucket)
        except need("botocore.exceptions", "aws").ClientError as error:
            if _code(error) in MISSING:
                raise
            # whoever may put objects need not be allowed to ask for the bucket


def uploaded_to(context: Context, address: str) -> Put:
    """Puts a file there; whoever looks sees it whole, or what was there before. Raises MlshipError: exit 2, 8 or 13."""

    def upload(file: Path) -> None:
        bucket, key = _parts(address)
        size, done = file.stat().st_size, 0
        context.progress.step("upload", address)

        def told(count: int) -> None:
            nonlocal done
            done += count
            context.progress.amount("upload", done, size)

        with _errors(address):
            _client().upload_file(str(file), bucket, key, Callback=told)

    return upload


def _parts(address: str) -> tuple[str, str]:
    found = SCHEMES["s3"].shape.fullmatch(address)
    assert found, "the command line was checked"
    return found["bucket"], found["path"]


def _client() -> Any:
    config = need("botocore.config", "aws").Config(
        retries={"total_max_attempts": 5, "mode": "standard"}, user_agent_extra="mlship"
    )
    return need("boto3", "aws").client("s3", config=config)


@contextmanager
def _errors(address: str) -> Iterator[None]:
    """boto3's errors in words."""
    exceptions, own = need("botocore.exceptions", "aws"), need("boto3.exceptions", "aws")
    try:
        yield
    except exceptions.ClientError as error:
        raise _refused(address, _code(error)) from None
    except own.S3UploadFailedError as error:
        cause = error.__context__
        raise _refused(address, _code(cause) if isinstance(cause, exceptions.ClientError) else _line(error)) from None
    except exceptions.HTTPClientError as error:
        raise _unreachable(address, _line(error)) from None
    except (
        exceptions.BotoCoreError
    ) as error:  # credentials that are missing, of a profile that is not there, of a login that ended
        raise MlshipError(
            f"{address} cannot be written: {_line(error)}", "--out", LOGIN, exit=Exit.DENIED, code="denied"
        ) from None


def _refused(address: str, code: str) -> MlshipError:
    if code in MISSING:
        return MlshipError(f"there is no bucket for {address} ({code})", "--out", "name one that is there")
    if code in FORBIDDEN:
        fix = f"give them s3:PutObject on it, or {LOGIN}; then run the same command again: the answers are kept"
        return MlshipError(
            f"{address} may not be written with these credentials ({code})", "--out", fix, exit=Exit.DENIED, code="denied"
        )
    return _unreachable(address, code)


def _unreachable(address: str, why: str) -> MlshipError:
    return MlshipError(
        f"{address} cannot be written: {why}",
        "--out",
        "run the same command again: the answers are kept on this machine until they are there",
        exit=Exit.UNREACHABLE,
        code="unreachable",
    )


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
