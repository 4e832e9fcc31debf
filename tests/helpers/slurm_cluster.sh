#!/usr/bin/env bash
# A Slurm cluster on this machine, for tests: one node, pretended GPUs, real daemons.
#
#   tests/helpers/slurm_cluster.sh install    # apt-get: Slurm, munge and a database for accounting
#   tests/helpers/slurm_cluster.sh start FOLDER [without-accounting]
#   tests/helpers/slurm_cluster.sh stop FOLDER
#
# Debian or Ubuntu, as root, on a machine that has no Slurm of its own: elsewhere it ends with
# status 77. All that it writes is in FOLDER and /etc/slurm. A cluster that somebody forgot to stop
# is stopped by the next start. Memory, cores and GPUs are promised, not there: jobs get what the
# machine has. Limits of memory and time are enforced. A job of the partition urgent takes the place
# of others, which start again behind it.
set -euo pipefail

MARK="# of refusal-stability's tests/helpers/slurm_cluster.sh"
PACKAGES=(slurm-wlm slurmdbd munge mariadb-server-core mariadb-client-core)
PROGRAMS=(munged mariadbd mariadb-install-db mariadb slurmdbd slurmctld slurmd sbatch)
GPUS=4

die() { echo "error: $*" >&2; exit 1; }
cannot() { echo "error: $*" >&2; exit 77; }

check() {
    [[ $(id -u) == 0 ]] || cannot "must be root, to install and start Slurm"
    if [[ -e /etc/slurm/slurm.conf ]] && ! grep -qxF "$MARK" /etc/slurm/slurm.conf; then
        cannot "this machine has a Slurm of its own: /etc/slurm/slurm.conf"
    fi
}

missing_programs() {
    local program
    for program in "${PROGRAMS[@]}"; do
        command -v "$program" > /dev/null || echo "$program"
    done
}

install() {
    check
    [[ -n $(missing_programs) ]] || return 0
    command -v apt-get > /dev/null || cannot "no apt-get, to install Slurm with"
    export DEBIAN_FRONTEND=noninteractive
    timeout 60 apt-get update -qq || cannot "apt-get update failed"
    # Packages must not start their services: this script starts its own.
    local policy=/usr/sbin/policy-rc.d made= failed=
    [[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' > $policy; chmod +x $policy; made=1; }
    timeout 180 apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" > /dev/null || failed=1
    [[ -z $made ]] || rm "$policy"
    [[ -z $failed && -z $(missing_programs) ]] || cannot "apt-get could not install ${PACKAGES[*]}"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for() {
    local what=$1 deadline=$((SECONDS + 30))
    shift
    while ((SECONDS < deadline)); do
        timeout 10 "$@" > /dev/null 2>&1 && return
        sleep 0.2
    done
    die "$what did not start: see $folder/*.log"
}

start() {
    check
    local forgotten host
    forgotten=$(sed -n 's|^StateSaveLocation=\(.*\)/state$|\1|p' /etc/slurm/slurm.conf 2> /dev/null || true)
    [[ -z $forgotten ]] || stop "$forgotten"
    host=$(hostname -s)
    mkdir -p "$folder"/{munge,database,spool,state,gpu} /etc/slurm
    chmod 755 "$folder"
    local number
    for ((number = 0; number < GPUS; number++)); do : > "$folder/gpu/$number"; done
    # If a step fails, what was started before it does not stay.
    trap 'stop "$folder" > /dev/null 2>&1 || true' ERR EXIT

    # munge insists on folders that nobody else can write to, so on none below /tmp.
    dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
    chmod 700 "$folder/munge/key" && chmod 600 "$folder/munge/key"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
        --pid-file="$folder/munged.pid" --seed-file="$folder/munge/seed" \
        --log-file="$folder/munged.log"

    cat > /etc/slurm/slurm.conf << CONF
$MARK
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=2,sched_interval=5
SlurmdParameters=config_overrides
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=32 RealMemory=1000000 Gres=gpu:$GPUS State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=2
CONF
    printf '%s\nName=gpu File=%s/gpu/[0-%d]\n' "$MARK" "$folder" $((GPUS - 1)) > /etc/slurm/gres.conf

    [[ $accounting == without-accounting ]] || start_accounting
    slurmctld -c
    wait_for "slurmctld" scontrol ping
    slurmd -c
    wait_for "slurmd" sh -c '[ "$(sinfo --noheader --format %t --partition gpu)" = idle ]'
    trap - ERR EXIT
}

# A database, Slurm's daemon before it, and an account for the user.
start_accounting() {
    local database
    database=$(free_port)
    mariadb-install-db --no-defaults --user=root --datadir="$folder/database" \
        --auth-root-authentication-method=normal --skip-test-db > "$folder/database.log" 2>&1
    mariadbd --no-defaults --user=root --datadir="$folder/database" --port="$database" \
        --bind-address=127.0.0.1 --socket="$folder/database/socket" \
        --pid-file="$folder/mariadbd.pid" >> "$folder/database.log" 2>&1 &
    local sql=(mariadb --no-defaults --user=root --socket="$folder/database/socket")
    wait_for "the database" "${sql[@]}" -e 'select 1'
    "${sql[@]}" -e "create user slurm@localhost identified by 'slurm';
        create user slurm@127.0.0.1 identified by 'slurm';
        grant all on slurm.* to slurm@localhost; grant all on slurm.* to slurm@127.0.0.1"

    cat > /etc/slurm/slurmdbd.conf << CONF
$MARK
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
DbdHost=localhost
DbdPort=$(free_port)
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$database
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
PidFile=$folder/slurmdbd.pid
LogFile=$folder/slurmdbd.log
CONF
    chmod 600 /etc/slurm/slurmdbd.conf
    cat >> /etc/slurm/slurm.conf << CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$(sed -n 's/DbdPort=//p' /etc/slurm/slurmdbd.conf)
AccountingStoragePass=$folder/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
# A job with an account that nobody has is refused, as at most sites.
AccountingStorageEnforce=associations
CONF
    slurmdbd
    wait_for "slurmdbd" sacctmgr --noheader list cluster
    {
        sacctmgr --immediate add cluster test
        sacctmgr --immediate add account study
        sacctmgr --immediate add user root account=study
    } > "$folder/accounts.log"
}

stop() {
    local folder=$1 name pid tries
    if grep -qsF "$folder/" /etc/slurm/slurm.conf; then timeout 10 scancel --user root || true; fi
    # The database ends after those that write to it.
    for name in slurmd slurmctld slurmdbd mariadbd munged; do
        [[ -s $folder/$name.pid ]] || continue
        pid=$(< "$folder/$name.pid")
        # After a restart of the machine the number may be another program's.
        grep -qsx "$name" "/proc/$pid/comm" || continue
        kill "$pid" 2> /dev/null || continue
        for ((tries = 0; tries < 100; tries++)); do
            # Gone, or ended and only not yet collected.
            grep -qs '^State:.[^Z]' "/proc/$pid/status" || break
            sleep 0.1
        done
        kill -9 "$pid" 2> /dev/null || true
    done
    for name in slurm.conf slurmdbd.conf gres.conf; do
        if grep -qsF "$folder/" "/etc/slurm/$name"; then rm "/etc/slurm/$name"; fi
    done
    rm -rf "$folder/database"
}

case "${1-} $#" in
    "install 1") install ;;
    "start 2" | "start 3") folder=$(realpath -m "$2") accounting=${3-}; start ;;
    "stop 2") stop "$(realpath -m "$2")" ;;
    *) die "usage: cluster.sh install | start FOLDER [without-accounting] | stop FOLDER" ;;
esac
