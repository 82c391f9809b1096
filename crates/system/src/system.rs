//! A system: everything of one generation, as a store path that names kernel, initrd, `/etc` and base.
//!
//! | path | what |
//! | --- | --- |
//! | `kernel`, `initrd`, `etc`, `base` | links to where they are |
//! | `usr` | a link to what lies over the base's `/usr`: the `cairn` program, its manual, the boot's helper, locales |
//! | `cairn` | a link to the store path of the `cairn` program, for the machine's own upgrades |
//! | `loader` | a link to what of the boot loader is made for this machine alone, if anything: GRUB's images |
//! | `init` | a link to systemd; `init=` on the kernel's command line names the generation by it |
//! | `kernel-params` | the kernel's command line without `init=` |
//! | `boot.json` | the bootspec, version 1 |
//! | `devicetree.dtb` | the device tree, if the machine file names one |
//! | `initrd-inputs` | a hash of what the initrd was made from |
//! | `modes` | owners and permissions that a store path cannot carry, for the initrd's helper |
//! | `machine.yaml`, `hardware.yaml`, `machine.lock` | the files that the system was made from |
//! | `sbom.cdx.json` | every package with version and hash, and the program, CycloneDX |
//! | `system`, `cairn-version` | the platform in Nix's words; what the menu calls the system |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use cairn_boot::bootspec::{self, Bootable};
use cairn_machine::Checked;
use cairn_machine::model::Architecture;
use cairn_machine::pointer::child;
use cairn_process::Report;
use cairn_root::read_plain;
use cairn_store::{PathInfo, SigningKey, Store, StorePath, to_hex};
use sha2::{Digest, Sha256};

use crate::debian::{self, Base};
use crate::error::SystemError;
use crate::etc::{self, EtcInput, Mount};
use crate::initrd::{self, Wanted, WantedModules};
use crate::memory::{Memory, present};
use crate::program::{self, Carried, Program};
use crate::tree::read_in;
use crate::{bootjson, locales, special, usr};

/// The name of the file with the hash of what the initrd was made from.
const INITRD_INPUTS: &str = "initrd-inputs";

/// The name of the device tree.
const DEVICE_TREE: &str = "devicetree.dtb";

/// The name of the link to what of the boot loader is made for a machine alone.
pub const LOADER: &str = "loader";

/// What a system is made from.
#[derive(Debug, Clone, Copy)]
pub struct SystemInput<'a> {
    /// The machine, checked.
    pub checked: &'a Checked,
    /// Its base.
    pub base: &'a Base,
    /// The root file system's device as the kernel's `root=` takes it: `UUID=…`.
    pub root: &'a str,
    /// The other file systems and swap.
    pub mounts: &'a [Mount],
    /// Contents of the files that `files` names as `source`, by their path under `/etc`.
    pub sources: &'a BTreeMap<String, Vec<u8>>,
    /// Contents of the files that the machine file names, by the name that they have there; /etc/cairn gets them. What
    /// is a password's hash is passed over.
    pub named: &'a BTreeMap<String, Vec<u8>>,
    /// What of the boot loader is made for this machine alone.
    pub loader: Option<&'a StorePath>,
    /// The `cairn` program that the machine gets.
    pub program: Program<'a>,
    /// More files for the system's own `/usr`, by their path below it: the program's man pages, completions.
    pub usr: &'a BTreeMap<String, Vec<u8>>,
    /// The files that the system is made from, by the name that they get in it.
    pub files: &'a BTreeMap<&'a str, Vec<u8>>,
    /// Where base and system are.
    pub store: &'a Store,
    /// A folder for what is remembered from one build to the next.
    pub cache: &'a Path,
    /// Signs the system path, if given.
    pub key: Option<&'a SigningKey>,
}

/// A system in the store.
#[derive(Debug, Clone)]
pub struct System {
    /// The toplevel's path; its references are the rest of it.
    pub info: PathInfo,
    /// What a boot loader needs to know.
    pub boots: Bootable,
    /// The kernel's release.
    pub kernel_release: String,
}

/// Makes a system, or finds the one that was made from the same input by the same code. No network, and no tools but
/// the base's own.
///
/// # Errors
/// See [`SystemError`].
pub fn build(input: &SystemInput<'_>, report: &dyn Report) -> Result<System, SystemError> {
    let name = format!("cairn-system-{}", input.checked.machine.hostname);
    // Refused first, if it is.
    let base = input.store.real_path(&input.base.info.path);
    let program = program::add(input.program, input.store, &base, input.cache)?;
    let path = Store::input_addressed_path(&name, inputs(input, &program).as_bytes())?;
    let info = match present(input.store, &path)? {
        Some(info) => {
            report.note("the system is there already");
            info
        }
        None => make(input, &program, &path, report)?,
    };
    let info = match input.key {
        Some(key) => {
            let mut info = info;
            info.sign(key);
            info
        }
        None => info,
    };
    let file = input.store.real_path(&path).join(bootspec::FILE);
    let bytes = read_plain(&file, bootspec::MOST).map_err(SystemError::io("reading", &file))?;
    let boots = bootspec::parse(&bytes, &file)?.system;
    Ok(System { info, boots, kernel_release: input.base.kernel_release.clone() })
}

