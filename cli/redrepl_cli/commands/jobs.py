"""`redrepl jobs`."""

from __future__ import annotations

import click

from redrepl import ConfigError
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import plain_table, say, write, write_json
from redrepl_cli.queue import NO_QUEUE, cluster_jobs
from redrepl_cli.text import printable


@click.command
@click.option("--failed", "failed_only", is_flag=True, help="Failed jobs only.")
@common_options
def jobs(invocation: Invocation, failed_only: bool) -> None:
    """List this cluster's jobs on the workers' queue: started, queued and failed ones.

    Jobs are hints: whatever fails or is lost, the workers' tick makes up for. Exit code 4: the
    queue does not answer.

    \b
    Example: redrepl jobs --failed --format json
    """
    configuration = invocation.configuration()
    if configuration.queue_url is None:
        raise ConfigError(f"{configuration.origin}: {NO_QUEUE}")
    found = cluster_jobs(configuration, failed_only)
    if invocation.as_json:
        head = {
            "schema_version": SCHEMA_VERSION,
            "cluster": configuration.cluster,
            "queue": configuration.queue,
        }
        write_json({**head, "jobs": [job.as_json() for job in found]})
        return
    if not found:
        say("no failed jobs" if failed_only else "no jobs")
        return
    rows = [
        [
            printable(cell or "")
            for cell in (job.id, job.work, job.node, job.state, job.enqueued_at, job.error)
        ]
        for job in found
    ]
    write(plain_table(["id", "work", "node", "state", "enqueued at", "error"], rows))
