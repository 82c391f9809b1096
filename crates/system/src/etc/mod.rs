//! `/etc`, whole: the base's, and what the machine file says, topic by topic.
//!
//! Each topic is a function from the machine to a [`Tree`]'s files, without side effects. What happened on the machine
//! is not known here: it lies in the overlay's upper layer, and the initrd's helper merges the accounts.

mod accounts;
pub(crate) mod completion;
mod files;
mod fill;
mod fstab;
mod given;
mod hosts;
mod kernel;
pub(crate) mod keymap;
mod keys;
mod locale;
pub(crate) mod made_from;
pub(crate) mod manager;
mod network;
mod quiet;
mod services;
mod ssh;
mod swap;
mod timers;
mod zones;

pub(crate) use hosts::NEUTRAL as NEUTRAL_HOSTNAME;
pub(crate) use keys::LIST as LIST_OF_DRAWN;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cairn_machine::Checked;
use cairn_machine::install::BadWord;
use cairn_machine::model::FileSystem;

use crate::error::SystemError;
use crate::initrd::modules_of;
use crate::special::Special;
use crate::tree::{Node, Tree, exists_in, resolve_in};
use crate::units::{NotEnabled, UnitFile, UnitLink, Units};

/// A file system that the running machine mounts, besides the root; or swap space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The device as in fstab: `PARTUUID=…`, `UUID=…`.
    pub device: String,
    /// Where it is mounted; of no meaning for swap.
    pub target: String,
    /// The kind of file system.
    pub format: FileSystem,
}

/// What `/etc` is made from.
#[derive(Debug, Clone, Copy)]
pub struct EtcInput<'a> {
    /// The machine, checked.
    pub checked: &'a Checked,
    /// The base's folder.
    pub base: &'a Path,
    /// The base's list of special files.
    pub special: &'a BTreeMap<String, Special>,
    /// File systems besides the root.
    pub mounts: &'a [Mount],
    /// Contents of the files that `files` names as `source`, by their path under `/etc`.
    pub sources: &'a BTreeMap<String, Vec<u8>>,
    /// Contents of the files that the machine file names, by the name that they have there.
    pub named: &'a BTreeMap<String, Vec<u8>>,
    /// The machine file, hardware file and lock, by the names that they have in a system.
    pub files: &'a BTreeMap<&'a str, Vec<u8>>,
    /// The release of the base's kernel.
    pub kernel_release: &'a str,
}

/// Makes the whole tree.
///
/// # Errors
/// [`SystemError::Refused`] with its place in the machine file, and what reading the base gives.
pub fn build(input: &EtcInput<'_>) -> Result<Tree, SystemError> {
    let machine = &input.checked.machine;
    let etc = resolve_in(input.base, "etc").ok_or_else(|| SystemError::BaseLacks {
        base: input.base.into(),
        path: "etc".into(),
        reason: "every machine begins with",
    })?;
    let mut tree = Tree::read(&input.base.join(etc), "etc/", input.special)?;
    let has = |path: &str| exists_in(input.base, path);
    let units = units(input)?;
    let modules = || modules_of(input.base, input.kernel_release);

    quiet::clean(&mut tree)?;
    quiet::mask_units(&mut tree, &units)?;
    hosts::apply(&mut tree, machine)?;
    keys::apply(&mut tree, input.base)?;
    locale::apply(&mut tree, machine, input.base)?;
    keymap::apply(&mut tree, &machine.keyboard, input.base, &units)?;
    fstab::apply(&mut tree, input.mounts)?;
    fill::apply(&mut tree, input.mounts)?;
    kernel::apply(&mut tree, machine, input.checked.hardware.as_ref(), &modules)?;
    ssh::apply(&mut tree, machine, &has, &units)?;
    let ids = accounts::apply(&mut tree, machine, &has)?;
    network::apply(&mut tree, machine, &units, &ids)?;
    completion::apply(&mut tree, &machine.boot, &units)?;
    tree.file("systemd/system.conf.d/50-cairn.conf", manager::settings(machine.boot.watchdog))?;
    for (path, text) in manager::emergency(machine.boot.emergency_access) {
        tree.file(&path, text)?;
    }
    made_from::apply(&mut tree, input.checked, input.files, input.named)?;
    swap::apply(&mut tree, &machine.swap)?;
    given::apply(&mut tree, machine, &ids)?;
    timers::apply(&mut tree, &machine.services, &units, &ids, input.base)?;
    // The machine file's own words come last, so that they win.
    services::apply(&mut tree, machine, &units)?;
    files::apply(&mut tree, machine, input.sources, &ids)?;
    Ok(tree)
}

