//! The turn on a machine: two commands that change it would each plan without the other's changes.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use cairn_process::{Refusal, Report};
use cairn_root::Root;
use cairn_store::StoreError;

/// What a machine remembers from one upgrade to the next, below its root.
pub const CACHE: &str = "var/cache/cairn";

/// Cairn's own state on a machine, below its root.
pub const OWN: &str = "var/lib/cairn";

/// Opens the root of a machine.
pub(crate) fn root(path: &Path) -> anyhow::Result<Root> {
    match Root::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(Refusal(format!("{} is not a machine that Cairn has made: it is no folder", path.display())).into())
        }
        other => other.with_context(|| format!("opening {}", path.display())),
    }
}

/// Held while a machine is changed: two commands would each plan without the other's changes.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

impl Turn {
    /// Takes the turn on the machine with this root, after whoever has it. A boot that is recorded as good while somebody
    /// upgrades must be recorded all the same, and who upgrades just after the machine has started must not be sent away.
    pub fn take(path: &Path, report: &dyn Report) -> anyhow::Result<Turn> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Refusal("this changes the machine, which root may do: try it with sudo".into()).into());
        }
        let root = root(path)?;
        let own = match root.own(OWN) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound) => {
                let what = format!("{} is not a machine that Cairn has made: it has no /{OWN}", path.display());
                return Err(Refusal(what).into());
            }
            // A folder that is a link, or none.
            Err(source) if matches!(source.kind(), ErrorKind::InvalidInput | ErrorKind::NotADirectory) => {
                return Err(StoreError::Unusable { path: root.shown(OWN), source }.into());
            }
            other => other.with_context(|| format!("opening {}", root.shown(OWN).display()))?,
        };
        let shown = own.shown("lock");
        let file = own.lock_file("lock", 0o644).with_context(|| format!("opening {}", shown.display()))?;
        if file.try_lock().is_err() {
            report.phase("waiting for another cairn that changes this machine", None);
            file.lock().with_context(|| format!("locking {}", shown.display()))?;
        }
        Ok(Turn { _file: file })
    }
}

/// This moment in seconds since 1970, by the machine's clock.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since.and_then(|d| i64::try_from(d.as_secs()).ok()).unwrap_or_default()
}
