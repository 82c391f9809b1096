//! What of a computer counts for the questions.

use std::collections::BTreeMap;
use std::path::Path;

use cairn_disk::Source;
use cairn_layout::onto::DiskThere;
use cairn_root::Root;

use super::lists::{KEYBOARDS, LANGUAGES};
use super::network::SeenNetwork;
use super::places::{Place, places};
use super::{Choice, OfferedSystem};
use crate::disks::{self, Device, type_words};
use crate::hardware::secure_boot;
use crate::install::{DiskIdentity, Windows, describe, free_in_esp, open_to_look, read, systems};

/// The most of a list that is read.
const MOST: u64 = 4 << 20;

/// A disk on which a system can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenDisk {
    /// What singles it out, as `cairn disks` takes it.
    pub selector: String,
    /// In words.
    pub shown: String,
    /// Whether partitions can be added to it.
    pub shares: bool,
    /// Whether a machine may be on it that could be made anew.
    pub again: bool,
    /// Its partitions of kinds that a machine has, in their order: the kind, as machine files name it, and how many MiB it has.
    pub parts: Vec<(&'static str, u64)>,
    /// Partitions in whose place a machine can be.
    pub places: Vec<Place>,
    /// What is on it, in words; empty: nothing.
    pub holds: String,
    /// It as a plan sees it; nothing where nobody could look.
    pub there: Option<DiskThere>,
    /// Which systems are in its partitions, by number.
    pub systems: BTreeMap<u32, String>,
    /// How much is free in its EFI system partitions, by number.
    pub free_in_esp: BTreeMap<u32, u64>,
    /// Windows on it.
    pub windows: Option<Windows>,
}

/// What a computer has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Disks, the likeliest first.
    pub disks: Vec<SeenDisk>,
    /// Systems that can be installed without a network, as they are on a medium; none: the packages are asked for.
    pub systems: Vec<OfferedSystem>,
    /// Its networks.
    pub network: SeenNetwork,
    /// Whether it was started by UEFI.
    pub uefi: bool,
    /// Whether that starts only what is signed.
    pub secure_boot: bool,
    /// Its memory in MiB; 0: nobody knows.
    pub memory: u64,
    /// Languages, keyboards and time zones that can be chosen.
    pub languages: Vec<Choice>,
    /// See there.
    pub keyboards: Vec<Choice>,
    /// See there.
    pub zones: Vec<Choice>,
    /// Whether the keyboards are all that XKB knows.
    pub complete: bool,
    /// Those of the system that runs now.
    pub language: Option<String>,
    /// See there.
    pub keyboard: Option<String>,
    /// See there.
    pub zone: Option<String>,
}

/// Looks at the computer whose tree is here, with these devices.
///
/// # Errors
/// There is no such folder.
pub fn see(root: &Path, devices: &[Device]) -> std::io::Result<Seen> {
    let root = Root::open(root)?;
    let text = |path: &str| root.read_text(path, MOST).ok().flatten().unwrap_or_default();
    let of_lists = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(value, shown)| Choice { value: (*value).into(), shown: format!("{shown} ({value})") })
            .collect()
    };
    let mut keyboards = keyboards(&text("usr/share/X11/xkb/rules/base.lst"));
    let complete = !keyboards.is_empty();
    if !complete {
        keyboards = of_lists(&KEYBOARDS);
    }
    let settings = ["etc/default/locale", "etc/locale.conf", "etc/default/keyboard"].map(text).join("\n");
    Ok(Seen {
        disks: disks::candidates(devices)
            .iter()
            .filter(|one| one.obstacle.is_none())
            .map(|one| seen_disk(&root, devices, one.device))
            .collect(),
        systems: Vec::new(),
        network: SeenNetwork::of(&root),
        uefi: root.metadata("sys/firmware/efi").ok().flatten().is_some(),
        secure_boot: secure_boot(&root) == Some(true),
        memory: memory(&text("proc/meminfo")),
        languages: of_lists(&LANGUAGES),
        keyboards,
        complete,
        zones: zones(&text("usr/share/zoneinfo/tzdata.zi")),
        language: setting(&settings, "LANG"),
        keyboard: setting(&settings, "XKBLAYOUT"),
        zone: root.link("etc/localtime").ok().flatten().and_then(|to| zone(&to)),
    })
}