/// Everything that the system depends on, in words. This code is part of it.
fn inputs(input: &SystemInput<'_>, program: &Carried) -> String {
    let machine = &input.checked.machine;
    let digest = |bytes: &[u8]| to_hex(&Sha256::digest(bytes));
    let mut text = format!("cairn system 1\ncode {}\n", env!("CAIRN_SYSTEM_CODE"));
    let _ = writeln!(text, "helper {}", digest(initrd::STAGE1));
    let _ = writeln!(text, "base {}\nroot {}\nprogram {}", input.base.info.path, input.root, program.path);
    // The values, too: a default that changes with this program makes another system of the same file.
    let _ = writeln!(text, "machine {}", serde_json::json!([machine, input.checked.hardware]));
    if let Some(loader) = input.loader {
        let _ = writeln!(text, "loader {loader}");
    }
    for Mount { device, target, format } in input.mounts {
        let _ = writeln!(text, "mount {device} {target} {format:?}");
    }
    for (path, bytes) in input.sources {
        let _ = writeln!(text, "source {path} {}", digest(bytes));
    }
    for (name, bytes) in input.files {
        let _ = writeln!(text, "file {name} {}", digest(bytes));
    }
    // Named files that are passed over make no other system, but telling them apart is not this function's business.
    for (name, bytes) in input.named {
        let _ = writeln!(text, "named {name} {}", digest(bytes));
    }
    for (path, bytes) in input.usr {
        let _ = writeln!(text, "usr {path} {}", digest(bytes));
    }
    text
}

fn make(
    input: &SystemInput<'_>,
    program: &Carried,
    path: &StorePath,
    report: &dyn Report,
) -> Result<PathInfo, SystemError> {
    let (store, checked) = (input.store, input.checked);
    let base = store.real_path(&input.base.info.path);
    let special = special::read(&base)?;

    let from = (base.as_path(), &input.base.info.path);
    let locales = locales::add(&checked.machine.locale, from, store, input.cache, report)?;
    let (initrd, initrd_inputs) = initrd(input, &base, report)?;
    report.phase("making the system", None);
    let etc = etc::build(&EtcInput {
        checked,
        base: &base,
        special: &special,
        mounts: input.mounts,
        sources: input.sources,
        named: input.named,
        files: input.files,
        kernel_release: &input.base.kernel_release,
    })?;
    let scratch = store.scratch()?;
    etc.write(scratch.path())?;
    let etc_path = store.add("etc", scratch, &[])?.path;
    for name in etc::made_from::left_out(checked) {
        report.note(&format!(
            "{name} is not below the machine file's folder: the machine will not have it in /etc/cairn, and an upgrade \
             there will miss it"
        ));
    }
    let scratch = store.scratch()?;
    let mut usr = usr::tree(program, &checked.machine.boot, input.usr, &locales)?;
    etc::below_usr(&mut usr, &checked.machine, input.sources)?;
    usr.write(scratch.path())?;
    let referred: Vec<StorePath> = locales.into_iter().map(|(_, path)| path).chain([program.path.clone()]).collect();
    let usr_path = store.add("usr", scratch, &referred)?.path;

    // Sorted by path: those of the base are, and all of its /etc are replaced by those of ours.
    let mut modes = etc.special("etc/");
    for (_, special) in special.iter().filter(|(path, _)| !path.starts_with("etc/") && *path != "etc") {
        let _ = writeln!(modes, "{}", special.line);
    }

    let scratch = store.scratch()?;
    let folder = scratch.path();
    let text = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).map_err(SystemError::io("writing", name));
    let link = |name: &str, to: String| symlink(to, folder.join(name)).map_err(SystemError::io("linking", name));
    let label = label(&base, &input.base.kernel_release);
    let params = kernel_parameters(input);
    let device_tree = checked.machine.boot.device_tree.as_ref().and_then(|name| input.named.get(name));
    let files = bootjson::Files {
        toplevel: path.to_string(),
        kernel: format!("{}/boot/vmlinuz", input.base.info.path),
        initrd: format!("{initrd}/initrd"),
        kernel_params: params.clone(),
        label: label.clone(),
        system: platform(checked.machine.architecture),
        device_tree: device_tree.map(|_| format!("{path}/{DEVICE_TREE}")),
    };
    link("kernel", files.kernel.clone())?;
    link("initrd", files.initrd.clone())?;
    link("etc", etc_path.to_string())?;
    link("usr", usr_path.to_string())?;
    link("cairn", program.path.to_string())?;
    if let Some(loader) = input.loader {
        link(LOADER, loader.to_string())?;
    }
    link("base", input.base.info.path.to_string())?;
    link("init", "/usr/lib/systemd/systemd".into())?;
    text("kernel-params", format!("{}\n", params.join(" ")).as_bytes())?;
    text("boot.json", bootjson::text(&files)?.as_bytes())?;
    if let Some(bytes) = device_tree {
        text(DEVICE_TREE, bytes)?;
    }
    text("modes", modes.as_bytes())?;
    text(INITRD_INPUTS, format!("{initrd_inputs}\n").as_bytes())?;
    text("system", files.system.as_bytes())?;
    text("cairn-version", label.as_bytes())?;
    for (name, bytes) in input.files {
        text(name, bytes)?;
    }
    let packages = base.join("packages.json");
    let bytes = fs::read(&packages).map_err(SystemError::io("reading", &packages))?;
    let list: Vec<debian::Package> = serde_json::from_slice(&bytes)
        .map_err(|_| SystemError::Malformed { path: packages, what: "a list of packages" })?;
    text("sbom.cdx.json", debian::cyclonedx(&checked.machine, &list, Some(program)).as_bytes())?;

    let mut candidates = vec![input.base.info.path.clone(), initrd, etc_path, usr_path, program.path.clone()];
    candidates.extend(input.loader.cloned());
    Ok(store.add_input_addressed(path, scratch, &candidates, None)?)
}

