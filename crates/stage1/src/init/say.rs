//! What the child says, on the console for whoever sits there, and in the kernel's log, from which it comes into the journal.

use std::fs::{self, OpenOptions};
use std::io::Write;

use crate::notes::clean;

/// The kernel's log takes a record for each write. This priority is not shown on a quiet console (5: notice).
const PRIORITY: &str = "<5>";
/// Without this it takes no more than ten lines at once; systemd does the same.
const UNLIMITED: &str = "/proc/sys/kernel/printk_devkmsg";
/// No line is longer.
const LONGEST: usize = 4096;

/// The line that has no end yet.
#[derive(Debug, Default)]
pub struct Say {
    line: Vec<u8>,
}

impl Say {
    /// Passes on what is a whole line by now.
    pub fn pass_on(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' || self.line.len() == LONGEST {
                self.end();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
    }

    fn end(&mut self) {
        tell(&String::from_utf8_lossy(&std::mem::take(&mut self.line)));
    }
}

/// Says a line. That it cannot be said is no reason to end: this is the first process.
pub fn tell(line: &str) {
    let line = clean(line);
    let _ = writeln!(std::io::stderr(), "{line}");
    let _ = fs::write(UNLIMITED, "on");
    let log = OpenOptions::new().write(true).open("/dev/kmsg");
    let _ = log.and_then(|mut log| log.write_all(format!("{PRIORITY}{line}\n").as_bytes()));
}

impl Drop for Say {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end();
        }
    }
}