/// What of the machine file lies in the system's own `/usr`: contents and commands that others name.
///
/// # Errors
/// When a file has no contents.
pub(crate) fn below_usr(
    tree: &mut Tree,
    machine: &cairn_machine::model::Machine,
    sources: &BTreeMap<String, Vec<u8>>,
) -> Result<(), SystemError> {
    timers::scripts(&machine.services).try_for_each(|(path, script)| tree.file(&path, script))?;
    given::contents(tree, machine, sources)
}

/// The units of the base and of the machine file.
fn units(input: &EtcInput<'_>) -> Result<Units, SystemError> {
    let mut units = Units::default();
    for (below, folder) in
        [("usr/lib/systemd/system", "/usr/lib/systemd/system"), ("etc/systemd/system", "/etc/systemd/system")]
    {
        let Some(real) = resolve_in(input.base, below) else { continue };
        let path = input.base.join(real);
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for entry in entries {
            let entry = entry.map_err(SystemError::io("reading", &path))?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().map_err(SystemError::io("reading", &path))?;
            let unit = if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(SystemError::io("reading", &path))?;
                let name = target.file_name().map(|n| n.to_string_lossy().into_owned());
                UnitFile::Alias(name.filter(|_| target != Path::new("/dev/null")))
            } else if kind.is_dir() && (name.ends_with(".wants") || name.ends_with(".requires")) {
                let wanted = fs::read_dir(&path).map_err(SystemError::io("reading", &path))?.flatten();
                units.wanted.extend(wanted.filter_map(|unit| unit.file_name().into_string().ok()));
                continue;
            } else if kind.is_file() {
                let text = fs::read(&path).map_err(SystemError::io("reading", &path))?;
                UnitFile::File { folder, text: String::from_utf8_lossy(&text).into_owned() }
            } else {
                continue;
            };
            units.files.insert(name, unit);
        }
    }
    for (name, unit) in &input.checked.machine.services.units {
        let unit = UnitFile::File { folder: "/etc/systemd/system", text: unit.text.clone() };
        units.files.insert(crate::units::full_name(name), unit);
    }
    Ok(units)
}

/// Puts the links that enabling a unit makes.
fn enable(tree: &mut Tree, links: impl IntoIterator<Item = UnitLink>) -> Result<(), SystemError> {
    links.into_iter().try_for_each(|(path, target)| tree.link(&format!("systemd/system/{path}"), target))
}

/// Enables a unit if the packages have it. One whose `[Install]` is broken is an error all the same: without it the
/// machine would lack what everybody expects of it, and nobody would know why.
fn enable_if_any(tree: &mut Tree, units: &Units, name: &str) -> Result<(), SystemError> {
    match units.enable(name) {
        Ok(links) => enable(tree, links),
        Err(NotEnabled::BadWord { unit, word }) => Err(bad_word(String::new(), &unit, &word)),
        Err(_) => Ok(()),
    }
}

/// A unit that cannot be enabled for what it says.
fn bad_word(pointer: String, unit: &str, word: &BadWord) -> SystemError {
    let help = "systemd would refuse it as well; mend the unit, or leave out what brings it".to_string();
    SystemError::refused_with(pointer, format!("the unit {unit} cannot be enabled: {word}"), Some(help))
}

/// Masks a unit, and takes away the links that would start it.
fn mask(tree: &mut Tree, name: &str) -> Result<(), SystemError> {
    tree.retain(|path, node| {
        let Some(path) = path.strip_prefix("systemd/system/") else { return true };
        let link = matches!(node, Node::Link(target) if target.rsplit('/').next() == Some(name));
        !(link || path.ends_with(&format!("/{name}")))
    });
    tree.link(&format!("systemd/system/{name}"), "/dev/null")
}
