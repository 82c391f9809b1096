//! The systems that a medium can install: machine files, with all that a computer may need of packages, so that an installation needs no network.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_machine::model::Machine;
use cairn_machine::names::{RelPath, shown};
use cairn_machine::{Checked, SourceFile, edit};
use cairn_make::machine_file::load;
use cairn_make::plain_file;
use cairn_process::Refusal;

/// The name of the medium's own machine file, without its ending.
pub(super) const OWN: &str = "live";

/// What may be asked for by an answer, or by the computer: either boot loader, signed or not, a language, a keyboard, a time zone, a wireless
/// network, somebody who administrates.
const ANSWERS: [&str; 14] = [
    "console-setup",
    "grub-common",
    "grub-efi-amd64-bin",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "locales",
    "openssh-server",
    "shim-signed",
    "sudo",
    "systemd-boot-efi",
    "systemd-boot-efi-amd64-signed",
    "tzdata",
    "wireless-regdb",
    "wpasupplicant",
];

/// The kernel for computers, which has drivers for what clouds do not have.
const KERNEL: &str = "linux-image-amd64";

/// What is taken where nobody says what else.
const PLAIN: &str = "\
# A small Debian to begin with.
version: 1
hostname: debian
source:
  debian:
    packages: [openssh-server, sudo]
disks:
  main: {layout: uefi}
";

/// Firmware that devices load, and processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Firmware {
    /// None.
    None,
    /// For processors and network cards, wired and wireless: 150 MB.
    #[default]
    Network,
    /// For graphics as well: 240 MB.
    All,
}

impl Firmware {
    fn packages(self) -> &'static [&'static str] {
        const ALL: [&str; 12] = [
            "amd64-microcode",
            "intel-microcode",
            "firmware-iwlwifi",
            "firmware-realtek",
            "firmware-atheros",
            "firmware-mediatek",
            "firmware-brcm80211",
            "firmware-bnx2",
            "firmware-bnx2x",
            "firmware-misc-nonfree",
            "firmware-amd-graphics",
            "firmware-intel-graphics",
        ];
        match self {
            Firmware::None => &[],
            Firmware::Network => &ALL[..10],
            Firmware::All => &ALL,
        }
    }

    /// Asks for the packages, and for the part of the archive that has them.
    pub(super) fn add_to(self, machine: &mut Machine) {
        let debian = machine.source.debian_mut();
        for package in self.packages() {
            add(&mut debian.packages, package);
        }
        if self != Firmware::None {
            add(&mut debian.components, "non-free-firmware");
        }
    }
}

fn add(list: &mut Vec<String>, word: &str) {
    if !list.iter().any(|there| there == word) {
        list.push(word.into());
    }
}

/// A system that the medium can install.
#[derive(Debug)]
pub struct Offered {
    /// Its name on the medium.
    pub name: String,
    /// Its machine file as it is on the medium.
    pub text: String,
    /// That, checked.
    pub checked: Checked,
    /// The files that it names, by the names that they have there.
    pub beside: Vec<(String, Vec<u8>)>,
}

/// Reads machine files for a medium; without any there is a plain one.
///
/// # Errors
/// What is wrong with them; two of one name.
pub fn offered(files: &[PathBuf], firmware: Firmware) -> anyhow::Result<Vec<Offered>> {
    let mut all: Vec<Offered> = Vec::new();
    if files.is_empty() {
        all.push(plain(firmware)?);
    }
    for file in files {
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let why = format!(
                "{}: on the medium a system is called as its file; letters, digits and -_. do for that",
                file.display()
            );
            return Err(Refusal(why).into());
        }
        if name == OWN {
            let why = format!(
                "{}: `{OWN}` is what the medium's own system is called; give the file another name",
                file.display()
            );
            return Err(Refusal(why).into());
        }
        if all.iter().any(|other| other.name == name) {
            return Err(Refusal(format!("two machine files are called {name}: give one another name")).into());
        }
        let checked = load(file)?;
        let bytes = plain_file::read(file, plain_file::TEXT).with_context(|| format!("reading {}", file.display()))?;
        let source = SourceFile { name: file.display().to_string(), bytes };
        let beside = beside(file, &checked)?;
        all.push(extended(name, &source, &checked, beside, firmware)?);
    }
    Ok(all)
}

/// The files that a machine file names, by the names that they have where it is taken.
///
/// # Errors
/// One that cannot be read, and one that does not lie beside the machine file: there it would not be found.
pub fn beside(file: &Path, checked: &Checked) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for named in checked.named_files() {
        let name = RelPath::beside(&named.path).map_err(|why| {
            let help = "put it beside the machine file, or into a folder there".to_string();
            let message = format!("{} would not be found on the medium: {why}", shown(&named.path));
            checked.problem(&named.pointer, message, Some(help))
        })?;
        let bytes = plain_file::read(&folder.join(&named.path), plain_file::BOOT_FILE)
            .map_err(|e| checked.problem(&named.pointer, format!("reading {}: {e}", shown(&named.path)), None))?;
        files.push((name.into_string(), bytes));
    }
    Ok(files)
}

fn plain(firmware: Firmware) -> anyhow::Result<Offered> {
    let source = SourceFile::new("debian.yaml", PLAIN);
    // Somebody who can log in is added by the answers.
    let checked = cairn_machine::check(&source, &mut |_| Err("there is none".into()))?;
    extended("debian".into(), &source, &checked, Vec::new(), firmware)
}

fn extended(
    name: String,
    source: &SourceFile,
    checked: &Checked,
    beside: Vec<(String, Vec<u8>)>,
    firmware: Firmware,
) -> anyhow::Result<Offered> {
    let mut machine = checked.machine.clone();
    // Of another computer.
    machine.hardware = None;
    firmware.add_to(&mut machine);
    let debian = machine.source.debian_mut();
    ANSWERS.iter().for_each(|package| add(&mut debian.packages, package));
    // Nobody has said which: the one that has USB.
    if !checked.says("/source/debian/kernel") {
        debian.kernel = KERNEL.into();
    }
    let text = edit(source, &checked.machine, &machine);
    let mut checked = checked.clone();
    checked.machine = machine;
    Ok(Offered { name, text, checked, beside })
}
