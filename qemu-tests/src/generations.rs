//! The machine whose generations are tried, in each of the ways in which a machine can boot.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cairn::repository;
use crate::machine::Firmware;
use crate::{Cairn, Cmd, Guest, Setup};
use anyhow::{Context, Result};

/// A way to boot.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    layout: &'static str,
    loader: &'static str,
    /// What starts it.
    pub firmware: Firmware,
}

impl Kind {
    /// Whether GRUB is its loader.
    pub fn grub(&self) -> bool {
        self.loader == "grub"
    }
}

/// systemd-boot under UEFI.
pub const SYSTEMD_BOOT: Kind = Kind { layout: "uefi", loader: "systemd-boot", firmware: Firmware::Uefi };
/// GRUB under UEFI, on a disk that boots under BIOS too.
pub const GRUB_UEFI: Kind = Kind { layout: "hybrid", loader: "grub", firmware: Firmware::Uefi };
/// GRUB under BIOS on a GPT.
pub const GRUB_GPT: Kind = Kind { layout: "bios", loader: "grub", firmware: Firmware::Bios };
/// GRUB under BIOS on an MBR.
pub const GRUB_MBR: Kind = Kind { layout: "mbr", loader: "grub", firmware: Firmware::Bios };

/// Starts what one generation has for itself, as early as its root is there. What it does comes before the generation can be good, and
/// may still go on when somebody logs in.
const UNIT: &str = "[Unit]\\nDefaultDependencies=no\\nAfter=local-fs.target\\nBefore=boot-complete.target\\n[Service]\\nType=oneshot\\n\
                    ExecStart=/bin/sh /etc/early\\n[Install]\\nWantedBy=sysinit.target\\n";
/// Nobody meets these machines, and nobody looks at their sessions.
const UNWANTED: &str = "systemd-networkd, systemd-networkd.socket, systemd-resolved, systemd-timesyncd, systemd-logind";

/// The machine file: a host name, and what one generation has for itself.
#[derive(Debug, Clone)]
pub struct File {
    /// The host name.
    pub host: &'static str,
    /// What a unit does that is started early, as a script.
    pub early: Option<String>,
    /// A check of a good boot.
    pub check: Option<&'static str>,
    /// How often it is tried.
    pub tries: usize,
    /// For how many seconds the menu waits for somebody.
    pub timeout: usize,
    /// A kernel module that the initrd has, too.
    pub module: Option<&'static str>,
    /// The kernel's package, if it is not the one for virtual machines.
    pub kernel: Option<&'static str>,
    /// Packages besides those that all have, and which make a base of its own.
    pub packages: &'static [&'static str],
    /// It has to fetch packages, and to make a base of them.
    pub fetches: bool,
    /// More settings of `boot`, one in each line.
    pub boot: &'static [&'static str],
}

impl File {
    /// A machine that has nothing but a name.
    pub const fn named(host: &'static str) -> File {
        File {
            host,
            early: None,
            check: None,
            tries: 1,
            timeout: 3,
            module: None,
            kernel: None,
            packages: &[],
            fetches: false,
            boot: &[],
        }
    }

    fn text(&self, kind: Kind) -> String {
        let checks =
            self.check.map_or("[]".into(), |check| format!("[{{name: the wish of a test, command: '{check}'}}]"));
        let lines =
            |items: &[&str], before: &str| -> String { items.iter().map(|item| format!("{before}{item}\n")).collect() };
        let script: String = lines(&self.early.iter().flat_map(|text| text.lines()).collect::<Vec<_>>(), "      ");
        let (units, files) = match self.early {
            None => ("{}".into(), String::new()),
            Some(_) => {
                (format!("\n    early.service: {{text: \"{UNIT}\"}}"), format!("  /etc/early:\n    text: |\n{script}"))
            }
        };
        include_str!("generations/machine.yaml")
            .replace("NAME", self.host)
            .replace("MORE_PACKAGES", &lines(self.packages, "      - "))
            .replace("MORE_BOOT", &lines(self.boot, "  "))
            .replace("KERNEL", &self.kernel.map(|kernel| format!("    kernel: {kernel}\n")).unwrap_or_default())
            .replace("FREE", if self.fetches { "4G" } else { "1G" })
            .replace("LAYOUT", kind.layout)
            .replace("LOADER", kind.loader)
            .replace("CHECKS", &checks)
            // Linux on a PC has no use for one, but systemd-boot loads it, and boots no entry whose device tree it cannot load.
            .replace("DEVICE_TREE", if kind.grub() { "" } else { "  device_tree: board.dtb\n" })
            .replace("MODULES", self.module.unwrap_or_default())
            .replace("TRIES", &self.tries.to_string())
            .replace("TIMEOUT", &self.timeout.to_string())
            .replace("UNWANTED", if self.fetches { "" } else { UNWANTED })
            .replace("UNITS", &units)
            .replace("FILES", &files)
    }
}

