//! A machine in an image, unpacked into a temporary folder as far as a check of its boot partition needs it: links,
//! bootspecs, machine files, kernels, initrds, loaders, the record, and the boot partitions themselves. Works as any user.
//!
//! The image may be anybody's. What is made goes through [`Below`], links are made only where they name a store path, and
//! there is an end to how much is taken out of it.

mod below;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use cairn_boot::bootspec;
use cairn_layout::BootPlaces;
use cairn_store::{StorePath, profile};
use image_builder::view::{Files, Found, Kind, Machine, PROFILES, walk};
use tempfile::TempDir;

use self::below::Below;
use super::observed::Observed;
use crate::machine::generations::{MOST_MACHINE_FILE, links};
use crate::signals;

/// More than the kernels and initrds, and more than the boot files, of any machine that was seen.
const MOST: u64 = 1 << 30;
/// More than any file that is read into memory afterwards: what a machine is made from, GRUB's parts.
const MOST_READ: u64 = 64 << 20;
/// More files than a boot partition and a machine's own files are.
const MOST_FILES: u64 = 1 << 14;

/// What of a base goes onto a boot partition besides the kernel.
const PROGRAMS: [&str; 3] = ["usr/lib/systemd/boot/efi", "boot/memtest86+x64.bin", "boot/memtest86+x64.efi"];

/// The unpacked machine; the folder goes with it.
#[derive(Debug)]
pub struct Unpacked {
    folder: TempDir,
    // Whatever ends the command.
    _removed: signals::RemovedAtEnd,
}

impl Unpacked {
    /// Unpacks a machine.
    pub fn new(machine: &Machine<'_>) -> anyhow::Result<Unpacked> {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        let removed = signals::RemovedAtEnd::new(folder.path());
        let below = Below::new(folder.path()).context("opening a temporary folder")?;
        let copy = Copy::new(&*machine.root, &below, "");
        let (generations, _) = links(&*machine.root)?;
        copy.link(&format!("{PROFILES}/{}", profile::SYSTEM), |target| profile::generation(target).is_some())?;
        let mut bases = BTreeSet::new();
        for generation in &generations {
            let link = format!("{PROFILES}/{}", profile::link_name(generation.number));
            if copy.link(&link, is_store_path)?.is_none() {
                // That there is one is told by whoever looks at the unpacked machine.
                copy.count()?;
                below
                    .link(&link, "(a path outside of the store)", None)
                    .with_context(|| format!("unpacking {link}"))?;
            }
            copy.system(&generation.system, &mut bases)?;
        }
        copy.file(&format!("/{}", cairn_boot::RECORD_FILE), MOST_READ)?;
        let unpacked = Unpacked { folder, _removed: removed };
        unpacked.boot(machine, &below)?;
        Ok(unpacked)
    }

    /// What there is, unpacked from this image.
    pub fn observed(&self, image: &Path) -> anyhow::Result<Observed> {
        Ok(Observed { mounted: false, image: Some(image.to_path_buf()), ..Observed::at(self.folder.path())? })
    }

    /// Puts each boot partition where the newest machine file has it.
    fn boot(&self, machine: &Machine<'_>, below: &Below) -> anyhow::Result<()> {
        let observed = Observed::at(self.folder.path())?;
        let checked = observed.newest()?.checked()?;
        let (_, disk) = checked.machine.root_disk().context("the machine file has no disk")?;
        let places = BootPlaces::of(disk).context("the machine file's disk has no boot partition")?;
        let mut firsts = std::iter::once(&places.first).chain(&places.mirrors);
        for volume in &machine.boot {
            let at = match (&places.second, volume.xbootldr) {
                (Some(second), true) => Some(second),
                _ => firsts.next(),
            };
            if let Some(at) = at {
                below.folder(at).with_context(|| format!("unpacking {at}"))?;
                Copy::new(&*volume.files, below, at).tree("", MOST)?;
            }
        }
        Ok(())
    }
}

fn is_store_path(target: &str) -> bool {
    StorePath::from_absolute(target).is_ok()
}

/// A copy from one file system in the image, with what it may still take.
struct Copy<'a> {
    files: &'a dyn Files,
    to: &'a Below,
    /// Where its root goes.
    at: &'a str,
    bytes: Cell<u64>,
    count: Cell<u64>,
}