/// With less an installation may end for want of it.
const LEAST_MEMORY: u64 = 480;

impl Seen {
    /// What is better known before the first question: each in a sentence, with what to do.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if (1..LEAST_MEMORY).contains(&self.memory) {
            notes.push(format!(
                "This computer has {} MiB of memory. An installation takes {LEAST_MEMORY}; with less it may end for want of it.",
                self.memory
            ));
        }
        if !self.uefi
            && let Some(disk) = self.disks.iter().find(|disk| disk.parts.iter().any(|(kind, _)| *kind == "esp"))
        {
            notes.push(format!(
                "This computer was started by its BIOS, and what is on {} starts by UEFI. To install beside it, restart, and in the \
                 firmware's menu take the entry of this medium that says UEFI.",
                disk.shown
            ));
        }
        if self.secure_boot {
            notes.push(
                "This computer starts only what is signed (Secure Boot). Debian's kernels are; one of your own, or a driver of your \
                 own, is not, until the firmware's setup allows it."
                    .into(),
            );
        }
        notes
    }
}

/// One of this computer can be read; of another one only what was recorded is known.
fn seen_disk(root: &Root, devices: &[Device], disk: &Device) -> SeenDisk {
    let source = if root.is_host() { open_to_look(disk).ok() } else { None };
    let source = source.as_ref().map(|source| source as &dyn Source);
    let there = source.and_then(|source| describe(devices, disk, read(source, disk.sector_size)).ok());
    SeenDisk::of(devices, disk, there, source)
}

impl SeenDisk {
    /// A disk of which this is known, and which can perhaps be read.
    pub fn of(devices: &[Device], disk: &Device, there: Option<DiskThere>, source: Option<&dyn Source>) -> SeenDisk {
        let windows = there.as_ref().and_then(|there| Windows::on(there, source));
        let systems = there.as_ref().zip(source).map(|(there, source)| systems(there, source));
        let free_in_esp = there.as_ref().map(|there| free_in_esp(there, source));
        SeenDisk {
            there,
            windows,
            systems: systems.unwrap_or_default(),
            free_in_esp: free_in_esp.unwrap_or_default(),
            ..known(devices, disk)
        }
    }

    /// What to know of it before it is chosen.
    pub(super) fn notes(&self) -> Vec<String> {
        let words = self.windows.as_ref().map(Windows::words).unwrap_or_default();
        words.into_iter().map(|words| format!("{}: {words}.", self.shown)).collect()
    }
}

fn known(devices: &[Device], disk: &Device) -> SeenDisk {
    let identity = &disk.identity;
    let selector = match (&identity.by_id[..], &identity.serial, &identity.wwn) {
        ([first, ..], ..) => format!("/dev/disk/by-id/{first}"),
        (_, Some(serial), _) => format!("serial={serial}"),
        (_, _, Some(wwn)) => format!("wwn={wwn}"),
        _ => format!("/dev/{}", disk.name),
    };
    let parts: Vec<&Device> =
        devices.iter().filter(|one| one.partition.as_ref().is_some_and(|p| p.disk == disk.name)).collect();
    let kind = |one: &Device| {
        let of = one.partition.as_ref().and_then(|p| p.type_id.as_deref()).and_then(type_words);
        of.or(one.contents.signature.as_ref().map(|it| it.kind.as_str())).unwrap_or("something").to_string()
    };
    let mut holds: Vec<String> = parts.iter().map(|one| kind(one)).collect();
    holds.extend(disk.contents.signature.as_ref().map(|it| it.kind.clone()));
    let gpt = disk.contents.table.as_deref() == Some("gpt");
    let of_machine = |one: &Device| {
        let kinds = ["bios-boot", "esp", "xbootldr", "swap", "root", "home"];
        let found = kind(one);
        let is_it = |name: &str| found == name || name == "root" && found.starts_with("root-");
        Some((kinds.into_iter().find(|name| is_it(name))?, one.bytes >> 20))
    };
    let mut in_order = parts.clone();
    in_order.sort_by_key(|one| one.partition.as_ref().map(|partition| partition.offset));
    let machine: Vec<(&str, u64)> = in_order.into_iter().filter_map(of_machine).collect();
    SeenDisk {
        selector,
        shown: DiskIdentity::of(disk).to_string(),
        shares: gpt && !parts.is_empty(),
        again: gpt && machine.iter().any(|(kind, _)| *kind == "root"),
        parts: machine,
        places: if gpt { places(disk, &parts, &kind) } else { Vec::new() },
        holds: holds.join(", "),
        ..SeenDisk::default()
    }
}

