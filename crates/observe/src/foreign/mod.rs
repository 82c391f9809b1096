//! A system that Cairn has not made, as the best machine file that can be written of it, with a list of all that has no place there. What is
//! read is in `seen`; what becomes of it is decided without any more looking, topic by topic.

mod accounts;
mod disks;
mod dpkg;
mod elsewhere;
mod kernel;
mod network;
mod nixos;
mod region;
mod rest;
mod seen;
mod services;
mod ssh;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use cairn_machine::model::Machine;
use cairn_machine::{Problems, SourceFile, acceptable, check};
use cairn_process::Refusal;

use crate::ObserveError;
use crate::view::{Files, PROFILES, View, any_folder};
use seen::Seen;

/// What nobody has to read to the end.
const MOST_LEFT: usize = 2000;
/// Packages that somebody asks for by name.
const MOST_PACKAGES: usize = 5000;

/// What is known of the hardware, for the machine file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// The hardware file, which is written beside the machine file.
    pub file: Option<String>,
    /// Packages that the hardware asks for, from `non-free-firmware`.
    pub packages: Vec<String>,
    /// Whether UEFI starts the computer; nothing where that is not known.
    pub uefi: Option<bool>,
    /// Whether its firmware starts only what is signed.
    pub secure_boot: bool,
}

/// The hardware file's name beside the machine file.
pub const HARDWARE: &str = "hardware.yaml";
/// The list's name there.
pub const LEFT: &str = "not-carried-over.txt";

/// Something that has no place in the machine file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Left {
    /// What it is about.
    pub topic: String,
    /// What it is, and what can be done.
    pub what: String,
}

/// What a system is as files.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// What the system calls itself.
    pub system: String,
    /// The machine.
    pub machine: Machine,
    /// The files by their names: `machine.yaml`, the list, and what the machine file names.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Names of the files that are nobody else's business.
    pub secret: Vec<String>,
    /// What could not be carried over.
    pub left: Vec<Left>,
}

/// Opens the system that has this folder for its root, if it is none that Cairn has made; what is no system at all is left to who says so.
///
/// # Errors
/// What reading meets.
pub fn open(root: &Path) -> Result<Option<View<'static>>, ObserveError> {
    let view = any_folder(root)?;
    let ours = is_ours(&*view.root)?;
    Ok((!ours).then_some(view))
}

fn is_ours(files: &dyn Files) -> Result<bool, ObserveError> {
    let made_from = format!("{PROFILES}/system/etc/cairn/machine.yaml");
    for place in ["/etc/cairn/machine.yaml", "/var/lib/cairn/boot.json", "/var/lib/cairn/etc", &made_from] {
        if files.kind(place)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes down a system that is no machine of Cairn's. Pure but for the looking.
///
/// # Errors
/// A system that does not say which it is; what reading meets; and what is wrong with the machine file that comes out, which would be a
/// mistake here.
pub fn capture(view: &View<'_>, hardware: &Hardware) -> Result<Foreign, ObserveError> {
    let seen = Seen::of(&*view.root, view.is_host())?;
    let Some(system) = System::of(&seen) else {
        let name = view.name.display();
        let why = format!(
            "{name} is not a machine that Cairn has made, and has no etc/os-release that says which other system it is: `--root` takes the \
             folder where the root of a system is mounted"
        );
        return Err(Refusal(why).into());
    };
    carry(&seen, &system, hardware).map_err(Into::into)
}

/// Which system it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct System {
    /// As a person reads it.
    name: String,
    kind: Kind,
    /// The release's code name.
    codename: String,
}

/// Where its packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Debian,
    /// Made of Debian's packages: Ubuntu, Mint, Raspberry Pi OS.
    LikeDebian,
    Arch,
    Rpm,
    NixOs,
    Other,
}

impl System {
    fn of(seen: &Seen) -> Option<System> {
        let text = seen.text("/etc/os-release").or_else(|| seen.text("/usr/lib/os-release"))?;
        let value = |key: &str| assigned(text, key).unwrap_or_default();
        let id = value("ID");
        let like = value("ID_LIKE");
        let is = |name: &str| id == name || like.split(' ').any(|one| one == name);
        let kind = match () {
            () if id == "debian" => Kind::Debian,
            () if is("debian") || is("ubuntu") => Kind::LikeDebian,
            () if is("arch") => Kind::Arch,
            () if is("fedora") || is("rhel") || is("suse") || is("opensuse") => Kind::Rpm,
            () if is("nixos") => Kind::NixOs,
            () => Kind::Other,
        };
        let names = [value("PRETTY_NAME"), value("NAME"), id.clone()];
        let name = names.into_iter().find(|name| !name.is_empty())?;
        let name = name.chars().filter(|c| !c.is_control()).take(80).collect();
        Some(System { name, kind, codename: value("VERSION_CODENAME") })
    }
}

