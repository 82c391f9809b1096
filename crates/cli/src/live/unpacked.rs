//! A machine in an image, unpacked into a temporary folder as far as a check of its boot partition needs it: links,
//! bootspecs, machine files, kernels, initrds, loaders, the record, and the boot partitions themselves. Works as any user.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use cairn_store::{StorePath, profile};
use image_builder::view::{Files, Kind, Machine, PROFILES};
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use tempfile::TempDir;

use super::observed::Observed;
use super::partitions::BootPartitions;
use crate::machine::generations::links;

/// Larger than any kernel or initrd.
const MOST: u64 = 1 << 30;

/// What of a base goes onto a boot partition besides the kernel.
const PROGRAMS: [&str; 3] = ["usr/lib/systemd/boot/efi", "boot/memtest86+x64.bin", "boot/memtest86+x64.efi"];

/// The unpacked machine; the folder goes with it.
#[derive(Debug)]
pub struct Unpacked {
    folder: TempDir,
}

impl Unpacked {
    /// Unpacks a machine.
    pub fn new(machine: &Machine<'_>) -> anyhow::Result<Unpacked> {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        let copy = Copy { files: &*machine.root, to: folder.path() };
        let (generations, _) = links(&*machine.root)?;
        copy.link(&format!("{PROFILES}/{}", profile::SYSTEM))?;
        let mut bases = BTreeSet::new();
        for generation in &generations {
            copy.link(&format!("{PROFILES}/{}", profile::link_name(generation.number)))?;
            copy.system(&generation.system, &mut bases)?;
        }
        copy.file(&format!("/{}", cairn_boot::RECORD_FILE))?;
        let unpacked = Unpacked { folder };
        unpacked.boot(machine)?;
        Ok(unpacked)
    }

    /// What there is, unpacked from this image.
    pub fn observed(&self, image: &Path) -> anyhow::Result<Observed> {
        Ok(Observed { mounted: false, image: Some(image.to_path_buf()), ..Observed::at(self.folder.path())? })
    }

    /// Puts each boot partition where the newest machine file has it.
    fn boot(&self, machine: &Machine<'_>) -> anyhow::Result<()> {
        let observed = Observed::at(self.folder.path())?;
        let checked = observed.newest()?.checked()?;
        let disk = checked.machine.disks.values().next().context("the machine file has no disk")?;
        let places = BootPartitions::of(disk).context("the machine file's disk has no boot partition")?;
        let mut firsts = std::iter::once(&places.first).chain(&places.mirrors);
        for volume in &machine.boot {
            let at = match (&places.second, volume.xbootldr) {
                (Some(second), true) => Some(second),
                _ => firsts.next(),
            };
            if let Some(at) = at {
                let to = super::below(self.folder.path(), Path::new(at));
                std::fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
                Copy { files: &*volume.files, to: &to }.tree("")?;
            }
        }
        Ok(())
    }
}

struct Copy<'a> {
    files: &'a dyn Files,
    to: &'a Path,
}

impl Copy<'_> {
    /// Where a path goes; with its folders made. An image may be anybody's, and nothing in it may lead out of the folder.
    fn place(&self, path: &str) -> anyhow::Result<PathBuf> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
        anyhow::ensure!(Path::new(path).components().all(plain), "{path} in the image is no path of a machine");
        let to = super::below(self.to, Path::new(path));
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        Ok(to)
    }

    /// A link with its own time: a generation's date.
    fn link(&self, path: &str) -> anyhow::Result<Option<String>> {
        let Some(target) = self.files.link(path)? else { return Ok(None) };
        let to = self.place(path)?;
        symlink(&target, &to).with_context(|| format!("making {}", to.display()))?;
        if let Some(time) = self.files.modified(path)? {
            let time = TimeSpec::new(time, 0);
            utimensat(AT_FDCWD, &to, &time, &time, UtimensatFlags::NoFollowSymlink)
                .with_context(|| format!("setting the time of {}", to.display()))?;
        }
        Ok(Some(target))
    }

    fn file(&self, path: &str) -> anyhow::Result<()> {
        let Some(bytes) = self.files.read(path, MOST)? else { return Ok(()) };
        let to = self.place(path)?;
        if !to.exists() {
            std::fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))?;
        }
        Ok(())
    }

    /// Files and folders below a path, or the file that it is.
    fn tree(&self, path: &str) -> anyhow::Result<()> {
        let mut waiting = vec![path.to_string()];
        while let Some(path) = waiting.pop() {
            // Damaged folders can contain themselves.
            if path.matches('/').count() > 32 {
                continue;
            }
            let real = if path.is_empty() { "/" } else { &path };
            match self.files.kind(real)? {
                Some(Kind::Folder) => {
                    let to = self.place(&path)?;
                    std::fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
                    let names = self.files.list(real)?.unwrap_or_default();
                    waiting.extend(names.into_iter().map(|name| format!("{path}/{name}")));
                }
                Some(Kind::File) => self.file(&path)?,
                Some(Kind::Other) | None => {}
            }
        }
        Ok(())
    }

    fn system(&self, system: &str, bases: &mut BTreeSet<String>) -> anyhow::Result<()> {
        // What is damaged or gone is told by whoever looks at the unpacked machine.
        let known = |path: &str| StorePath::from_absolute(path).is_ok();
        if !known(system) || self.files.kind(system)?.is_none() || super::below(self.to, Path::new(system)).exists() {
            return Ok(());
        }
        self.place(&format!("{system}/x"))?;
        self.file(&format!("{system}/boot.json"))?;
        self.file(&format!("{system}/hardware.yaml"))?;
        if let Some(etc) = self.link(&format!("{system}/etc"))?.filter(|path| known(path)) {
            self.file(&format!("{etc}/hostname"))?;
            self.tree(&format!("{etc}/cairn"))?;
        }
        if let Some(loader) = self.link(&format!("{system}/{}", cairn_system::LOADER))?.filter(|path| known(path)) {
            self.tree(&loader)?;
        }
        if let Some(base) = self.link(&format!("{system}/base"))?.filter(|path| known(path))
            && bases.insert(base.clone())
        {
            self.file(&format!("{base}/kernel-release"))?;
            for program in PROGRAMS {
                self.tree(&format!("{base}/{program}"))?;
            }
        }
        let real = super::below(self.to, Path::new(system));
        if let Ok(specs) = cairn_system::read_bootspecs(&real) {
            for path in specs.files() {
                if let Some(path) = path.to_str().filter(|path| path.starts_with("/nix/store/")) {
                    self.file(path)?;
                }
            }
        }
        Ok(())
    }
}