/// Builds the machine's first generation into a disk of the caller's own.
pub fn disk(cairn: &Cairn, kind: Kind, file: &File, folder: &Path) -> Result<PathBuf> {
    build(cairn, kind, None, file, folder)
}

/// The same with a second generation, which has not been booted yet.
pub fn disk_with_two(cairn: &Cairn, kind: Kind, old: &File, new: &File, folder: &Path) -> Result<PathBuf> {
    build(cairn, kind, Some(old), new, folder)
}

fn build(cairn: &Cairn, kind: Kind, old: Option<&File>, new: &File, folder: &Path) -> Result<PathBuf> {
    // One lock file for all that have the same packages. Whoever is first makes their base, and the others wait for it.
    let turn = fs::File::create(cairn.work.join("generations.turn"))?;
    turn.lock().context("waiting for the others")?;
    let shared =
        cairn.work.join(format!("generations{}{}.lock", new.kernel.unwrap_or_default(), new.packages.join("-")));
    let put = |name: &str, file: &File| -> Result<PathBuf> {
        let source = folder.join(format!("{name}.yaml"));
        fs::write(&source, file.text(kind))?;
        if shared.exists() {
            fs::copy(&shared, folder.join(format!("{name}.lock")))?;
        }
        Ok(source)
    };
    beside(folder)?;
    let mut command = cairn.cmd(["build", "--format", "raw"]).arg(put("new", new)?).arg("-o").arg(folder);
    if let Some(old) = old {
        command = command.arg("--after").arg(put("old", old)?);
    }
    if shared.exists() {
        turn.unlock()?;
    }
    command.run()?.must(0)?;
    // Whole or not at all, when two scenarios do this at once.
    let mine = shared.with_extension(std::process::id().to_string());
    fs::copy(folder.join("new.lock"), &mine)?;
    fs::rename(&mine, &shared)?;
    Ok(folder.join(format!("{}.raw", new.host)))
}

/// Puts what these machine files name beside them.
pub fn beside(folder: &Path) -> Result<()> {
    fs::copy(repository().join("examples/hello.password"), folder.join("hello.password"))?;
    Ok(fs::write(folder.join("board.dtb"), device_tree())?)
}

/// The smallest compiled device tree: a header, no memory that is reserved, a root without anything.
fn device_tree() -> Vec<u8> {
    const NODE: u32 = 1;
    const END_NODE: u32 = 2;
    const END: u32 = 9;
    // Magic number; size; where structure, strings and reserved memory are; versions; the processor; sizes of the two.
    let header = [0xd00d_feed, 72, 56, 72, 40, 17, 16, 0, 0, 16];
    let words = header.into_iter().chain([0; 4]).chain([NODE, 0, END_NODE, END]);
    words.flat_map(u32::to_be_bytes).collect()
}

/// Boots such a disk for good: what it writes stays, and it may restart.
pub fn start(kind: Kind, disk: &Path) -> Result<Guest> {
    Guest::start(&Setup::new(disk).firmware(kind.firmware).reboots().watchdog())
}

/// The same without the loader: user-mode Linux starts what is in its menu.
pub fn start_uml(kind: Kind, disk: &Path) -> Result<Guest> {
    Guest::start(&Setup::uml(disk).firmware(kind.firmware).reboots())
}

/// Puts a machine file onto the machine and upgrades to it: what `cairn upgrade` said.
pub fn upgrade(guest: &mut Guest, kind: Kind, file: &File) -> Result<String> {
    edit(guest, kind, file)?;
    guest.run("cairn upgrade")
}

/// Puts a machine file onto the machine, in the place of its own.
pub fn edit(guest: &mut Guest, kind: Kind, file: &File) -> Result<()> {
    put(guest, kind, file, "/etc/cairn/machine.yaml")
}

/// Puts a machine file onto the machine.
pub fn put(guest: &mut Guest, kind: Kind, file: &File, path: &str) -> Result<()> {
    let copy = guest.machine.folder().join("machine.yaml");
    fs::write(&copy, file.text(kind))?;
    // A line of a terminal has room for 4095 bytes.
    let text = Cmd::new("base64").arg("-w0").arg(copy).ok()?;
    let edited = guest.run(&format!("echo {text} | base64 -d >{path}"));
    edited.map(drop).context("writing the machine file")
}
