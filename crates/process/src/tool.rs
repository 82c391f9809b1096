//! One run of somebody else's program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::children;
use crate::running::Running;

/// How much of that an error message shows.
const STDERR_SHOWN: usize = 2048;

/// A program to run, with why it is needed.
#[derive(Debug)]
pub struct Tool {
    program: OsString,
    package: &'static str,
    reason: &'static str,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    clear_env: bool,
    dir: Option<PathBuf>,
    own_group: bool,
    cleans_up: bool,
    tied: Option<&'static str>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The program is not on this machine.
    #[error("'{program}' is needed to {reason}, and is not installed; `apt-get install {package}` brings it")]
    Missing {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
        /// What it is needed for.
        reason: &'static str,
    },
    /// The program could not be started or talked to.
    #[error("running `{command}`")]
    Io {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The program ended with something else than 0.
    #[error("`{command}` ended with {status}{}", tail(.stderr))]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error.
        stderr: String,
    },
}

fn tail(stderr: &str) -> String {
    let end = &stderr[stderr.ceil_char_boundary(stderr.len().saturating_sub(STDERR_SHOWN))..];
    if end.is_empty() { String::new() } else { format!(":\n{end}") }
}

/// The full path of a program on `PATH` (or in the folders where Debian keeps an administrator's programs).
pub fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let program = Path::new(program.as_ref());
    let runs = |p: &Path| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.components().count() > 1 {
        return runs(program).then(|| program.to_path_buf());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|p| runs(p))
}

impl Tool {
    /// A program, the Debian package that has it, and what it is needed for: "… is needed to REASON".
    pub fn new(program: impl Into<OsString>, package: &'static str, reason: &'static str) -> Tool {
        Tool {
            program: program.into(),
            package,
            reason,
            args: Vec::new(),
            envs: Vec::new(),
            clear_env: false,
            dir: None,
            own_group: true,
            cleans_up: false,
            tied: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Tool {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Tool {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable in the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Tool {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// Gives the child nothing of our environment but PATH, HOME, TMPDIR and proxies, so that its result does not
    /// depend on ours.
    #[must_use]
    pub fn clean_env(mut self) -> Tool {
        self.clear_env = true;
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Tool {
        self.dir = Some(dir.into());
        self
    }

    /// Leaves the program in our own session and process group, for one that reads from the terminal. All others get their
    /// own, so that what they signal to their group is not for us; they have no terminal, and Ctrl-C reaches them by
    /// [`crate::stop_children`].
    #[must_use]
    pub fn on_the_terminal(mut self) -> Tool {
        self.own_group = false;
        self
    }

    /// Says that the program removes by itself what it has made when it is told to end, and that this may take its time:
    /// whoever ends the command waits for it ([`crate::children_clean_up`]).
    #[must_use]
    pub fn cleans_up(mut self) -> Tool {
        self.cleans_up = true;
        self
    }

    /// Ends the program with this signal (`TERM`, `KILL`) should we be killed, which leaves us no moment to do it. (Where
    /// util-linux is missing, it is left to itself.) It must be waited for in the thread that starts it: for the kernel, that
    /// one is its parent.
    #[must_use]
    pub fn tied_to_us(mut self, signal: &'static str) -> Tool {
        self.tied = Some(signal);
        self
    }

    /// Says whether the program is there, without running it.
    ///
    /// # Errors
    /// [`ToolError::Missing`].
    pub fn check(&self) -> Result<PathBuf, ToolError> {
        find(&self.program).ok_or_else(|| ToolError::Missing {
            program: self.program.to_string_lossy().into_owned(),
            package: self.package,
            reason: self.reason,
        })
    }

    /// Runs to the end. Standard output is thrown away.
    ///
    /// # Errors
    /// See [`ToolError`].
    pub fn run(self) -> Result<(), ToolError> {
        self.start(Stdio::null(), Stdio::null())?.wait()
    }

    /// Runs to the end and gives standard output.
    ///
    /// # Errors
    /// See [`ToolError`].
    pub fn output(self) -> Result<Vec<u8>, ToolError> {
        let mut running = self.start(Stdio::null(), Stdio::piped())?;
        let out = running.read_stdout()?;
        running.wait()?;
        Ok(out)
    }

    /// Starts with standard input and output as given; standard error is kept for the message.
    ///
    /// # Errors
    /// See [`ToolError`].
    pub fn start(self, stdin: Stdio, stdout: Stdio) -> Result<Running, ToolError> {
        let line = self.to_string();
        let name = Path::new(&self.program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = self.command()?;
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        match children::start(&mut command, name, self.own_group, self.cleans_up) {
            Ok((child, member)) => Ok(Running::new(child, member, line)),
            Err(source) => Err(ToolError::Io { command: line, source }),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn command(&self) -> Result<Command, ToolError> {
        let path = self.check()?;
        let mut command = match self.tied.and_then(|signal| Some((signal, find("setpriv")?))) {
            None => Command::new(&path),
            Some((signal, setpriv)) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", signal, "--"]).arg(&path);
                command
            }
        };
        if self.clear_env {
            command.env_clear();
            for name in ["PATH", "HOME", "TMPDIR", "http_proxy", "https_proxy", "no_proxy"] {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
            command.env("LC_ALL", "C.UTF-8");
        }
        command.args(&self.args).envs(self.envs.iter().map(|(k, v)| (k, v)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        Ok(command)
    }
}

impl std::fmt::Display for Tool {
    /// The command line, quoted so that a shell takes it back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, word) in std::iter::once(&self.program).chain(&self.args).enumerate() {
            let word = word.to_string_lossy();
            let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c));
            let blank = if i == 0 { "" } else { " " };
            if plain {
                write!(f, "{blank}{word}")?;
            } else {
                write!(f, "{blank}'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package_and_reason() {
        let error = Tool::new("no-such-program", "some-package", "do the work").run().unwrap_err();
        assert_eq!(
            error.to_string(),
            "'no-such-program' is needed to do the work, and is not installed; `apt-get install some-package` brings it"
        );
    }

    #[test]
    fn a_failure_shows_the_command_and_the_end_of_its_standard_error() {
        let error = Tool::new("sh", "dash", "test").args(["-c", "echo 'it broke' >&2; exit 3"]).run().unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`sh -c 'echo '\\''it broke'\\'' >&2; exit 3'` ended with exit status: 3"), "{text}");
        assert!(text.ends_with("it broke"), "{text}");
    }

    #[test]
    fn of_a_long_standard_error_the_message_shows_the_end_and_the_error_keeps_more() {
        let script = "echo reason >&2; seq -f 'ä%.0f' 2000 >&2; exit 1";
        let error = Tool::new("sh", "dash", "test").args(["-c", script]).run().unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with("\nä1999\nä2000") && text.len() < STDERR_SHOWN + 200, "{text}");
        let ToolError::Failed { stderr, .. } = error else { panic!("{error}") };
        assert!(stderr.starts_with("reason\nä1\n"), "{stderr}");
    }

    #[test]
    fn output_is_given_back_as_it_is() {
        let out = Tool::new("printf", "coreutils", "test").arg(r"a\0\377").output().unwrap();
        assert_eq!(out, b"a\0\xff");
    }
}
