//! A hardware watchdog, kept quiet while the root is put together. When the system starts it goes on ticking, and systemd takes
//! it over (kernel, `watchdog/watchdog-api.rst`: closed without its magic letter it is not stopped).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;

/// Milliseconds between two signs of life, and at most between two looks for the device.
pub const PACE: u16 = 1000;
/// Where systemd looks, too.
const DEVICE: &str = "/dev/watchdog0";
/// systemd's own settings in the initrd: whether a machine is watched is said there.
const SETTINGS: &str = "/etc/systemd/system.conf";

nix::ioctl_readwrite!(
    /// WDIOC_SETTIMEOUT of linux/watchdog.h; seconds.
    set_timeout,
    b'W',
    6,
    i32
);

/// The watchdog, as soon as there is one.
#[derive(Debug)]
pub struct Watchdog {
    /// After so many seconds without a stroke the machine restarts; `None` where nothing is to be watched.
    seconds: Option<i32>,
    device: Option<File>,
}

impl Default for Watchdog {
    fn default() -> Watchdog {
        let text = std::fs::read_to_string(SETTINGS).unwrap_or_default();
        Watchdog { seconds: seconds(&text), device: None }
    }
}

impl Watchdog {
    /// Tells it that all is well. Nothing is said of one that does not work: systemd tells that.
    pub fn stroke(&mut self) {
        let Some(mut seconds) = self.seconds else { return };
        if let Some(device) = &mut self.device {
            let _ = device.write(&[0]);
        } else if let Ok(device) = OpenOptions::new().write(true).open(DEVICE) {
            // SAFETY: the kernel reads and writes one int, which lives until the call returns.
            #[expect(unsafe_code, reason = "the ioctl has no safe wrapper")]
            let _ = unsafe { set_timeout(device.as_raw_fd(), &raw mut seconds) };
            self.device = Some(device);
        }
    }
}

/// `RuntimeWatchdogSec=` in a system.conf, in plain seconds.
fn seconds(settings: &str) -> Option<i32> {
    let mut values = settings.lines().filter_map(|line| line.strip_prefix("RuntimeWatchdogSec="));
    values.next_back()?.parse().ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_is_told_counts() {
        assert_eq!(seconds("[Manager]\nRuntimeWatchdogSec=60\nRebootWatchdogSec=180\n"), Some(60));
        assert_eq!(seconds("[Manager]\nCrashReboot=yes\n"), None);
        assert_eq!(seconds("RuntimeWatchdogSec=60\nRuntimeWatchdogSec=off\n"), None);
    }
}
