//! Recording: a guest with Debian's kernel and nothing else runs scripts on disks, and QEMU writes down every request.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::guest::{BEGIN, FAILED, MARK_SECTOR, SERIAL, WELL};
use super::image::{Base, Image};
use super::log::Log;
use crate::cairn::repository;
use crate::command::Cmd;
use crate::machine::{EMULATED, RECORDED_DISK};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What the guest loads, in this order: the disk, the file system, and the character sets that vfat asks for.
const MODULES: [&str; 6] = ["virtio_blk", "fat", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1"];
/// Sectors of the file system: 260 MiB, the least that FAT32 can be with clusters of 4 KiB.
pub const SECTORS: u64 = 260 << 11;

/// A kernel and the folder of its modules.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The kernel.
    pub image: PathBuf,
    /// `/usr/lib/modules/RELEASE`.
    pub modules: PathBuf,
}

impl Kernel {
    /// That of a base in a store.
    pub fn in_store(store: &Path) -> Result<Kernel> {
        let mut bases = Vec::new();
        for entry in std::fs::read_dir(store).with_context(|| format!("reading {}", store.display()))? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-base") && path.join("boot/vmlinuz").is_file() {
                bases.push(path);
            }
        }
        bases.sort();
        let base = bases.first().with_context(|| format!("no base with a kernel in {}", store.display()))?;
        let modules = base.join("usr/lib/modules");
        let release = std::fs::read_dir(&modules)?.next().context("no modules")??.path();
        Ok(Kernel { image: base.join("boot/vmlinuz"), modules: release })
    }
}

/// What a guest does to one disk.
#[derive(Debug, Clone)]
pub struct Task {
    /// The steps; see [`super::script`].
    pub script: String,
    /// The disk to begin with; without one it is an empty FAT32 file system.
    pub disk: Option<Image>,
}

impl From<String> for Task {
    fn from(script: String) -> Task {
        Task { script, disk: None }
    }
}

/// What was recorded of one disk.
#[derive(Debug)]
pub struct Recording {
    /// The disk before the first step.
    pub first: Image,
    /// The requests; marks are marks.
    pub log: Log,
    /// Why the script failed, if it did.
    pub failed: Option<String>,
    /// All that the console said meanwhile.
    pub said: String,
}

/// The guest's own program, built as a static one.
pub fn guest() -> Result<PathBuf> {
    let out = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let out = out.join("replay-guest");
    Cmd::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--package", "qemu-tests", "--bin", "replay-guest", "--target", TARGET])
        .arg("--target-dir")
        .arg(&out)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .dir(repository())
        .ok()?;
    Ok(out.join(TARGET).join("debug/replay-guest"))
}

/// Runs each task on a disk of its own, all in one boot.
pub fn record(kernel: &Kernel, tasks: &BTreeMap<String, Task>, folder: &Path) -> Result<BTreeMap<String, Recording>> {
    let initrd = folder.join("initrd");
    write_initrd(kernel, tasks, &initrd)?;
    let console = folder.join("console");
    let mut qemu = Cmd::new("qemu-system-x86_64")
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-machine", "pc", "-m", "512"])
        .args(EMULATED)
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&initrd)
        .arg("-append")
        .arg(format!("console=ttyS0 quiet panic=-1 {MARK_SECTOR}{SECTORS}"));
    for (n, (name, task)) in tasks.iter().enumerate() {
        let disk = folder.join(format!("{name}.disk"));
        match &task.disk {
            Some(image) => image.write_to(&disk, (SECTORS + 2048) * 512)?,
            None => empty(&disk)?,
        }
        // The disk itself stays as it is, for the replay: QEMU's writes go into a file of their own.
        let (top, log) = (folder.join(format!("{name}.top")), folder.join(format!("{name}.log")));
        Cmd::new("cp").arg("--sparse=always").arg(&disk).arg(&top).ok()?;
        File::create(&log)?;
        let node = |file: &Path| format!("driver=file,filename={},cache.no-flush=on", file.display());
        let (slot, function) = (3 + n / 8, n % 8);
        qemu = qemu
            .arg("-blockdev")
            .arg(format!("node-name=d{n},{}", node(&top)))
            .arg("-blockdev")
            .arg(format!("node-name=l{n},{}", node(&log)))
            .arg("-blockdev")
            .arg(format!("driver=blklogwrites,node-name=w{n},file=d{n},log=l{n},log-sector-size=512"))
            .arg("-device")
            .arg(format!(
                "{RECORDED_DISK},drive=w{n},serial={SERIAL}{n:03},addr={slot:#x}.{function},multifunction=on"
            ));
    }
    qemu.deadline(Duration::from_secs(240)).ok()?;
    let said = String::from_utf8_lossy(&std::fs::read(&console)?).into_owned();
    ensure!(said.contains(WELL), "the guest did not do as it should; it said:\n{said}");
    let mut recordings = BTreeMap::new();
    for name in tasks.keys() {
        let (disk, log) = (folder.join(format!("{name}.disk")), folder.join(format!("{name}.log")));
        // Nothing at all is written when the script fails at once.
        let empty = log.metadata()?.len() == 0;
        let mut log = if empty { Log::default() } else { Log::read(&log, 0..SECTORS + 8)? };
        log.marks_at(SECTORS);
        let first = Image::new(Base::read(&disk, 0..SECTORS)?, 0, &log);
        let (_, said) = said.split_once(&format!("{BEGIN}{name}\r\n")).context("the script was not run")?;
        let said = said.split(BEGIN).next().unwrap_or_default().to_string();
        let failed = said.lines().find_map(|line| line.split_once(FAILED)).map(|(_, why)| why.to_string());
        recordings.insert(name.clone(), Recording { first, log, failed, said });
    }
    Ok(recordings)
}

