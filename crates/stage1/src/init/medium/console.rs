//! What is shown while something takes its time, and what a person answers.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::drivers::Drivers;
use super::tell;

/// Percent between two lines.
const STEP: u64 = 10;
/// Milliseconds between two looks for a keyboard that has come late.
const PAUSE: u16 = 500;

/// How much of something is done, in lines: what this is said through has no others.
#[derive(Debug)]
pub struct Percent {
    what: &'static str,
    all: u64,
    next: u64,
}

impl Percent {
    /// Of so much.
    pub fn new(what: &'static str, all: u64) -> Percent {
        Percent { what, all, next: STEP }
    }

    /// Says that so much is done, where that is worth a line.
    pub fn at(&mut self, done: u64) {
        if let Some(percent) = self.line(done) {
            tell(&format!("{percent} % {}", self.what));
        }
    }

    fn line(&mut self, done: u64) -> Option<u64> {
        let percent = (u128::from(done) * 100).checked_div(u128::from(self.all)).unwrap_or(100);
        let percent = u64::try_from(percent).unwrap_or(100) / STEP * STEP;
        (percent >= self.next).then(|| {
            self.next = percent + STEP;
            percent
        })
    }
}

/// The kernel's consoles; the last one is what `/dev/console` is (Documentation/ABI/testing/sysfs-tty).
const ACTIVE: &str = "/sys/class/tty/console/active";

/// Says a line on the consoles that `/dev/console` is not: what goes there goes to one only. One that cannot take it at once has none.
pub fn on_others(line: &str) {
    let names = std::fs::read_to_string(ACTIVE).unwrap_or_default();
    let mut names: Vec<&str> = names.split_ascii_whitespace().collect();
    names.pop();
    for name in names {
        let console = OpenOptions::new().write(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(format!("/dev/{name}"));
        let _ = console.and_then(|mut console| console.write_all(format!("{line}\r\n").as_bytes()));
    }
}

/// Asks somebody to press Enter on one of the consoles, and waits for it; not where there is none that can be read.
pub fn ask_for_enter() {
    let names = std::fs::read_to_string(ACTIVE).unwrap_or_default();
    let names = names.split_ascii_whitespace().chain(["console"]);
    let open = |name| OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(format!("/dev/{name}"));
    // A serial port forgets what comes while nobody has it open.
    let mut consoles: Vec<File> = names.filter_map(|name| open(name).ok()).collect();
    tell("Press Enter to go on.");
    // The medium was there before it, perhaps, and then nobody has looked for more.
    let mut drivers = Drivers::default();
    while !consoles.is_empty() {
        let _ = drivers.load(&[]);
        let mut waiting: Vec<PollFd<'_>> =
            consoles.iter().map(|console| PollFd::new(console.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut waiting, PollTimeout::from(PAUSE)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        let mut pressed = false;
        consoles.retain_mut(|console| match console.read(&mut [0; 256]) {
            // A line: it ends with Enter.
            Ok(1..) => {
                pressed = true;
                true
            }
            Err(e) => matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted),
            // Nobody will ever press anything there.
            Ok(0) => false,
        });
        if pressed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_ten_lines_however_the_work_is_cut() {
        for pieces in [10, 100, 997] {
            let mut percent = Percent::new("", pieces);
            let lines: Vec<u64> = (1..=pieces).filter_map(|done| percent.line(done)).collect();
            assert_eq!(lines, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100], "{pieces}");
        }
        let mut percent = Percent::new("", u64::MAX);
        assert_eq!(percent.line(u64::MAX), Some(100));
        assert_eq!(Percent::new("", 0).line(0), Some(100));
    }
}
