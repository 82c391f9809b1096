//! The children that are running now, so that an interrupted command can take them with it.
//!
//! A child counts from the moment when it is started until it is reaped, both under one lock: whoever stops the children
//! meets none that is not listed yet, and no stranger who got the number of one that is gone.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// One child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pid: i32,
    /// It leads a session, and in it a process group, of its own.
    group: bool,
    /// It has something to remove when it is told to end, and nobody can do that for it.
    cleans_up: bool,
}

/// Each with what it is called.
static RUNNING: Mutex<BTreeMap<Member, String>> = Mutex::new(BTreeMap::new());

fn lock() -> MutexGuard<'static, BTreeMap<Member, String>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child. `group` puts it, and all that it starts, into a session and a process group of its own: a signal that it
/// sends to its group does not reach us, and one for it reaches its own children. In a session of its own it has no terminal:
/// in a group of our session that is not the terminal's, who asks for a password there would be stopped for ever.
pub(crate) fn start(command: &mut Command, name: String, group: bool, cleans_up: bool) -> io::Result<(Child, Member)> {
    if group {
        #[expect(unsafe_code, reason = "neither std nor nix starts a child in a new session")]
        // SAFETY: between fork and exec only setsid(2) is called, which is async-signal-safe and takes no memory.
        unsafe {
            command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from));
        }
    }
    let mut running = lock();
    let child = command.spawn()?;
    let member = Member { pid: child.id().cast_signed(), group, cleans_up };
    running.insert(member, name);
    Ok((child, member))
}

/// Waits for a child. It leaves the list in the moment in which its number becomes free.
pub(crate) fn wait(child: &mut Child, member: Member) -> io::Result<ExitStatus> {
    // Reaped before: its number may be another child's by now.
    if !lock().contains_key(&member) {
        return child.wait();
    }
    loop {
        match waitid(Id::Pid(Pid::from_raw(member.pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
    let mut running = lock();
    let status = child.wait()?;
    running.remove(&member);
    Ok(status)
}

/// Says how a child ended, if it has.
pub(crate) fn try_wait(child: &mut Child, member: Member) -> io::Result<Option<ExitStatus>> {
    let mut running = lock();
    let status = child.try_wait()?;
    if status.is_some() {
        running.remove(&member);
    }
    Ok(status)
}

/// Ends a child, and its group, at once, if it is not reaped yet.
pub(crate) fn kill_now(member: Member) {
    let running = lock();
    if running.contains_key(&member) {
        send(member, Signal::SIGKILL);
    }
}

fn send(member: Member, signal: Signal) {
    let pid = Pid::from_raw(member.pid);
    let give = |signal| if member.group { killpg(pid, signal) } else { kill(pid, signal) };
    let _ = give(signal);
    // One that is stopped takes it when it goes on.
    if signal == Signal::SIGTERM {
        let _ = give(Signal::SIGCONT);
    }
}

/// Sends SIGTERM to every child that is still running, and to what it has started. (Ctrl-C on the terminal reaches only our
/// own process group.)
pub fn stop_children() {
    for member in lock().keys() {
        send(*member, Signal::SIGTERM);
    }
}

/// Whether one of those is still running that clean up after themselves ([`crate::Tool::cleans_up`]). To signal it again would
/// end that.
pub fn children_clean_up() -> bool {
    lock().keys().any(|member| member.cleans_up)
}

/// The programs that are running now, by their names: what is waited for while nothing else moves.
pub fn running_children() -> Vec<String> {
    lock().values().cloned().collect()
}