/// A disk with an empty file system and some room behind it, where marks are written.
fn empty(disk: &Path) -> Result<()> {
    File::create(disk)?.set_len((SECTORS + 2048) * 512)?;
    let blocks = (SECTORS / 2).to_string();
    Cmd::new("mkfs.fat").args(["-F", "32", "-s", "8", "-i", "0000ca19", "--invariant"]).arg(disk).arg(blocks).ok()?;
    // Free clusters are full of what looks like folders, as on a disk that has been used: whoever shows a cluster before
    // it is written shows that.
    let mut slot = *b"STALE   TXT                     ";
    slot[20..].fill(0);
    let from = (32 + 2 * 520 + 8) * 512;
    let file = File::options().write(true).open(disk)?;
    Ok(std::os::unix::fs::FileExt::write_all_at(&file, &slot.repeat((2 << 20) / slot.len()), from)?)
}

fn write_initrd(kernel: &Kernel, tasks: &BTreeMap<String, Task>, to: &Path) -> Result<()> {
    let mut archive = Cpio::default();
    for folder in ["dev", "proc", "sys", "boot", "modules", "scripts"] {
        archive.add(folder, 0o040_755, &[]);
    }
    archive.add("init", 0o100_755, &std::fs::read(guest()?)?);
    for (n, module) in MODULES.iter().enumerate() {
        let file = Cmd::new("find").arg(&kernel.modules).args(["-name", &format!("{module}.ko*")]).ok()?;
        let file = file.lines().next().with_context(|| format!("the kernel has no module {module}"))?;
        let unpacked = to.with_extension("ko");
        let pack = if file.ends_with(".xz") { "xz" } else { "zstd" };
        let script = if file.ends_with(".ko") { "cat \"$1\" >\"$2\"" } else { "\"$3\" -dc \"$1\" >\"$2\"" };
        Cmd::new("sh").args(["-c", script, "sh", file]).arg(&unpacked).arg(pack).ok()?;
        archive.add(&format!("modules/{n}-{module}.ko"), 0o100_644, &std::fs::read(&unpacked)?);
    }
    for (n, (name, Task { script, .. })) in tasks.iter().enumerate() {
        super::script::parse(script).with_context(|| format!("script {name}"))?;
        archive.add(&format!("scripts/{n:03}.{name}"), 0o100_644, script.as_bytes());
    }
    archive.add("TRAILER!!!", 0, &[]);
    Ok(File::create(to)?.write_all(&archive.0)?)
}

/// The format of an initrd: cpio, "newc".
#[derive(Default)]
struct Cpio(Vec<u8>);

impl Cpio {
    fn add(&mut self, name: &str, mode: u32, data: &[u8]) {
        let inode = self.0.len() as u32;
        let fields = [inode, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.0.extend(b"070701");
        fields.iter().for_each(|field| self.0.extend(format!("{field:08x}").into_bytes()));
        self.0.extend(name.as_bytes());
        self.0.push(0);
        self.pad();
        self.0.extend(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
