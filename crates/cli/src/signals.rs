//! Ctrl-C, SIGTERM and SIGHUP: children are stopped, the work gets a moment to clean up after itself, then the command
//! ends, and says so.
//!
//! Nothing is removed by guess here. Work in progress lives in files without a name or in temporary folders with an
//! owner; both go away when their owner does, or are collected by the next run.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::terminal;

/// How long the main thread may take to unwind once its children are gone.
const GRACE: Duration = Duration::from_millis(1500);

/// How long children may take that remove what they have made: of an ordinary user's mmdebstrap nobody else can. It is
/// gigabytes.
const CLEANING: Duration = Duration::from_secs(60);
/// How often they are looked for.
const LOOK: Duration = Duration::from_millis(50);

/// The exit code that the first signal asked for; 0 while there was none.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// Whether the user has been told.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C is another program's.
static THEIRS: AtomicBool = AtomicBool::new(false);

/// As long as this is there, Ctrl-C at the terminal is meant for the program that was given it.
pub struct Theirs(());

impl Theirs {
    /// Begins.
    pub fn begin() -> Theirs {
        THEIRS.store(true, Ordering::SeqCst);
        Theirs(())
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        THEIRS.store(false, Ordering::SeqCst);
    }
}

/// Ctrl-C that comes to this thread as a signal waits, as long as this is there. (Whoever reads keys makes a signal of it, for the thread
/// that reads.) One that comes to the process ends it as ever.
pub struct Waiting(SigSet);

impl Waiting {
    /// Begins.
    ///
    /// # Errors
    /// The system's.
    pub fn begin() -> std::io::Result<Waiting> {
        Ok(Waiting(interrupt().thread_swap_mask(SigmaskHow::SIG_BLOCK)?))
    }

    /// Forgets the one that has come.
    pub fn forget(&self) {
        // Of two of one kind one waits; so there is one, and waiting for it comes to an end.
        let _ = nix::sys::signal::raise(Signal::SIGINT);
        let _ = interrupt().wait();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.thread_set_mask();
    }
}

fn interrupt() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set
}

/// From here on SIGINT, SIGTERM and SIGHUP end the command in an orderly way. A second signal ends it at once; but a terminal
/// that is closed may well say so twice. Those that whoever started us has us ignore (`nohup`, a shell's `&`) stay ignored.
pub fn listen() -> std::io::Result<()> {
    let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGINT && THEIRS.load(Ordering::SeqCst) {
                continue;
            }
            let exit = match signal {
                SIGINT => Exit::Interrupted,
                SIGHUP => Exit::HungUp,
                _ => Exit::Terminated,
            };
            if ASKED.compare_exchange(0, exit as u8, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                if signal == SIGHUP {
                    continue;
                }
                leave();
            }
            cairn_process::ask_to_end();
            cairn_process::stop_children();
            let spawned = std::thread::Builder::new().name("grace".into()).spawn(|| {
                std::thread::sleep(GRACE);
                if cairn_process::children_clean_up() {
                    wait_for_cleaning();
                    std::thread::sleep(GRACE);
                }
                leave();
            });
            if spawned.is_err() {
                leave();
            }
        }
    })?;
    Ok(())
}

/// Waits until what the children have made is removed, but not for ever.
fn wait_for_cleaning() {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "waiting up to {} s until the files of packages are removed; a second signal ends this at once",
        CLEANING.as_secs()
    );
    let end = std::time::Instant::now() + CLEANING;
    while cairn_process::children_clean_up() && std::time::Instant::now() < end {
        std::thread::sleep(LOOK);
    }
}

/// The signals that are ignored, as proc(5) has them: the lowest bit is signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// What a signal asked for, if one came.
pub fn asked() -> Option<Exit> {
    [Exit::Interrupted, Exit::HungUp, Exit::Terminated]
        .into_iter()
        .find(|exit| *exit as u8 == ASKED.load(Ordering::SeqCst))
}

/// Says once why the command ends.
pub fn tell(asked: Exit) {
    use std::io::Write;
    if TOLD.swap(true, Ordering::SeqCst) {
        return;
    }
    let why = match asked {
        Exit::Interrupted => "interrupted (SIGINT)",
        Exit::HungUp => "ended because the terminal was closed (SIGHUP)",
        _ => "ended by a signal (SIGTERM)",
    };
    // Where the terminal is gone nobody reads it; that is no reason to fail.
    let _ = writeln!(std::io::stderr(), "cairn: {why}");
    if let Some(left) = cairn_process::left() {
        let _ = writeln!(std::io::stderr(), "{}", cairn_process::text::plain(&left));
    }
}

fn leave() -> ! {
    cairn_process::stop_children();
    terminal::restore();
    show_cursor();
    if let Some(asked) = asked() {
        tell(asked);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_kernels_mask() {
        // As under nohup.
        assert_eq!(ignored("Name:\tcairn\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n"), 1 << (SIGHUP - 1));
        assert_eq!(ignored("SigIgn:\t0000000000001002\n") & (1 << (SIGINT - 1)), 2);
        assert_eq!(ignored(""), 0);
    }
}
