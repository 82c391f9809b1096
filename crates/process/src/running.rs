//! A child that runs, its end, and what it said on standard error.

use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::children::{self, Member};
use crate::tool::ToolError;

/// How much of the end of a child's standard error is kept for who asks why it failed: mmdebstrap alone names all packages twice.
const STDERR_KEPT: usize = 64 << 10;

/// How long the last words of a child that has ended are waited for. They are in the pipe already; only where a grandchild
/// keeps the pipe open, nothing says that there are no more.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A child that runs. Dropped before it ended, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    member: Member,
    command: String,
    stderr: Option<Stderr>,
}

impl Running {
    pub(crate) fn new(mut child: Child, member: Member, command: String) -> Running {
        let stderr = child.stderr.take().map(Stderr::keep);
        Running { child, member, command, stderr }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipe from the child's standard output, once.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// The pipe to the child's standard input, once.
    pub fn take_stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// All that comes from the child's standard output.
    pub(crate) fn read_stdout(&mut self) -> Result<Vec<u8>, ToolError> {
        let mut out = Vec::new();
        if let Some(mut pipe) = self.take_stdout() {
            pipe.read_to_end(&mut out).map_err(|source| self.trouble(source))?;
        }
        Ok(out)
    }

    fn trouble(&self, source: std::io::Error) -> ToolError {
        ToolError::Io { command: self.command.clone(), source }
    }

    /// Says how the child ended, if it has.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, ToolError> {
        children::try_wait(&mut self.child, self.member).map_err(|source| self.trouble(source))
    }

    /// Waits for the end, which must be success.
    ///
    /// # Errors
    /// See [`ToolError`].
    pub fn wait(mut self) -> Result<(), ToolError> {
        let status = children::wait(&mut self.child, self.member).map_err(|source| self.trouble(source))?;
        if status.success() {
            return Ok(());
        }
        let stderr = self.last_words();
        Err(ToolError::Failed { command: self.command.clone(), status, stderr })
    }

    /// Stops the child now, and what it has started, and waits until it is gone; gives the end of what it said on standard
    /// error.
    pub fn kill(mut self) -> String {
        self.end();
        self.last_words()
    }

    fn end(&mut self) {
        children::kill_now(self.member);
        let _ = children::wait(&mut self.child, self.member);
    }

    fn last_words(&mut self) -> String {
        self.stderr.take().map(Stderr::end).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The end of what comes from a pipe, read by a thread of its own so that the child is never held up.
#[derive(Debug)]
struct Stderr {
    kept: Arc<Mutex<Vec<u8>>>,
    closed: Receiver<()>,
}

impl Stderr {
    fn keep(pipe: impl Read + Send + 'static) -> Stderr {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (tell, closed) = channel();
        let into = Arc::clone(&kept);
        std::thread::spawn(move || {
            keep_tail(pipe, &into);
            // Nobody waits for it if the child ended well.
            let _ = tell.send(());
        });
        Stderr { kept, closed }
    }

    fn end(self) -> String {
        let _ = self.closed.recv_timeout(LAST_WORDS);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let start = kept.len().saturating_sub(STDERR_KEPT);
        String::from_utf8_lossy(&kept[start..]).trim().to_string()
    }
}

fn keep_tail(mut pipe: impl Read, into: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    loop {
        let n = match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..n]);
        if kept.len() > 4 * STDERR_KEPT {
            let surplus = kept.len() - STDERR_KEPT;
            kept.drain(..surplus);
        }
    }
}
