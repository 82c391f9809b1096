//! One generation: from a machine file, its lock and a base to a system, as one readable recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::Unsigned;
use cairn_layout::{disk_seed, identifiers};
use cairn_machine::Checked;
use cairn_machine::lock::Lock;
use cairn_machine::model::{Disk, FileSystem, PartitionKind};
use cairn_process::Report;
use cairn_store::{SigningKey, Store, StorePath};
use cairn_system::debian::Base;
use cairn_system::signed::is_signed;
use cairn_system::{Mount, Program, System, SystemInput, read_in_base};
use uuid::Uuid;

use crate::loader::STUB;
use crate::machine_file::MachineFile;
use crate::named_files::{self, NamedFiles};
use crate::{loader, problems};

/// One generation, made: everything that follows from its machine file alone.
#[derive(Debug)]
pub struct Made {
    /// The machine file, checked.
    pub checked: Checked,
    /// Its lock.
    pub lock: Lock,
    /// Its base.
    pub base: Base,
    /// Its system.
    pub system: System,
    /// What of the boot loader is made for the machine alone.
    pub loader: Option<StorePath>,
    /// The files that the machine file names.
    pub named: NamedFiles,
    /// Directories that partitions besides the root are mounted on.
    pub mount_points: Vec<String>,
}

/// What comes from outside of the files, and is the same for all that is made.
#[derive(Debug)]
pub struct Kit {
    /// A folder for what is remembered from one build to the next.
    pub cache: PathBuf,
    /// Signs the systems, if given.
    pub key: Option<SigningKey>,
    /// The program that makes a machine's next generation, which the machine gets.
    pub program: PathBuf,
    /// Its manual pages and completions, by their path below `/usr`.
    pub usr: BTreeMap<String, Vec<u8>>,
}

/// The kernel, in a base.
const KERNEL: &str = "boot/vmlinuz";

/// Where a generation is made, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Workshop<'a> {
    /// Where base and system are.
    pub store: &'a Store,
    /// The rest.
    pub kit: &'a Kit,
}

/// Makes a generation: base, system. The files and the lock are the caller's.
///
/// # Errors
/// What the steps say, with its place in the machine file.
pub fn make(
    file: &MachineFile,
    (checked, named, lock): (Checked, NamedFiles, Lock),
    base: Base,
    workshop: &Workshop<'_>,
    report: &dyn Report,
) -> anyhow::Result<Made> {
    let (disk_name, disk) = the_disk(&checked)?;
    let disk_seed = disk_seed(checked.seed(), &disk_name);
    let (root, mounts) = mounts(&checked, &disk_name, &disk, disk_seed)?;
    let made_from = named_files::made_from(file, &checked, &lock)?;
    let Workshop { store, kit } = *workshop;
    let added = in_store(store, &kit.program);
    let program = added.as_ref().map_or(Program::File(&kit.program), Program::Added);
    let base_folder = store.real_path(&base.info.path);
    starts_under_secure_boot(&checked, &base_folder)?;
    let loader = loader::Parts {
        base: &base.info.path,
        artifact: &|path| loader::artifact(store, path),
        grub: Some(loader::Grub::Base { folder: &base_folder, cache: &kit.cache, remember: true }),
    };
    let loader = loader.make(&checked, store)?;
    let input = SystemInput {
        checked: &checked,
        base: &base,
        root: &root,
        mounts: &mounts,
        sources: &named.sources,
        named: &named.contents,
        loader: loader.as_ref(),
        program,
        usr: &kit.usr,
        files: &made_from.iter().map(|(name, bytes)| (*name, bytes.clone())).collect(),
        store,
        cache: &kit.cache,
        key: kit.key.as_ref(),
    };
    let system = cairn_system::build(&input, report).map_err(|e| problems::of_system(&checked, e))?;
    let mount_points = mounts.iter().filter(|m| m.format != FileSystem::Swap).map(|m| m.target.clone()).collect();
    Ok(Made { checked, lock, base, system, loader, named, mount_points })
}