/// The value of a shell's assignment in a file of them, the last one, without its quotes.
fn assigned(text: &str, key: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    let value = lines.rfind(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))?;
    let value = value[key.len() + 1..].trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some(quoted.unwrap_or(value).to_string())
}

/// The machine file as it grows.
struct Carried {
    machine: Machine,
    files: BTreeMap<String, Vec<u8>>,
    secret: Vec<String>,
    left: Vec<Left>,
}

impl Carried {
    /// Something has no place.
    fn left(&mut self, topic: &str, what: impl Into<String>) {
        if self.left.len() < MOST_LEFT {
            let what = cairn_process::text::one_line(&what.into()).chars().take(500).collect();
            self.left.push(Left { topic: topic.into(), what });
        }
    }

    /// A package is asked for.
    fn package(&mut self, name: &str) {
        let packages = &self.machine.source.debian().packages;
        if packages.iter().any(|one| one == name) {
            return;
        }
        if packages.len() == MOST_PACKAGES {
            return self.left("packages", format!("{name}: there are more than {MOST_PACKAGES}"));
        }
        self.machine.source.debian_mut().packages.push(name.into());
    }

    fn has_package(&self, name: &str) -> bool {
        self.machine.source.debian().packages.iter().any(|one| one == name)
    }

    /// A file that only its owner reads.
    fn secret(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.insert(name.into(), bytes);
        self.secret.push(name.into());
    }
}

/// The smallest machine; a name that cannot be one is replaced later.
const EMPTY: &str = r#"{"version":1,"hostname":"machine","source":{"debian":{}},"disks":{}}"#;

fn carry(seen: &Seen, system: &System, hardware: &Hardware) -> Result<Foreign, Problems> {
    let machine: Machine = serde_json::from_str(EMPTY).map_err(|error| mistake(&error.to_string()))?;
    let mut to = Carried { machine, files: BTreeMap::new(), secret: Vec::new(), left: Vec::new() };
    // Every driver: it is no virtual machine until somebody says so.
    to.machine.source.debian_mut().kernel = "linux-image-amd64".into();
    region::carry(seen, &mut to);
    match system.kind {
        Kind::Debian | Kind::LikeDebian => dpkg::carry(seen, system, &mut to),
        Kind::Arch | Kind::Rpm | Kind::NixOs | Kind::Other => elsewhere::carry(seen, system, &mut to),
    }
    accounts::carry(seen, &mut to);
    network::carry(seen, &mut to);
    services::carry(seen, system, &mut to);
    kernel::carry(seen, system, &mut to);
    disks::carry(seen, hardware, &mut to);
    ssh::carry(seen, &mut to);
    if system.kind == Kind::NixOs {
        nixos::carry(seen, &mut to);
    }
    rest::carry(seen, &mut to);
    of_hardware(hardware, &mut to);
    to.machine.source.debian_mut().packages.sort();

    let Carried { machine, mut files, mut secret, mut left } = to;
    let (machine, refused) = acceptable(machine);
    left.extend(refused.into_iter().map(|one| Left { topic: one.place, what: one.why }));
    // Of a user who is not in it the password goes, too.
    let named: Vec<String> = machine.users.values().filter_map(|user| user.hashed_password_file.clone()).collect();
    secret.retain(|name| !name.ends_with(".password") || named.contains(name));
    files.retain(|name, _| !name.ends_with(".password") || named.contains(name));
    left.sort();
    left.dedup();
    let words = text::machine(&machine, system, left.len());
    check(&SourceFile::new("machine.yaml", words.clone()), &mut |_| Ok(b"version: 1\n".to_vec()))?;
    files.insert("machine.yaml".into(), words.into_bytes());
    files.insert(LEFT.into(), text::list(&left, &system.name).into_bytes());
    Ok(Foreign { system: system.name.clone(), machine, files, secret, left })
}

fn of_hardware(hardware: &Hardware, to: &mut Carried) {
    let Some(file) = &hardware.file else { return };
    to.machine.hardware = Some(HARDWARE.into());
    to.files.insert(HARDWARE.into(), file.clone().into_bytes());
    if hardware.packages.is_empty() {
        return;
    }
    hardware.packages.iter().for_each(|name| to.package(name));
    let components = &mut to.machine.source.debian_mut().components;
    if !components.iter().any(|one| one == "non-free-firmware") {
        components.push("non-free-firmware".into());
    }
}

fn mistake(why: &str) -> Problems {
    cairn_machine::Problem { file: "machine.yaml".into(), line: 1, column: 1, message: why.into(), help: None }.into()
}