/// The initrd, from the store if it was made before.
fn initrd(input: &SystemInput<'_>, base: &Path, report: &dyn Report) -> Result<(StorePath, String), SystemError> {
    let (checked, store, release) = (input.checked, input.store, &input.base.kernel_release);
    let modules = WantedModules {
        hardware: checked.hardware.as_ref().filter(|h| !h.initrd_modules.is_empty()).map(|h| {
            let pointer = |i| child("/hardware/initrd_modules", i);
            h.initrd_modules.iter().enumerate().map(|(i, m)| (pointer(i), m.clone())).collect()
        }),
        more: {
            let pointer = |i| child("/kernel_modules/initrd", i);
            let modules = checked.extra_initrd_modules().iter().enumerate();
            modules.map(|(i, m)| (pointer(i), m.clone())).collect()
        },
    };
    let boot = &checked.machine.boot;
    let wanted = Wanted { modules, watchdog: boot.watchdog, emergency_access: boot.emergency_access };
    let mut key = Sha256::new();
    key.update(env!("CAIRN_SYSTEM_CODE"));
    key.update(initrd::STAGE1);
    key.update(format!("\n{}\n{release}\n{}\n", input.base.info.path, wanted.key()));
    let key = to_hex(&key.finalize());

    let memory = Memory::new(input.cache, "initrds", &key);
    if let Some(path) = memory.path(store)? {
        return Ok((path, key));
    }
    report.phase("making the initrd", None);
    let bytes = initrd::build(base, release, &wanted)?;
    let scratch = store.scratch()?;
    let file = scratch.path().join("initrd");
    fs::write(&file, bytes).map_err(SystemError::io("writing", &file))?;
    let path = store.add(&format!("initrd-linux-{release}"), scratch, &[])?.path;
    memory.remember(&path)?;
    Ok((path, key))
}

/// Remembers the initrd of a system that is in the store: one made from the same by the same code need not be made again,
/// also on a machine that has made none yet.
///
/// # Errors
/// [`SystemError::Io`].
pub fn adopt(store: &Store, system: &StorePath, cache: &Path) -> Result<(), SystemError> {
    let folder = store.real_path(system);
    let (Ok(key), Ok(initrd)) = (fs::read_to_string(folder.join(INITRD_INPUTS)), fs::read_link(folder.join("initrd")))
    else {
        return Ok(());
    };
    let Some(Ok(path)) = initrd.parent().and_then(Path::to_str).map(StorePath::from_absolute) else { return Ok(()) };
    Memory::new(cache, "initrds", key.trim()).remember(&path)
}

/// The kernel's command line without `init=`, which the boot entry adds.
fn kernel_parameters(input: &SystemInput<'_>) -> Vec<String> {
    let mut parameters = vec![
        format!("root={}", input.root),
        "rw".to_string(),
        // Messages of the kernel are in the journal; on a slow console they cost seconds. systemd's are shown.
        "quiet".to_string(),
        "systemd.show_status=yes".to_string(),
        // If a power cut tears the table at the disk's beginning while it grows, the one at its end counts.
        "gpt".to_string(),
        // A kernel that has panicked does nothing any more; by itself it would do so for ever.
        "panic=10".to_string(),
    ];
    parameters.extend(input.checked.kernel_parameters());
    parameters
}

fn platform(architecture: Architecture) -> String {
    match architecture {
        Architecture::X86_64 => "x86_64-linux".into(),
    }
}

/// What the menu calls the system: "Debian GNU/Linux 13 (trixie), Linux 6.12…".
fn label(base: &Path, release: &str) -> String {
    let found = read_in(base, "usr/lib/os-release").ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&found);
    let name = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).map(|n| n.trim_matches('"').to_string());
    format!("{}, Linux {release}", name.unwrap_or_else(|| "Debian GNU/Linux".into()))
}
