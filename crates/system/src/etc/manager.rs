//! systemd's own settings: what happens when it crashes, hangs, or the machine with it.

use std::fmt::Write as _;

/// Seconds without a sign of life from systemd before a watchdog resets the machine. Less, and a machine that is busy
/// could be taken for one that hangs.
const RUNTIME_WATCHDOG: u32 = 60;
/// The same for the end of a shutdown, when file systems are unmounted.
const REBOOT_WATCHDOG: u32 = 180;

/// Root's shell for whoever sits at the machine.
const WITHOUT_PASSWORD: &str = "[Service]\nEnvironment=SYSTEMD_SULOGIN_FORCE=1\n";

/// Files below `/etc`, of the initrd and of the running system, that decide who gets a shell in emergency and rescue mode.
/// Without them root's password is asked for; where there is none, as in the initrd, no shell opens.
pub fn emergency(access: bool) -> impl Iterator<Item = (String, &'static str)> {
    let units = access.then_some(["emergency", "rescue"]).into_iter().flatten();
    units.map(|unit| (format!("systemd/system/{unit}.service.d/cairn-access.conf"), WITHOUT_PASSWORD))
}

/// The settings for the initrd and the running system, as `system.conf` has them.
pub fn settings(watchdog: bool) -> String {
    // By default a systemd that crashes freezes, and the machine with it.
    let mut text = String::from("[Manager]\nCrashReboot=yes\n");
    if watchdog {
        let _ = writeln!(text, "RuntimeWatchdogSec={RUNTIME_WATCHDOG}\nRebootWatchdogSec={REBOOT_WATCHDOG}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_becomes_root_without_a_password_unless_it_is_wanted() {
        assert_eq!(emergency(false).count(), 0);
        let paths: Vec<String> = emergency(true).map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "systemd/system/emergency.service.d/cairn-access.conf",
                "systemd/system/rescue.service.d/cairn-access.conf"
            ]
        );
    }
}
