//! The children that are running now, so that an interrupted command can take them with it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

pub(crate) fn add(pid: u32) {
    lock().insert(pid.cast_signed());
}

pub(crate) fn remove(pid: u32) {
    lock().remove(&pid.cast_signed());
}

fn lock() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sends SIGTERM to every child that is still running. Children that are not waited for yet keep their process id,
/// so no stranger can be hit.
pub fn stop_children() {
    for pid in lock().iter() {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGTERM);
    }
}
