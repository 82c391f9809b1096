//! What an initrd holds, by name. Everything is taken from the base, under the path that it has there.

/// Programs, with the libraries that they need. Without the first ones nothing boots.
pub const PROGRAMS: [&str; 22] = [
    "usr/lib/systemd/systemd",
    "usr/lib/systemd/systemd-executor",
    "usr/lib/systemd/systemd-journald",
    "usr/lib/systemd/systemd-udevd",
    "usr/lib/systemd/systemd-fsck",
    "usr/lib/systemd/systemd-shutdown",
    "usr/lib/systemd/systemd-sulogin-shell",
    "usr/lib/systemd/system-generators/systemd-fstab-generator",
    "usr/lib/systemd/system-generators/systemd-debug-generator",
    "usr/bin/systemctl",
    "usr/bin/udevadm",
    "usr/bin/kmod",
    "usr/sbin/modprobe",
    "usr/bin/mount",
    "usr/bin/umount",
    "usr/sbin/fsck",
    "usr/sbin/fsck.ext4",
    "usr/sbin/e2fsck",
    "usr/sbin/resize2fs",
    "usr/sbin/sulogin",
    "usr/bin/sh",
    "usr/bin/dash",
];

/// Programs for whoever sits before the emergency shell; left out where the base has none.
pub const COMFORT: [&str; 5] = ["usr/bin/journalctl", "usr/bin/dmesg", "usr/bin/ls", "usr/bin/cat", "usr/sbin/reboot"];

/// Programs by which the helper mounts the root of an installation medium. A base that has all of them is one for a medium: the
/// first is in every base, and takes room in none that does not need it.
pub const MEDIUM: [&str; 2] = ["usr/sbin/losetup", "usr/sbin/dmsetup"];

/// Libraries that are opened by name when they are needed (`.note.dlopen`): for kernel modules and the journal.
pub const OPENED: [&str; 3] = ["libkmod.so.2", "libzstd.so.1", "liblzma.so.5"];

/// Units below `usr/lib/systemd/system`.
pub const UNITS: [&str; 51] = [
    "basic.target",
    "emergency.service",
    "emergency.target",
    "exit.target",
    "final.target",
    "halt.target",
    "initrd-cleanup.service",
    "initrd-fs.target",
    "initrd-root-device.target",
    "initrd-root-fs.target",
    "initrd-switch-root.service",
    "initrd-switch-root.target",
    "initrd-udevadm-cleanup-db.service",
    "initrd-usr-fs.target",
    "initrd.target",
    "kexec.target",
    "local-fs-pre.target",
    "local-fs.target",
    "modprobe@.service",
    "paths.target",
    "poweroff.target",
    "reboot.target",
    "rescue.service",
    "rescue.target",
    "shutdown.target",
    "slices.target",
    "sockets.target",
    "swap.target",
    "sysinit.target",
    "systemd-exit.service",
    "systemd-fsck-root.service",
    "systemd-fsck@.service",
    "systemd-halt.service",
    "systemd-journald-dev-log.socket",
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-kexec.service",
    "systemd-poweroff.service",
    "systemd-reboot.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "timers.target",
    "umount.target",
    "ctrl-alt-del.target",
    "sigpwr.target",
    "time-set.target",
    "nss-user-lookup.target",
    "remote-fs-pre.target",
    "user.slice",
];

/// Which of the units are started, by the target that wants them.
///
/// `initrd-parse-etc.service`, which starts the end of the initrd elsewhere, looks for what the new root's fstab mounts before the
/// switch. Cairn mounts all of that itself, so the end is wanted by what it comes after.
pub const WANTS: [(&str, &str); 8] = [
    ("initrd.target", "initrd-cleanup.service"),
    ("sockets.target", "systemd-journald-dev-log.socket"),
    ("sockets.target", "systemd-journald.socket"),
    ("sockets.target", "systemd-udevd-control.socket"),
    ("sockets.target", "systemd-udevd-kernel.socket"),
    ("sysinit.target", "systemd-journald.service"),
    ("sysinit.target", "systemd-udev-trigger.service"),
    ("sysinit.target", "systemd-udevd.service"),
];

/// udev's rules below `usr/lib/udev/rules.d`: node permissions, links to disks, modules for devices, systemd's tags.
pub const RULES: [&str; 6] = [
    "50-udev-default.rules",
    "60-block.rules",
    "60-persistent-storage.rules",
    "64-ext4.rules",
    "80-drivers.rules",
    "99-systemd.rules",
];

/// The indices of what is built into the kernel, below the kernel's folder; those of modules are made anew.
pub const BUILT_IN_INDICES: [&str; 2] = ["modules.builtin.bin", "modules.builtin.alias.bin"];

/// Of systemd's own settings. A disk that is not there by then will not come: a shell is better than a dead screen. Half
/// a minute was seen to be too short for an emulated machine on a busy computer.
pub const DEVICE_TIMEOUT: &str = "DefaultDeviceTimeoutSec=120s\n";

