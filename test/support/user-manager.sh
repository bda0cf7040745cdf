# Runs a script with a real systemd user manager, in separate namespaces: nothing outside them changes.
# usage: unshare -m -p -f --mount-proc -C sh user-manager.sh UID FOLDER SCRIPT ARGS…   Exits 90 if that is impossible.
# In SCRIPT, `boot` starts the manager and `shut_down` ends it.
uid=$1 folder=$2 script=$3
shift 3
{
  mount --make-rprivate / && { umount -R /sys/fs/cgroup 2>/dev/null || true; } &&
    mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs none /run/systemd && mkdir /run/systemd/system
} || exit 90
group=/sys/fs/cgroup/portal-test-$(basename "$folder")
mkdir "$group" || exit 90
manager='
boot() {
  /lib/systemd/systemd --user 2>>"$FOLDER/manager.log" &
  manager=$!
  for attempt in $(seq 200); do
    [ "$(systemctl --user is-system-running 2>/dev/null)" = running ] && return
    kill -0 $manager || exit 90
    sleep 0.05
  done
  exit 90
}
shut_down() { systemctl --user exit; wait $manager; }
'
mkdir -m 700 "$folder/run" && chown -R "$uid:$uid" "$folder" "$group"
(
  echo $$ >"$group/cgroup.procs" 2>/dev/null
  sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$group" setpriv --reuid "$uid" --regid "$uid" --clear-groups \
    env -u XDG_CONFIG_HOME -u XDG_DATA_HOME -u XDG_STATE_HOME -u DBUS_SESSION_BUS_ADDRESS -u NOTIFY_SOCKET \
    FOLDER="$folder" HOME="$folder" XDG_RUNTIME_DIR="$folder/run" USER="$uid" SYSTEMD_LOG_TARGET=console \
    sh -c "$manager$script" sh "$@"
)
code=$?
echo $$ >/sys/fs/cgroup/cgroup.procs
find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
exit $code
