//! A state that was rebuilt, really booted.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::machine::{Firmware, Setup};

/// How long a machine may take, tries that fail among it.
const PATIENCE: Duration = Duration::from_secs(180);

/// A unit that says on the serial console which machine has come up: as early as the root is there with all that the
/// generation lays over it.
pub const SAYS_SO: &str = r#"    torture.service:
      text: |
        [Unit]
        DefaultDependencies=no
        Before=sysinit.target
        [Service]
        Type=oneshot
        ExecStart=/bin/sh -c 'printf "up: %%s %%s .\n" "$$(cat /etc/hostname)" "$$(cat /proc/cmdline)" >/dev/ttyS0'
        [Install]
        WantedBy=sysinit.target
"#;

/// Boots a disk, which is written to, until its system says so; gives its name and generation, and how many seconds it took.
/// A machine that panics starts again by itself, as outside of a test; that is told as well.
///
/// # Errors
/// When the word does not come.
pub fn start(firmware: Firmware, disk: &Path) -> Result<(String, u64)> {
    let mut machine = Setup::new(disk).firmware(firmware).reboots().boot()?;
    let began = Instant::now();
    machine.wait_for("up: ", PATIENCE)?;
    let from = machine.said.len();
    machine.wait_for(" .", PATIENCE)?;
    let at = machine.said[..from].rfind("up: ").unwrap_or(0);
    let said = &machine.said[at + 4..];
    let name = said.split_whitespace().next().unwrap_or_default();
    let generation = said.split_whitespace().find_map(|word| word.strip_prefix("cairn.generation=")).unwrap_or("?");
    let trial = if said.contains("cairn.trial") { ", on trial" } else { "" };
    let panics = match machine.said.matches("Kernel panic").count() {
        0 => String::new(),
        n => format!(", after {n} panics"),
    };
    Ok((format!("{name}, generation {generation}{trial}{panics}"), began.elapsed().as_secs()))
}
