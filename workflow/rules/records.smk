# Takes: a job on a cluster, when it is done. Makes: Snakemake's record of its settings and inputs.
from snakemake.persistence import PersistenceBase


def record_in_the_job(finished):
    """Let a job write what else the Snakemake that submitted it writes, when it sees the job end.

    If that was killed meanwhile, the files would count as finished without a record of how they
    were made: a later change of a setting would make no new ones.
    """

    async def finished_with_record(persistence, job):
        settings = persistence.dag.workflow.remote_execution_settings
        # Jobs that were submitted by a Snakemake that does not wait for them record themselves.
        settings.immediate_submit = True
        try:
            await finished(persistence, job)
        finally:
            settings.immediate_submit = False

    return finished_with_record


if workflow.remote_exec:
    PersistenceBase.finished = record_in_the_job(PersistenceBase.finished)
