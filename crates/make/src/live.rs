//! A system that runs from a medium: no disk, no generation, no boot partition of its own.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_machine::lock::Lock;
use cairn_process::Report;
use cairn_root::Root;
use cairn_store::{Store, StorePath};
use cairn_system::{Program, SystemInput, debian};

use crate::machine_file::MachineFile;
use crate::named_files::{self, NamedFiles};
use crate::recipe::Kit;
use crate::{lock_file, problems};

/// Such a system, made.
#[derive(Debug)]
pub struct Live {
    /// The system's store path.
    pub system: StorePath,
    /// Where its base really is.
    pub base: PathBuf,
    /// The kernel.
    pub kernel: Vec<u8>,
    /// The initrd.
    pub initrd: Vec<u8>,
    /// The initrd's store path.
    pub initrd_path: StorePath,
    /// Its init, as the kernel's command line names it.
    pub init: String,
    /// The rest of the command line, without a root: that is the medium's to say.
    pub parameters: Vec<String>,
    /// Its lock.
    pub lock: Lock,
}

/// Makes one.
///
/// # Errors
/// What the steps say, with its place in the machine file.
pub fn live(file: &MachineFile, store: &Store, kit: &Kit, report: &dyn Report) -> anyhow::Result<Live> {
    let checked = file.load()?;
    let named = NamedFiles::read(&file.path, &checked, &|_| false)?;
    let lock = lock_file::for_build(&file.path, &checked, &kit.cache, report)?;
    let base =
        debian::base(&lock, &checked.machine, store, &kit.cache, report).map_err(|e| lock_file::placed(&checked, e))?;
    let made_from = named_files::made_from(file, &checked, &lock)?;
    let input = SystemInput {
        checked: &checked,
        base: &base,
        root: NO_ROOT,
        mounts: &[],
        sources: &named.sources,
        named: &named.contents,
        loader: None,
        program: Program::File(&kit.program),
        usr: &kit.usr,
        files: &made_from.iter().map(|(name, bytes)| (*name, bytes.clone())).collect(),
        store,
        cache: &kit.cache,
        key: None,
    };
    let system = cairn_system::build(&input, report).map_err(|e| problems::of_system(&checked, e))?;
    let boots = &system.boots.bootspec;
    let initrd = boots.initrd.as_deref().context("the medium's system has no initrd")?;
    let initrd_path = initrd.parent().and_then(Path::to_str).context("the initrd is not in a store path")?;
    Ok(Live {
        base: store.real_path(&base.info.path),
        kernel: read(store, &boots.kernel)?,
        initrd: read(store, initrd)?,
        initrd_path: StorePath::from_absolute(initrd_path)?,
        init: boots.init.display().to_string(),
        parameters: boots.kernel_params.iter().filter(|word| !is_of_root(word)).cloned().collect(),
        system: system.info.path,
        lock,
    })
}

/// A file of the store; links in it lead nowhere else.
fn read(store: &Store, path: &Path) -> anyhow::Result<Vec<u8>> {
    let reading = || format!("reading {}", path.display());
    let root = Root::open(store.root()).with_context(reading)?;
    root.read(path, MOST).with_context(reading)?.with_context(|| format!("there is no {}", path.display()))
}

/// Longer kernels and initrds no loader takes.
const MOST: u64 = 1 << 30;
const NO_ROOT: &str = "none";

/// What a command line says of a root that is on a disk.
fn is_of_root(word: &str) -> bool {
    word.starts_with("root=") || matches!(word, "rw" | "gpt")
}
