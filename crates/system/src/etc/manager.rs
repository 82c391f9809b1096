//! systemd's own settings: what happens when it crashes, hangs, or the machine with it.

use std::fmt::Write as _;

/// Seconds without a sign of life from systemd before a watchdog resets the machine. Less, and a machine that is busy
/// could be taken for one that hangs.
const RUNTIME_WATCHDOG: u32 = 60;
/// The same for the end of a shutdown, when file systems are unmounted.
const REBOOT_WATCHDOG: u32 = 180;

/// The settings for the initrd and the running system, as `system.conf` has them.
pub fn settings(watchdog: bool) -> String {
    // By default a systemd that crashes freezes, and the machine with it.
    let mut text = String::from("[Manager]\nCrashReboot=yes\n");
    if watchdog {
        let _ = writeln!(text, "RuntimeWatchdogSec={RUNTIME_WATCHDOG}\nRebootWatchdogSec={REBOOT_WATCHDOG}");
    }
    text
}
