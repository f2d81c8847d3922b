"""The commands that are built, in the order of `mlship --help`. Pure."""

EVERY_DAY = {
    "init": "write mlship.yaml and a sample for a trained model",
    "check": "find what is wrong before anything is built",
    "build": "make an image: environment, server, code and model",
    "deploy": "put a release in service; verified, and undone when it fails",
    "status": "what is live, asked from the server",
    "rollback": "serve the release before, or any older one",
    "cost-estimate": "what a month and a million predictions cost, before anything is deployed",
}
OTHERS = {
    "lock": "write mlship.lock without making an image; --refresh takes security updates",
    "promote": "go on with a rollout that waits, to its next step or to the end",
    "abort": "take back a rollout that is under way; the release before serves on",
    "renew": "bring the newest HAProxy and OpenSSL to the front of a service on docker",
    "run": "serve in the foreground, from the image or from your environment",
    "predict": "ask the live service, or answer a file of rows",
    "bench": "load the live release, or the built image: latency, throughput, highest rate",
    "test": "judge the built image before a deploy: answers, truths, quality, schema, budgets",
    "drift": "how far live rows are from model.reference, feature by feature",
    "verify": "ask the live release its id and the sample again",
    "plan": "what deploy would do",
    "render": "write what deploy would send, files for the vendor's own tool, or monitoring",
    "list": "every service on a target",
    "history": "who released what, when and why",
    "logs": "what the replicas say",
    "destroy": "remove everything that mlship made for this project",
    "prices": "which prices mlship knows, and of which day",
    "cache": "what mlship keeps for the next build",
    "ci": "print or write a pipeline: check, build, staging, production, rollback by hand",
    "schema": "JSON Schema of mlship.yaml, for editors",
    "doctor": "can this machine build and deploy? with remedies",
}
COMMANDS = {**EVERY_DAY, **OTHERS}

_OVERVIEW = """\
mlship: from a trained model file to a served and reversible release

usage: mlship COMMAND [options]       mlship COMMAND --help

Every day
{every_day}

More
{others}

Every command takes
  --json            one JSON object on stdout; text for people goes to stderr
  --env NAME        an environment of mlship.yaml
  --target NAME     where: local, docker, aws, gcp, azure
  --region NAME     of a cloud, where mlship.yaml says none
  -f, --file FILE   another mlship.yaml
  -C DIR            as if started in DIR
  -y, --yes         do not ask
  -q, --quiet       only the answer

Start:  mlship init --model model.joblib
"""


def overview() -> str:
    """What `mlship --help` says."""
    return _OVERVIEW.format(every_day=_rows(EVERY_DAY), others=_rows(OTHERS))


def _rows(commands: dict[str, str]) -> str:
    return "\n".join(f"  {name:<13} {summary}" for name, summary in commands.items())
