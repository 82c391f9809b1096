//! A TPM for a machine: swtpm, in a process beside it that lives as long as the machine does.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cairn_process::{Running, Tool};
use tempfile::TempDir;

use super::{QemuError, Tpm};

/// The emulator's program.
pub const SWTPM: &str = "swtpm";
/// How long it may take until it listens. It says nothing when it does.
const PATIENCE: Duration = Duration::from_secs(20);
/// The names in its folder, which is where it runs: no path has to be written as an option of its.
const SOCKET: &str = "socket";
const STATE: &str = "state";

/// The emulator of one TPM. Dropped, it is ended.
#[derive(Debug)]
pub struct Swtpm {
    version: u32,
    _running: Running,
    folder: TempDir,
}

impl Swtpm {
    /// Starts it. What the TPM holds is in `kept`, which is made where it is missing and which only its owner reads; without it, it is gone
    /// at the end.
    ///
    /// # Errors
    /// [`QemuError::Tool`] where it is not installed or does not start; what making its folder meets.
    pub fn start(version: u32, kept: Option<&Path>) -> Result<Swtpm, QemuError> {
        let tool = Tool::new(SWTPM, "swtpm", "give the machine a TPM");
        tool.check()?;
        let making = || QemuError::io("making the folder of the TPM");
        let folder = tempfile::Builder::new().prefix("cairn-tpm-").tempdir().map_err(making())?;
        let state = folder.path().join(STATE);
        match kept {
            None => fs::create_dir(&state).map_err(making())?,
            Some(kept) => {
                own_folder(kept).map_err(QemuError::io(format!("making {}", kept.display())))?;
                let kept = std::path::absolute(kept).map_err(making())?;
                symlink(kept, &state).map_err(making())?;
            }
        }
        let mut tool = tool.args(["socket", "--tpmstate"]).arg(format!("dir={STATE}"));
        tool = tool.arg("--ctrl").arg(format!("type=unixio,path={SOCKET}")).arg("--terminate");
        if version != 1 {
            tool = tool.arg("--tpm2");
        }
        let mut running = tool.dir(folder.path()).tied_to_us("TERM").start(Stdio::null(), Stdio::null())?;
        let (socket, end) = (folder.path().join(SOCKET), Instant::now() + PATIENCE);
        while socket.symlink_metadata().is_err() {
            if running.try_wait()?.is_some() {
                running.wait()?;
                return Err(QemuError::Io { what: "starting the TPM".into(), source: ErrorKind::BrokenPipe.into() });
            }
            if Instant::now() > end {
                let source = io::Error::new(ErrorKind::TimedOut, format!("swtpm does not listen: {}", running.kill()));
                return Err(QemuError::Io { what: "starting the TPM".into(), source });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Swtpm { version, _running: running, folder })
    }

    /// As the machine takes it.
    pub fn tpm(&self) -> Tpm {
        Tpm { version: self.version, socket: self.socket() }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }
}

fn own_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tpm_holds_is_gone_at_its_end_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("a,b.tpm");
        for kept in [None, Some(kept.as_path())] {
            let tpm = match Swtpm::start(2, kept) {
                Ok(tpm) => tpm,
                Err(QemuError::Tool(missing @ cairn_process::ToolError::Missing { .. })) => {
                    return cairn_testkit::skip(missing);
                }
                Err(error) => panic!("{error}"),
            };
            let place = tpm.tpm().socket.parent().unwrap().to_path_buf();
            assert!(place.join(SOCKET).exists());
            drop(tpm);
            assert!(!place.exists());
        }
        assert!(kept.is_dir());
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(Swtpm::start(2, Some(&folder.path().join("file"))).is_err());
    }
}
