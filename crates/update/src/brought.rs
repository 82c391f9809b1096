//! A system that was made elsewhere: found in another store, held against this machine, and copied.

use std::path::Path;

use anyhow::Context;
use cairn_boot::effects::read_bootspecs;
use cairn_observe::Observed;
use cairn_process::{Refusal, Report};
use cairn_root::Root;
use cairn_store::{CopySource, Generations, MachineStore, NixDb, StorePath};

use crate::turn::now;

/// Brings a system out of the store below `from` into the machine's own, every byte checked, and registers it.
pub fn bring(
    from: &Path,
    named: Option<&str>,
    (root, observed): (&Root, &Observed<'_>),
    store: &MachineStore,
    report: &dyn Report,
) -> anyhow::Result<StorePath> {
    let there = Root::open(from).with_context(|| format!("opening {}", from.display()))?;
    if there.path() == root.path() {
        let what =
            format!("{} is this machine itself: `cairn rollback N` boots another of its generations", from.display());
        return Err(Refusal(what).into());
    }
    let source = CopySource::open(from)?;
    let system = match named {
        Some(path) => StorePath::from_absolute(path)?,
        None => current(from)?,
    };
    if source.info(&system)?.is_none() {
        return Err(Refusal(format!("{} has no {system}", from.display())).into());
    }
    fits(&there, &system, observed)?;
    copy(&source, &system, root, store, report)?;
    Ok(system)
}

/// Copies a system with all that it refers to, and registers it.
pub fn copy(
    source: &CopySource,
    system: &StorePath,
    root: &Root,
    store: &MachineStore,
    report: &dyn Report,
) -> anyhow::Result<()> {
    let copied = store.copy_closure(source, std::slice::from_ref(system), report)?;
    if !copied.new.is_empty() {
        report.note(&format!("{} store paths copied, {}", copied.new.len(), cairn_layout::human(copied.bytes)));
    }
    store.sync()?;
    NixDb::open(root.path())?.register(&copied.closure, now())?;
    Ok(())
}

/// The system that the other store's profile points at.
fn current(from: &Path) -> anyhow::Result<StorePath> {
    let generations = Generations::at(from);
    let number = generations.current()?;
    let found = generations.list()?.into_iter().find(|g| Some(g.number) == number).and_then(|g| g.system);
    found.ok_or_else(|| {
        let what = format!("{} has no current system: name one with --system /nix/store/...", from.display());
        Refusal(what).into()
    })
}

/// Refuses a system that could not boot here: made for another disk, or another kind of processor.
fn fits(there: &Root, system: &StorePath, observed: &Observed<'_>) -> anyhow::Result<()> {
    let theirs = read_bootspecs(there, &system.to_string())
        .with_context(|| format!("looking at {system}, which is to be a system"))?
        .system
        .bootspec;
    let ours = &observed.newest()?.boot.bootspec;
    let root =
        |parameters: &[String]| parameters.iter().rev().find_map(|p| p.strip_prefix("root=")).map(str::to_string);
    let (there, here) = (root(&theirs.kernel_params), root(&ours.kernel_params));
    if there != here {
        let word = |root: Option<String>| root.unwrap_or_else(|| "none".into());
        return Err(Refusal(format!(
            "{system} is made for the root file system {}, and this machine's is {}: identifiers follow from the seed, so \
             build it with `seed: {}` in its machine file",
            word(there),
            word(here),
            observed.seed()?
        ))
        .into());
    }
    if theirs.system != ours.system {
        let what = format!("{system} is made for {}, and this machine is {}", theirs.system, ours.system);
        return Err(Refusal(what).into());
    }
    Ok(())
}