impl<'a> Copy<'a> {
    fn new(files: &'a dyn Files, to: &'a Below, at: &'a str) -> Copy<'a> {
        Copy { files, to, at, bytes: Cell::new(MOST), count: Cell::new(MOST_FILES) }
    }

    /// One more file, folder or link.
    fn count(&self) -> anyhow::Result<()> {
        let left = self.count.get().checked_sub(1);
        self.count.set(left.with_context(|| {
            format!("the image has more than {MOST_FILES} files for its boot partition: it is damaged or hostile")
        })?);
        Ok(())
    }

    /// A link with its own time (a generation's date), where it says what such a link says.
    fn link(&self, path: &str, known: impl FnOnce(&str) -> bool) -> anyhow::Result<Option<String>> {
        let Some(target) = self.files.link(path)?.filter(|target| known(target)) else { return Ok(None) };
        self.count()?;
        let time = self.files.modified(path)?;
        self.to.link(path, &target, time).with_context(|| format!("unpacking {path}"))?;
        Ok(Some(target))
    }

    /// A file of at most `most` bytes.
    fn file(&self, path: &str, most: u64) -> anyhow::Result<()> {
        if self.files.kind(path)? != Some(Kind::File) {
            return Ok(());
        }
        self.count()?;
        // What is parsed takes many times its size.
        let most = if path.ends_with(".yaml") { most.min(MOST_MACHINE_FILE) } else { most };
        let made = self.to.file(&format!("{}{path}", self.at)).with_context(|| format!("unpacking {path}"))?;
        if let Some(file) = made {
            self.files.copy(path, most, &mut Counted { file, left: &self.bytes })?;
        }
        Ok(())
    }

    /// Files and folders below a path, or the file that it is.
    fn tree(&self, top: &str, most: u64) -> anyhow::Result<()> {
        if self.files.kind(if top.is_empty() { "/" } else { top })? != Some(Kind::Folder) {
            return self.file(top, most);
        }
        walk(self.files, top, |path, found| {
            let path = format!("{top}/{path}");
            match found {
                Found::Folder => {
                    self.count()?;
                    self.to.folder(&format!("{}{path}", self.at)).with_context(|| format!("unpacking {path}"))?;
                }
                // What a link to a file says is taken for the file, as whoever reads it would.
                Found::File | Found::Link(_) => self.file(&path, most)?,
                Found::Other => {}
            }
            Ok(())
        })
    }

    fn system(&self, system: &str, bases: &mut BTreeSet<String>) -> anyhow::Result<()> {
        // What is damaged or gone is told by whoever looks at the unpacked machine.
        if !is_store_path(system) || self.files.kind(system)? != Some(Kind::Folder) || !bases.insert(system.into()) {
            return Ok(());
        }
        self.to.folder(system).with_context(|| format!("unpacking {system}"))?;
        let path = format!("{system}/boot.json");
        self.file(&path, MOST_READ)?;
        self.file(&format!("{system}/hardware.yaml"), MOST_READ)?;
        if let Some(etc) = self.link(&format!("{system}/etc"), is_store_path)? {
            self.file(&format!("{etc}/hostname"), MOST_READ)?;
            self.tree(&format!("{etc}/cairn"), MOST_READ)?;
        }
        if let Some(loader) = self.link(&format!("{system}/{}", cairn_system::LOADER), is_store_path)? {
            self.tree(&loader, MOST_READ)?;
        }
        if let Some(base) = self.link(&format!("{system}/base"), is_store_path)?
            && bases.insert(base.clone())
        {
            self.file(&format!("{base}/kernel-release"), MOST_READ)?;
            for program in PROGRAMS {
                self.tree(&format!("{base}/{program}"), MOST_READ)?;
            }
        }
        let Some(text) = self.files.read(&path, bootspec::MOST)? else { return Ok(()) };
        if let Ok(specs) = bootspec::parse(&text, Path::new(&path)) {
            // All of them are in the store: who reads bootspecs takes no others.
            specs.files().filter_map(Path::to_str).try_for_each(|path| self.file(path, MOST))?;
        }
        Ok(())
    }
}

/// A file that ends where nothing more may be taken, or somebody has asked for the end.
struct Counted<'a> {
    file: File,
    left: &'a Cell<u64>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if signals::asked().is_some() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.file.write(bytes)?;
        let left = self.left.get().checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(
                "the image has more than 1 GiB of kernels, initrds or boot files; mount it, and use --root",
            )
        })?;
        self.left.set(left);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