/// Refuses a kernel that nobody has signed where shim is to start it: a firmware that enforces Secure Boot stops dead at it, and no
/// older generation gets its turn.
fn starts_under_secure_boot(checked: &Checked, base: &Path) -> anyhow::Result<()> {
    let uefi = checked.machine.firmware().uefi;
    if checked.machine.boot.by_own_keys() && uefi {
        return signs_its_images(checked, base);
    }
    if !(checked.machine.boot.by_shim() && uefi) {
        return Ok(());
    }
    let kernel = read_in_base(base, KERNEL).with_context(|| format!("reading {KERNEL} of {}", base.display()))?;
    if kernel.is_some_and(|kernel| is_signed(&kernel)) {
        return Ok(());
    }
    let package = &checked.machine.source.debian().kernel;
    let message = format!("nobody has signed the kernel of {package}, so `secure_boot: shim` could not start it");
    let help = match package.strip_suffix("-unsigned") {
        Some(signed) => format!("take {signed}, which is the same with Debian's signature"),
        None => {
            "take linux-image-amd64, linux-image-cloud-amd64 or linux-image-rt-amd64, which Debian signs".to_string()
        }
    };
    Err(checked.problem("/source/debian/kernel", message, Some(help)).into())
}

/// Refuses a base of which the machine could not make images that it signs: it would learn so after its first boot only.
fn signs_its_images(checked: &Checked, base: &Path) -> anyhow::Result<()> {
    let stub = read_in_base(base, STUB).with_context(|| format!("reading {STUB} of {}", base.display()))?;
    let why = match stub {
        Some(stub) => match Unsigned::has_profiles(&stub) {
            Ok(()) => return Ok(()),
            Err(why) => why.to_string(),
        },
        None => format!("there is no {STUB} in its base"),
    };
    let suite = &checked.machine.source.debian().suite;
    let message = format!("of {suite} no image can be made that the machine signs: {why}");
    let help = "take Debian trixie, or newer; or `secure_boot: shim`".to_string();
    Err(checked.problem("/boot/secure_boot", message, Some(help)).into())
}

/// The store path that a program is in, if that is a path of this store: on a machine, `cairn` itself.
fn in_store(store: &Store, program: &Path) -> Option<StorePath> {
    let folder = program.strip_prefix(cairn_store::STORE_DIR).ok()?;
    let path = StorePath::from_basename(folder.iter().next()?.to_str()?).ok()?;
    let inside = Path::new(&path.to_string()).join("bin/cairn") == program;
    (inside && store.info(&path).ok()?.is_some()).then_some(path)
}

/// Gives a machine file that names no seed the one of the machine that it is a generation of: its identifiers are those of
/// a disk that exists, whatever the host name is now.
///
/// # Errors
/// A seed in the file that is another one.
pub fn adopt_seed(checked: &mut Checked, seed: Uuid) -> anyhow::Result<()> {
    if checked.seed() == seed {
        return Ok(());
    }
    let named = checked.machine.seed.is_some() || checked.hardware.as_ref().is_some_and(|h| h.seed.is_some());
    if named {
        let message = "this seed is not the one that the machine was made with".to_string();
        let help = format!("its disk has the identifiers of `seed: {seed}`; leave the line out, or write that");
        return Err(checked.problem("/seed", message, Some(help)).into());
    }
    checked.machine.seed = Some(seed);
    Ok(())
}

/// The one disk of the machine, which holds the root file system.
pub(crate) fn the_disk(checked: &Checked) -> anyhow::Result<(String, Disk)> {
    let (name, disk) = checked.machine.root_disk().context("the machine has no disk")?;
    Ok((name.to_string(), disk.clone()))
}

/// The kernel's `root=`, and what is mounted besides the root.
fn mounts(checked: &Checked, name: &str, disk: &Disk, seed: Uuid) -> anyhow::Result<(String, Vec<Mount>)> {
    let ids = identifiers(disk, seed).map_err(|e| problems::of_plan(checked, name, e))?;
    let mut root = None;
    let mut mounts = Vec::new();
    for partition in ids {
        let Some(fs) = partition.fs().cloned() else { continue };
        if partition.kind == PartitionKind::Root {
            // Of a file system that was there before the machine, nobody here knows the UUID.
            root = Some(match partition.was_there {
                true => format!("PARTUUID={}", partition.part_uuid),
                false => format!("UUID={}", fs.uuid),
            });
        } else if let Some(target) = partition.mount_point {
            mounts.push(Mount { device: format!("PARTUUID={}", partition.part_uuid), target, format: fs.format });
        } else if fs.format == FileSystem::Swap {
            let device = format!("PARTUUID={}", partition.part_uuid);
            mounts.push(Mount { device, target: "none".into(), format: fs.format });
        }
    }
    Ok((root.context("the disk has no root partition")?, mounts))
}