/// Of `/proc/meminfo`, in MiB.
fn memory(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Of the list that comes with XKB: the lines below `! layout`.
fn keyboards(text: &str) -> Vec<Choice> {
    let lines = text.lines().skip_while(|line| line.trim() != "! layout").skip(1);
    let lines =
        lines.take_while(|line| !line.starts_with('!')).filter_map(|line| line.trim().split_once(char::is_whitespace));
    let mut all: Vec<Choice> =
        lines.map(|(name, what)| Choice { value: name.into(), shown: format!("{} ({name})", what.trim()) }).collect();
    all.retain(|one| one.value != "custom");
    all.sort_by(|a, b| a.shown.cmp(&b.shown));
    all
}

/// Of the compact form of the tz database (zic(8)): `Z NAME …` and, after it, `L TARGET NAME`.
fn zones(text: &str) -> Vec<Choice> {
    let mut all: BTreeMap<&str, ()> = BTreeMap::from([("UTC", ())]);
    for line in text.lines() {
        let mut words = line.split(' ');
        let name = match words.next() {
            Some("Z") => words.next(),
            Some("L") => words.nth(1),
            _ => None,
        };
        all.extend(name.filter(|name| name.contains('/') && !name.starts_with("Etc/")).map(|name| (name, ())));
    }
    all.into_keys().map(|name| Choice { value: name.into(), shown: name.replace('_', " ") }).collect()
}

/// Of a link into the tz database.
fn zone(to: &Path) -> Option<String> {
    let (_, name) = to.to_str()?.split_once("zoneinfo/")?;
    Some(name.trim_start_matches("Etc/").to_string())
}

/// `KEY=value`, as shells read it.
fn setting(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    let value = value.trim_matches(['"', '\'']);
    let value = value.split(',').next().unwrap_or_default();
    (!value.is_empty()).then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_know_first_is_said_with_what_to_do() {
        let disk = SeenDisk {
            selector: "serial=x".into(),
            shown: "a disk".into(),
            shares: true,
            again: false,
            parts: vec![("esp", 100)],
            holds: "ntfs".into(),
            ..SeenDisk::default()
        };
        let seen = Seen { disks: vec![disk], uefi: false, memory: 256, ..Seen::default() };
        let notes = seen.notes();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("256 MiB") && notes[1].contains("a disk starts by UEFI"), "{notes:?}");
        let secure = Seen { uefi: true, secure_boot: true, memory: 8000, ..seen };
        assert_eq!(secure.notes().len(), 1);
        assert!(Seen::default().notes().is_empty());
    }

    #[test]
    fn lists_are_read_as_their_makers_write_them() {
        let xkb = "! model\n  pc105  Generic\n\n! layout\n  us  English (US)\n  custom  A user-defined custom Layout\n  de  German\n\n! variant\n  x us: y\n";
        let found = keyboards(xkb);
        assert_eq!(
            found.iter().map(|one| one.shown.as_str()).collect::<Vec<_>>(),
            ["English (US) (us)", "German (de)"]
        );
        let zones = zones(
            "# version 2025b\nR d 1 o - 1 1 0 0 S\nZ Europe/Berlin 0:53 - LMT 1893\nZ Etc/GMT 0 - GMT\nL Europe/Berlin Europe/Oslo\nL Etc/GMT GMT\n",
        );
        assert_eq!(
            zones.iter().map(|one| one.value.as_str()).collect::<Vec<_>>(),
            ["Europe/Berlin", "Europe/Oslo", "UTC"]
        );
        assert_eq!(memory("MemTotal:        2048000 kB\nMemFree: 1 kB\n"), 2000);
        assert_eq!(zone(Path::new("/usr/share/zoneinfo/Etc/UTC")).as_deref(), Some("UTC"));
        assert_eq!(setting("A=b\nXKBLAYOUT=\"de,us\"\n", "XKBLAYOUT").as_deref(), Some("de"));
        assert_eq!((setting("LANG=\n", "LANG"), memory("")), (None, 0));
    }
}
