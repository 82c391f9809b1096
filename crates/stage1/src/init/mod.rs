//! The first process of an initrd. Where the root is a plain file system on a disk that is there, it is found, checked, grown,
//! mounted and put together without a service manager, which takes a third of the time. So is the root of an installation medium
//! ([`medium`]).
//!
//! Whatever is not plain, and whatever goes wrong, is systemd's, which is in the same initrd: it starts from the beginning as if
//! nothing had been tried, waits longer, knows more, tells what is wrong, and opens a shell or restarts. So nothing in here
//! decides that a boot has failed.
//!
//! The work is done by a child (`root`), so that the first process outlives whatever happens to it; that one passes on what the
//! child says and keeps a hardware watchdog quiet.

mod apis;
mod devices;
mod drivers;
pub mod medium;
mod root;
mod say;
mod switch;
mod watchdog;

use std::ffi::CString;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{ChildStdout, ExitCode, Stdio};

use cairn_process::{Tool, ToolError};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::execv;

use crate::cmdline::Parameters;
use crate::error::{Context, Error};
pub(crate) use root::prepare;
use say::Say;
use watchdog::Watchdog;

/// Where the root is put together.
pub(crate) const NEW_ROOT: &str = "/sysroot";
/// This program, in the initrd.
const HELPER: &str = "/usr/lib/cairn/cairn-stage1";
const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// Starts the system, or the initrd's systemd. It returns only when neither can be started; the kernel panics then, and with
/// `panic=` on its command line the machine restarts.
pub fn run() -> ExitCode {
    let error = match ready() {
        Ok(Some(parameters)) => switch::to(NEW_ROOT, parameters.init.as_deref().unwrap_or_default()),
        Ok(None) => hand_over(),
        Err(error) => {
            say::tell(&format!("cairn-stage1: {error}; systemd takes over"));
            hand_over()
        }
    };
    say::tell(&format!("cairn-stage1: {error}"));
    ExitCode::FAILURE
}

/// Gets the root ready, unless that is not for us to do.
fn ready() -> Result<Option<Parameters>, Error> {
    apis::mount()?;
    let parameters = crate::parameters()?;
    if !parameters.plain {
        return Ok(None);
    }
    // The kernel gives no PATH.
    let tool = Tool::new(HELPER, "cairn", "put the root together").arg("root").env("PATH", "/usr/bin:/usr/sbin");
    let mut child = tool.start(Stdio::null(), Stdio::piped()).context("starting the work")?;
    attend(child.take_stdout(), &mut Say::default(), &mut Watchdog::default());
    match child.wait() {
        Ok(()) => Ok(Some(parameters)),
        // Why, it has said itself.
        Err(ToolError::Failed { status, .. }) => Err(Error::new(format!("the root is not ready ({status})"))),
        Err(error) => Err(error).context("waiting for the work"),
    }
}

/// Passes on what the child says, until it has no more to say.
fn attend(said: Option<ChildStdout>, say: &mut Say, watchdog: &mut Watchdog) {
    let Some(mut said) = said else { return };
    let mut buffer = [0; 4096];
    loop {
        watchdog.stroke();
        let mut one = [PollFd::new(said.as_fd(), PollFlags::POLLIN)];
        if matches!(poll(&mut one, PollTimeout::from(watchdog::PACE)), Ok(0) | Err(Errno::EINTR)) {
            continue;
        }
        match said.read(&mut buffer) {
            Ok(length @ 1..) => say.pass_on(&buffer[..length]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Becomes the initrd's systemd.
fn hand_over() -> Error {
    // With all that is mounted below; there is nothing if it was not tried.
    for mounted in [NEW_ROOT, crate::assemble::SPECIAL] {
        let _ = umount2(mounted, MntFlags::MNT_DETACH);
    }
    exec(SYSTEMD)
}

/// Becomes a program, with the words that the kernel has for its init.
fn exec(program: &str) -> Error {
    let words = std::iter::once(program.to_string()).chain(std::env::args().skip(1));
    let words: Vec<CString> = words.filter_map(|word| CString::new(word).ok()).collect();
    let Some(path) = words.first() else { return Error::new(format!("{program:?} is no name")) };
    match execv(path, &words) {
        Ok(never) => match never {},
        Err(e) => Error::new(format!("starting {program}: {e}")),
    }
}
