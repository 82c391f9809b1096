//! Ctrl-C and SIGTERM: children are stopped, the work gets a moment to clean up after itself, then the command ends.
//!
//! Nothing is removed by guess here. Work in progress lives in files without a name or in temporary folders with an
//! owner; both go away when their owner does, or are collected by the next run. A temporary folder that no run would
//! collect is named here ([`RemovedAtEnd`]) and goes when its owner does not get to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;

/// How long the main thread may take to unwind once its children are gone.
const GRACE: Duration = Duration::from_millis(1500);

/// The exit code that the first signal asked for; 0 while there was none.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// From here on SIGINT, SIGTERM and SIGHUP end the command in an orderly way. A second signal ends it at once.
pub fn listen() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let exit = if signal == SIGINT { Exit::Interrupted } else { Exit::Terminated };
            if ASKED.compare_exchange(0, exit as u8, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                leave();
            }
            cairn_process::stop_children();
            let spawned = std::thread::Builder::new().name("grace".into()).spawn(|| {
                std::thread::sleep(GRACE);
                leave();
            });
            if spawned.is_err() {
                leave();
            }
        }
    })?;
    Ok(())
}

/// Temporary folders that are there.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A temporary folder that is removed when a signal ends the command before its owner has removed it.
#[derive(Debug)]
pub struct RemovedAtEnd(PathBuf);

impl RemovedAtEnd {
    /// The folder, which is this command's own.
    pub fn new(folder: &Path) -> RemovedAtEnd {
        FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_path_buf());
        RemovedAtEnd(folder.to_path_buf())
    }
}

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).retain(|folder| *folder != self.0);
    }
}

/// What a signal asked for, if one came.
pub fn asked() -> Option<Exit> {
    match ASKED.load(Ordering::SeqCst) {
        0 => None,
        n if n == Exit::Interrupted as u8 => Some(Exit::Interrupted),
        _ => Some(Exit::Terminated),
    }
}

fn leave() -> ! {
    cairn_process::stop_children();
    // Whoever works in one may still be adding to it.
    for folder in FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        for _ in 0..3 {
            if std::fs::remove_dir_all(folder).is_ok() {
                break;
            }
        }
    }
    show_cursor();
    std::process::exit(i32::from(ASKED.load(Ordering::SeqCst)))
}

/// Bars hide the cursor; a terminal without one is a bad thing to leave behind.
fn show_cursor() {
    use std::io::{IsTerminal, Write};
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = stderr.write_all(b"\x1b[?25h\n");
    }
}
