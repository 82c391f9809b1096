//! udev, which gives disks their names after the kernel has found them: soon after a start, or after a disk was put in, it is still at it.

use std::path::Path;

use cairn_process::{Report, Tool};

/// Waits until udev has looked at all that there is, where it runs. Before that a disk lacks names by which it is found again later.
pub fn settle(report: &dyn Report) {
    if Path::new("/run/udev/control").exists() {
        let tool =
            Tool::new("udevadm", "udev", "wait until all disks have their names").args(["settle", "--timeout=30"]);
        if let Err(error) = tool.run() {
            report.note(&format!("{error}"));
        }
    }
}