/// A generation on trial gets no shell; see [`FAILED_UNIT`].
const SHELL: &str = "\
[Unit]
ConditionKernelCommandLine=!cairn.trial
";

/// Files that are the same in every initrd. An empty machine id stays empty here; `initrd-release` is what tells
/// systemd where it is; the root has a home and a shell for the emergency.
pub const FILES: [(&str, &str); 9] = [
    ("etc/machine-id", ""),
    ("etc/fstab", ""),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    ("etc/shadow", "root:*:::::::\n"),
    ("etc/systemd/system/emergency.service.d/cairn.conf", SHELL),
    ("etc/systemd/system/rescue.service.d/cairn.conf", SHELL),
    // Nothing is switched to that is not whole.
    ("etc/systemd/system/initrd-cleanup.service.d/cairn.conf", "[Unit]\nRequires=initrd-root-fs.target\n"),
    // Only devices that may lead to a disk or a keyboard are looked at; the rest, and buses, drivers and modules themselves, wait
    // for the real system, which looks at everything. Under emulation this saves seconds.
    (
        "etc/systemd/system/systemd-udev-trigger.service.d/cairn.conf",
        "[Service]\nExecStart=\nExecStart=-/usr/bin/udevadm trigger --type=devices --action=add \\\n\
         --prioritized-subsystem=block --subsystem-nomatch=tty --subsystem-nomatch=mem --subsystem-nomatch=vc \\\n\
         --subsystem-nomatch=vtconsole --subsystem-nomatch=net --subsystem-nomatch=cpu --subsystem-nomatch=machinecheck \\\n\
         --subsystem-nomatch=memory --subsystem-nomatch=node --subsystem-nomatch=workqueue --subsystem-nomatch=bdi \\\n\
         --subsystem-nomatch=event_source --subsystem-nomatch=clocksource --subsystem-nomatch=clockevents \\\n\
         --subsystem-nomatch=graphics --subsystem-nomatch=rtc --subsystem-nomatch=thermal --subsystem-nomatch=dmi\n",
    ),
    ("etc/systemd/journald.conf", "[Journal]\nStorage=volatile\n"),
];

/// Our own units, each with the folders that have a link to it.
pub const OWN_UNITS: [(&str, &str, &[&str]); 4] = [
    ("cairn-grow.service", GROW_UNIT, &["sysroot.mount.wants"]),
    ("cairn-assemble.service", ASSEMBLE_UNIT, &["initrd-root-fs.target.requires"]),
    ("cairn-trial.service", TRIAL_UNIT, &["sysinit.target.wants"]),
    ("cairn-boot-failed.service", FAILED_UNIT, &["emergency.target.wants", "rescue.target.wants"]),
];

/// Grows the partition and the file system, after the check and before the mount; the mount does not fail with it.
const GROW_UNIT: &str = "\
[Unit]
Description=Grow the Root File System
DefaultDependencies=no
AssertPathExists=/etc/initrd-release
After=systemd-fsck-root.service
Before=sysroot.mount

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/cairn/cairn-stage1 grow
StandardError=journal+console
";

/// Puts the root together. Everything that looks into the new root comes after it. It may have to check the file system
/// of a /var of its own, which takes its time; whatever else takes longer than this will not end.
const ASSEMBLE_UNIT: &str = "\
[Unit]
Description=Assemble the Root File System
DefaultDependencies=no
AssertPathExists=/etc/initrd-release
RequiresMountsFor=/sysroot
After=sysroot.mount
Before=initrd-root-fs.target
OnFailure=emergency.target
OnFailureJobMode=replace-irreversibly

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=15min
ExecStart=/usr/lib/cairn/cairn-stage1 assemble
StandardError=journal+console
";

/// Begins the trial of a generation that has not booted well yet.
const TRIAL_UNIT: &str = "\
[Unit]
Description=Begin the Trial of This Generation
DefaultDependencies=no
AssertPathExists=/etc/initrd-release
ConditionKernelCommandLine=cairn.trial
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/cairn/cairn-stage1 trial
";

/// In place of the emergency's shell while a generation is on trial: tells what went wrong, then the machine restarts,
/// however this ends and even if it cannot be started.
const FAILED_UNIT: &str = "\
[Unit]
Description=Restart After a Failed Trial
DefaultDependencies=no
AssertPathExists=/etc/initrd-release
ConditionKernelCommandLine=cairn.trial
SuccessAction=reboot-force
FailureAction=reboot-force
JobTimeoutSec=60
JobTimeoutAction=reboot-force

[Service]
Type=oneshot
TimeoutStartSec=30
ExecStart=/usr/lib/cairn/cairn-stage1 failed
StandardOutput=journal+console
StandardError=journal+console
";
