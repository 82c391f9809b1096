//! A machine whose generations and boot partition are changed: the running one, or one whose disk is mounted somewhere.
//! Observe, plan, apply: [`observed`] looks, crates/boot decides, [`menu`] carries out.

pub mod bios;
pub mod brought;
pub mod collect;
pub mod disk;
pub mod firmware;
pub mod identity;
pub mod made_from;
pub mod menu;
pub mod notice;
pub mod observed;
pub mod partitions;
pub mod reserve;
pub mod unpacked;

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use cairn_process::{Refusal, Report};
use cairn_root::Root;
use cairn_store::{Generations, Store, StoreError};

/// What a machine remembers from one upgrade to the next, below its root.
pub const CACHE: &str = "var/cache/cairn";

/// Cairn's own state on a machine, below its root.
pub const OWN: &str = "var/lib/cairn";

/// Opens the root of a machine.
pub fn root(path: &Path) -> anyhow::Result<Root> {
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

/// Writes down what each generation holds alone, so that `cairn generations` need not look at every file. Without it the list
/// takes longer, and that is all.
pub fn remember_own_sizes(root: &Root, store: &Store) {
    let there = Generations::at(root.path()).list().unwrap_or_default();
    let systems: Vec<_> = there.into_iter().filter(|g| g.exists).filter_map(|g| g.system).collect();
    let _ = store.remember_own_sizes(&systems);
}

/// Rising numbers in words: "generation 3", "generations 3 and 4", "generations 1 to 5 and 9".
pub fn numbers(numbers: impl IntoIterator<Item = u64>) -> String {
    let words = crate::machine::generations::runs(numbers.into_iter());
    match words.as_slice() {
        [one] if !one.contains(' ') => format!("generation {one}"),
        [one] => format!("generations {one}"),
        [all @ .., last] => format!("generations {} and {last}", all.join(", ")),
        [] => "no generation".into(),
    }
}
