//! What is in an image: partitions, file systems, the boot menu, generations, the closure, packages. Only reads.
//!
//! An image of ours is told in full; of any other disk image as much as can be seen, with a note on what cannot.

mod boot;
mod file_systems;
mod system;
mod table;

pub use boot::{Boot, BootFile, LoaderEntry};
pub use file_systems::FileSystemInfo;
pub use system::{GenerationInfo, Package, StorePathInfo, SystemInfo, registration};

use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use cairn_disk::ext4;
use cairn_disk::image::{self, ImageFile, ImageFileError};
use cairn_disk::partition_table::{self, FoundPartition, Table};
use cairn_disk::{DiskError, Region, Source, fat};
use cairn_machine::model::TableKind;
use serde::Serialize;

use crate::view::{Ext4Files, Files, ViewError};

/// Everything that was found. Displayed, it is a set of tables; serialised, one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The image.
    pub path: PathBuf,
    /// `raw` or `qcow2`.
    pub format: &'static str,
    /// The size of the disk, in bytes.
    pub virtual_size: u64,
    /// The bytes that the file takes where it is.
    pub disk_usage: u64,
    /// The size of a sector, where there is a partition table that tells.
    pub sector_size: Option<u32>,
    /// The kind of partition table.
    pub table: Option<TableKind>,
    /// What identifies the disk in it: a GPT's GUID, an MBR's signature.
    pub disk_id: Option<String>,
    /// The partitions.
    pub partitions: Vec<PartitionInfo>,
    /// What the boot loader finds.
    pub boot: Option<Boot>,
    /// The generations, by number.
    pub generations: Vec<GenerationInfo>,
    /// The current generation's system.
    pub system: Option<SystemInfo>,
    /// The store paths.
    pub closure: Vec<StorePathInfo>,
    /// The packages in the current system.
    pub packages: Vec<Package>,
    /// What could not be looked into, and why.
    pub notes: Vec<String>,
    /// The file systems that are damaged, or would take for ever: those of the notes that mean that the rest is not all.
    #[serde(skip)]
    pub gave_up: Vec<String>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionInfo {
    /// Its number.
    pub number: u32,
    /// What its type is called: `esp`, `root-x86-64`.
    #[serde(rename = "type")]
    pub type_name: Option<&'static str>,
    /// Its type: a GUID, or an MBR's two hexadecimal digits.
    pub type_id: String,
    /// What it is found by, as `PARTUUID=` has it.
    pub part_uuid: String,
    /// Its name.
    pub label: String,
    /// Where it begins, in bytes.
    pub start: u64,
    /// How large it is, in bytes.
    pub size: u64,
    /// Whether it is marked to grow with the disk.
    pub grow: bool,
    /// What is in it.
    pub file_system: Option<FileSystemInfo>,
}

/// Looks into an image.
///
/// # Errors
/// Only when nothing at all can be told; what is damaged inside is a note.
pub fn inspect(path: &Path) -> Result<Inspection, ImageFileError> {
    let image = ImageFile::open(path)?;
    let io = |source| ImageFileError::Io { path: path.to_path_buf(), source };
    let source = image::open(path)?;
    let mut found = Inspection {
        path: path.to_path_buf(),
        format: image.format.name(),
        virtual_size: source.len(),
        disk_usage: image.path.metadata().map_err(io)?.blocks() * 512,
        sector_size: None,
        table: None,
        disk_id: None,
        partitions: Vec::new(),
        boot: None,
        generations: Vec::new(),
        system: None,
        closure: Vec::new(),
        packages: Vec::new(),
        notes: Vec::new(),
        gave_up: Vec::new(),
    };
    match partition_table::read(&*source) {
        Ok(table) => found.disk(&*source, &table),
        Err(error) => found.notes.push(error.to_string()),
    }
    Ok(found)
}

