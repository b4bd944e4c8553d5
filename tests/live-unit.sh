#!/bin/bash
# Runs systemd/cmptd.service under a real systemd: boots a container on a throw-away copy of this machine,
# lets it label test signals for ten seconds, and asks systemd what it saw.
# usage: live-unit.sh FOLDER_WITH_CMPTD    as root, with the packages systemd and systemd-container
set -euo pipefail
binaries=$(realpath "$1")
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
root=$scratch/root
finish() {
  mountpoint -q "$root" && umount "$root"
  rm -rf "$scratch"
}
trap finish EXIT
mkdir "$root" "$scratch"/{upper,work}
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root"

# What a package would install.
install -D -t "$root/usr/bin" "$binaries/cmptd"
install -D "$(realpath "$binaries/libonnxruntime.so")" "$root/usr/bin/libonnxruntime.so"
install -D -m 644 systemd/cmptd.sysusers.conf "$root/usr/lib/sysusers.d/cmptd.conf"
install -D -m 644 -t "$root/etc/systemd/system" systemd/cmptd.service
mkdir -p "$root/usr/share/cmptd" "$root/etc/cmptd" "$root/etc/systemd/system/multi-user.target.wants"
cp -r models/avdigits/1 "$root/usr/share/cmptd/model"
cat >"$root/etc/cmptd/cmptd.toml" <<'TOML'
node = "unit"
[model]
bundle = "/usr/share/cmptd/model"
[[stream]]
id = "desk"
[[stream.source]]
pipeline = "videotestsrc pattern=ball is-live=true ! video/x-raw,width=320,height=240,framerate=10/1 ! videoconvert name=video"
provides = ["video"]
[[stream.source]]
pipeline = "audiotestsrc wave=ticks is-live=true ! audioconvert name=audio"
provides = ["audio"]
TOML
cat >"$root/etc/systemd/system/inspect.service" <<'UNIT'
[Unit]
After=cmptd.service
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'sleep 12; \
  systemctl show cmptd -p ActiveState,NRestarts,User,StatusText,WatchdogTimestamp >/report; \
  systemctl stop cmptd; \
  systemctl show cmptd -p Result,ExecMainStatus >>/report; \
  journalctl -u cmptd --no-pager >/journal; systemctl --force --force poweroff'
UNIT
for unit in cmptd inspect; do
  ln -s "/etc/systemd/system/$unit.service" "$root/etc/systemd/system/multi-user.target.wants/$unit.service"
done
: >"$root/etc/machine-id"
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 120 systemd-nspawn --quiet --directory="$root" --machine=cmptd-unit \
  --register=no --keep-unit --private-network --link-journal=no --boot >"$scratch/boot" 2>&1 || true
if [ ! -e "$root/report" ]; then
  tail -n 40 "$scratch/boot" >&2
  echo "the container did not come up" >&2
  exit 1
fi
cat "$root/report"
for expected in ActiveState=active NRestarts=0 Result=success ExecMainStatus=0; do
  grep -qx "$expected" "$root/report" || { cat "$root/journal" >&2; echo "not seen: $expected" >&2; exit 1; }
done
grep -q '^WatchdogTimestamp=.' "$root/report" || { cat "$root/journal" >&2; echo "the watchdog was never fed" >&2; exit 1; }
