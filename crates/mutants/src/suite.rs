//! The tests of the tree, and a run of one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::switch::{AWAKE, REACHED};
use crate::viable::cargo;

/// What a faulty test may take of memory, in bytes.
const MEMORY: u64 = 6 << 30;

/// A test.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Test {
    pub package: String,
    pub binary: PathBuf,
    pub folder: PathBuf,
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct List {
    rust_suites: BTreeMap<String, Suite>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Suite {
    package_name: String,
    binary_path: PathBuf,
    cwd: PathBuf,
    testcases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    ignored: bool,
}

/// Builds and lists them.
pub fn list(tree: &Path) -> Result<Vec<Test>> {
    let output = cargo(tree)
        .args(["nextest", "list", "--locked", "--workspace", "--exclude", "qemu-tests", "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo nextest")?;
    ensure!(output.status.success(), "cargo nextest list failed");
    let list: List = serde_json::from_slice(&output.stdout).context("reading the list of tests")?;
    let mut tests = Vec::new();
    for suite in list.rust_suites.into_values() {
        for (name, _) in suite.testcases.into_iter().filter(|(_, case)| !case.ignored) {
            tests.push(Test {
                package: suite.package_name.clone(),
                binary: suite.binary_path.clone(),
                folder: suite.cwd.clone(),
                name,
            });
        }
    }
    Ok(tests)
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Passed,
    Failed,
    /// It did not end in its time.
    Late,
}

impl Test {
    /// Runs it, with a mutant awake or none, and says how long it took. What is reached is added to a file.
    pub fn run(
        &self,
        mutant: usize,
        reached: Option<&Path>,
        most: Duration,
        scratch: &Path,
    ) -> Result<(End, Duration)> {
        let own = tempfile::Builder::new().prefix("t").tempdir_in(scratch)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "no child of the product; all that it starts is found and killed below"
        )]
        let mut command = Command::new("prlimit");
        command.arg(format!("--as={MEMORY}")).arg("--").arg(&self.binary).args(["--exact", &self.name]);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).env("TMPDIR", own.path());
        // What some keep for the next time goes where it is gone.
        command.env("XDG_CACHE_HOME", own.path().join("cache")).env(AWAKE, mutant.to_string());
        if let Some(path) = reached {
            command.env(REACHED, path);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let began = Instant::now();
        let mut child = command.spawn().context("starting a test")?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if began.elapsed() > most {
                let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
                child.wait()?;
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = began.elapsed();
        kill_what_has(own.path())?;
        Ok((status.map_or(End::Late, |s: ExitStatus| if s.success() { End::Passed } else { End::Failed }), took))
    }
}

/// Ends every process that was given this folder: some have a session of their own.
fn kill_what_has(folder: &Path) -> Result<()> {
    let mark = format!("TMPDIR={}", folder.display());
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(id) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok()) else { continue };
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
    Ok(())
}