impl Inspection {
    fn disk(&mut self, source: &dyn Source, table: &Table) {
        self.sector_size = Some(table.sector_size.into());
        self.table = Some(table.kind);
        self.disk_id = Some(table.id.to_string());
        if table.damaged {
            self.notes.push("one of the two copies of the partition table is damaged".into());
        }
        self.notes.extend(overlaps(table));
        for partition in &table.partitions {
            let info = PartitionInfo {
                number: partition.number,
                type_name: partition.kind.name(),
                type_id: partition.kind.to_string(),
                part_uuid: partition.id.to_string(),
                label: partition.label.clone(),
                start: partition.offset,
                size: partition.bytes,
                grow: partition.attributes & partition_table::GROW_FILE_SYSTEM != 0,
                file_system: None,
            };
            // The readers are other people's, and made for sound file systems: their headers are looked at first, and
            // where that was not enough, a reader's panic ends with its partition.
            let look = AssertUnwindSafe(|| self.contents(source, partition, info.type_name));
            let result = catch_unwind(look).unwrap_or_else(|_| {
                Err(DiskError::BadFileSystem { what: "damaged", why: "its reader gave up".into() })
            });
            let file_system = self.noted(partition, result);
            self.partitions.push(PartitionInfo { file_system: file_system.flatten(), ..info });
        }
    }

    /// A partition's file system; and what we know how to find in it.
    fn contents(
        &mut self,
        source: &dyn Source,
        partition: &FoundPartition,
        type_name: Option<&str>,
    ) -> Result<Option<FileSystemInfo>, DiskError> {
        let region = Region::new(source, partition.offset, partition.bytes);
        if region.len() < partition.bytes {
            self.notes.push(format!("partition {} reaches beyond the end of the disk", partition.number));
        }
        let found = file_systems::look(region)?;
        match found.as_ref().map(|fs| fs.format.as_str()) {
            Some("vfat") if matches!(type_name, Some("esp" | "xbootldr" | "fat32")) => {
                let boot = boot::look(&fat::open(region)?, type_name.unwrap_or_default())?;
                self.boot.get_or_insert_default().merge(boot);
            }
            Some("ext4") if type_name != Some("home") => {
                let files =
                    Ext4Files::new(ext4::Reader::open(region)?, &self.path, source.budget().unwrap_or_default());
                self.root(&files).map_err(of_the_disk)?;
            }
            _ => {}
        }
        Ok(found)
    }

    fn root(&mut self, root: &dyn Files) -> Result<(), ViewError> {
        let generations = system::generations(root)?;
        if generations.is_empty() {
            return Ok(());
        }
        self.closure = system::closure(root)?;
        if let Some(current) = generations.iter().find(|g| g.current) {
            self.system = Some(system::describe(root, &current.system)?);
            self.packages = system::packages(root, &current.system)?;
        }
        self.generations = generations;
        Ok(())
    }

    fn noted<T>(&mut self, partition: &FoundPartition, result: Result<T, DiskError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let label = match partition.label.as_str() {
                    "" => String::new(),
                    label => format!(" ({label})"),
                };
                let note = format!("partition {}{label}: {error}", partition.number);
                if !matches!(error, DiskError::Unknown { .. } | DiskError::Unclean { .. }) {
                    self.gave_up.push(note.clone());
                }
                self.notes.push(note);
                None
            }
        }
    }
}

/// An error of a partition's, which is told with its number.
fn of_the_disk(error: ViewError) -> DiskError {
    match error {
        ViewError::Disk { source, .. } => source,
        ViewError::TooLarge { path, bytes } => DiskError::TooLarge { path, bytes },
        ViewError::Endless { why, .. } => DiskError::Endless { what: "ext4", why },
        other => DiskError::BadFileSystem { what: "ext4", why: other.to_string() },
    }
}

/// Partitions that lie over each other, each with the first that it meets.
fn overlaps(table: &Table) -> Vec<String> {
    let mut sorted: Vec<&FoundPartition> = table.partitions.iter().filter(|p| p.bytes > 0).collect();
    sorted.sort_by_key(|p| (p.offset, p.number));
    let mut notes = Vec::new();
    let mut last: Option<&FoundPartition> = None;
    for partition in sorted {
        let end = |p: &FoundPartition| p.offset.saturating_add(p.bytes);
        match last {
            Some(before) if end(before) > partition.offset => {
                notes.push(format!("partitions {} and {} lie over each other", before.number, partition.number));
                last = if end(before) >= end(partition) { last } else { Some(partition) };
            }
            _ => last = Some(partition),
        }
    }
    notes
}
