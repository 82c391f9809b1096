//! Child processes: with a deadline, and with all that they said in the message when they do not do as they should.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A command to run.
#[derive(Debug, Clone)]
pub struct Cmd {
    program: OsString,
    called: Option<OsString>,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    deadline: Duration,
}

/// How a command ended and what it said.
#[derive(Debug, Clone)]
pub struct Done {
    /// The command line.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cmd {
    /// A command; it may take ten minutes.
    pub fn new(program: impl Into<OsString>) -> Cmd {
        let deadline = Duration::from_secs(600);
        Cmd { program: program.into(), called: None, args: Vec::new(), envs: Vec::new(), dir: None, deadline }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Cmd {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_os_string()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Cmd {
        self.envs.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Cmd {
        self.dir = Some(dir.into());
        self
    }

    /// What it is told that it is called.
    #[must_use]
    pub fn called(mut self, name: impl Into<OsString>) -> Cmd {
        self.called = Some(name.into());
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Cmd {
        self.deadline = deadline;
        self
    }

    /// This command as the argument of another one: `sudo`, `unshare`, `runuser`.
    #[must_use]
    pub fn under<A: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = A>) -> Cmd {
        let mut words: Vec<OsString> = wrapper.into_iter().map(|a| a.as_ref().to_os_string()).collect();
        words.push(self.program);
        words.append(&mut self.args);
        self.program = words.remove(0);
        self.args = words;
        self
    }

    /// Starts with pipes from standard output and error and nothing on standard input.
    pub fn start(&self) -> Result<Started> {
        self.spawn(Stdio::null(), Stdio::piped(), Stdio::piped())
    }

    /// Starts with these as standard input, output and error.
    pub fn start_on(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Started> {
        self.spawn(stdin, stdout, stderr)
    }

    #[expect(clippy::disallowed_methods, reason = "the harness links no product crate; this is its own door")]
    fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Started> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().map(|(k, v)| (k, v)));
        if let Some(called) = &self.called {
            command.arg0(called);
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn();
        Ok(Started { child: child.with_context(|| format!("starting `{self}`"))?, line: self.to_string() })
    }

    /// Runs to the end, whatever that is.
    pub fn run(&self) -> Result<Done> {
        let mut started = self.start()?;
        let out = collect(started.child.stdout.take());
        let err = collect(started.child.stderr.take());
        let status = started.wait(self.deadline);
        drop(started);
        let said =
            |thread: JoinHandle<Vec<u8>>| String::from_utf8_lossy(&thread.join().unwrap_or_default()).into_owned();
        let (stdout, stderr) = (said(out), said(err));
        match status? {
            Some(status) => Ok(Done { line: self.to_string(), status, stdout, stderr }),
            None => bail!("`{self}` has not ended after {:?}; it said:\n{stdout}\n{stderr}", self.deadline),
        }
    }

    /// Runs to the end, which must be success; gives standard output.
    pub fn ok(&self) -> Result<String> {
        let done = self.run()?;
        done.must(0)?;
        Ok(done.stdout)
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", arg.display()))
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

impl Done {
    /// The exit code must be this one.
    pub fn must(&self, code: i32) -> Result<&Done> {
        if self.status.code() != Some(code) {
            bail!("{self}\nexit code {code} was expected");
        }
        Ok(self)
    }

    /// Standard error must contain this.
    pub fn says(&self, words: &str) -> Result<&Done> {
        if !self.stderr.contains(words) {
            bail!("{self}\n'{words}' was expected on standard error");
        }
        Ok(self)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { line, status, stdout, stderr } = self;
        write!(
            f,
            "`{line}` ended with {status}\n--- standard output ---\n{stdout}\n--- standard error ---\n{stderr}---"
        )
    }
}

/// A child that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Started {
    /// The child.
    pub child: Child,
    line: String,
}

impl Started {
    /// Waits; `None` when it still runs after this time.
    pub fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().with_context(|| format!("waiting for `{}`", self.line))? {
                return Ok(Some(status));
            }
            if Instant::now() > end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, signal: &str) -> Result<()> {
        Cmd::new("kill").args(["-s", signal]).arg(self.child.id().to_string()).ok().map(|_| ())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a program is on `PATH`, or where Debian keeps an administrator's programs.
pub fn have(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let admin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(admin).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Two files hold the same bytes.
pub fn same_bytes(a: &Path, b: &Path) -> Result<()> {
    Cmd::new("cmp").arg(a).arg(b).ok().map(|_| ())
}

/// Whether this process may do everything.
pub fn root() -> bool {
    Cmd::new("id").arg("-u").ok().is_ok_and(|id| id.trim() == "0")
}
