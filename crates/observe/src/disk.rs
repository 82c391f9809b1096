//! The disk that a machine's boot partition is on, as the kernel and its partition table tell it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cairn_disk::partition_table::{self, FoundPartition, Table};
use cairn_disk::{DiskDevice, FileSource, Source};
use cairn_layout::{disk_seed, identifiers};
use cairn_machine::Checked;
use cairn_machine::model::PartitionKind;

/// A disk with its partition table.
#[derive(Debug)]
pub struct BootDisk {
    /// Where the disk can be opened.
    pub device: PathBuf,
    /// Its partitions.
    pub table: Table,
}

impl BootDisk {
    /// The disk of the partition that is this device and mounted at a folder; why not, where there is none to be found.
    pub fn of_device(number: u64, folder: &Path) -> Result<BootDisk, String> {
        let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
        let nowhere = || format!("what is mounted at {} is not a partition of a disk", folder.display());
        let partition = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).map_err(|_| nowhere())?;
        if !partition.join("partition").exists() {
            return Err(nowhere());
        }
        let disk = partition.parent().ok_or_else(nowhere)?;
        let name = disk.file_name().and_then(|name| name.to_str()).ok_or_else(nowhere)?;
        // A slash in a device's name is an exclamation mark there.
        let device = Path::new("/dev").join(name.replace('!', "/"));
        let opened = File::open(&device).and_then(FileSource::new).map_err(|e| format!("{}: {e}", device.display()))?;
        let table = partition_table::read(&opened).map_err(|e| format!("{}: {e}", device.display()))?;
        Ok(BootDisk { device, table })
    }
}

/// The partition of a kind that is the machine's own, by its identifier.
pub fn partition<'t>(checked: &Checked, kind: PartitionKind, table: &'t Table) -> Option<&'t FoundPartition> {
    let (name, disk) = checked.machine.root_disk()?;
    let ids = identifiers(disk, disk_seed(checked.seed(), name)).ok()?;
    let id = ids.iter().find(|p| p.kind == kind)?.part_uuid;
    table.partitions.iter().find(|p| p.id == id)
}

/// The place for GRUB's core image on the machine's disk; why not, where the disk is not the one that the machine file has.
pub fn core_image_area(checked: &Checked, table: &Table) -> Result<(u64, u64), String> {
    let ours = [PartitionKind::BiosBoot, PartitionKind::Xbootldr, PartitionKind::Esp];
    // In a GPT its own partition has an identifier; in an MBR all have the disk's.
    let found = ours.into_iter().find_map(|kind| partition(checked, kind, table));
    let area = match found.map(|p| (p.kind.name(), p)) {
        Some((Some("bios-boot"), p)) => Some((p.offset, p.bytes)),
        Some(_) if table.kind == cairn_machine::model::TableKind::Mbr => table.core_image_area(),
        _ => None,
    };
    area.ok_or_else(|| "the disk's partitions are not those of the machine file".into())
}

/// A source that reads what is on a disk, whatever the kernel remembers of it.
pub fn open(device: &Path) -> Result<impl Source + use<>, String> {
    DiskDevice::open(device, false).map_err(|e| format!("{}: {e}", device.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use cairn_disk::MemoryTarget;
    use cairn_layout::{Needs, plan};
    use cairn_machine::SourceFile;

    use super::*;

    fn machine(layout: &str, more: &str) -> Checked {
        let text = format!(
            "version: 1\nhostname: a\nsource: {{debian: {{packages: []}}}}\ndisks: {{main: {{layout: {layout}}}}}\nboot: {{loader: grub}}\n{more}"
        );
        let file = SourceFile { name: "machine.yaml".into(), bytes: text.into_bytes() };
        cairn_machine::check(&file, &mut |_| unreachable!()).unwrap()
    }

    #[test]
    fn the_place_for_the_core_image_is_found_on_the_machine_s_own_disk_only() {
        for layout in ["bios", "hybrid", "mbr"] {
            let checked = machine(layout, "");
            let (name, disk) = checked.machine.root_disk().unwrap();
            let plan = plan(disk, disk_seed(checked.seed(), name), &Needs::default(), None).unwrap();
            let target = MemoryTarget::new(usize::try_from(plan.bytes()).unwrap(), 0);
            partition_table::write(&plan, &target).unwrap();
            let table = partition_table::read(&target).unwrap();
            assert_eq!(core_image_area(&checked, &table).ok(), plan.core_image_area(), "{layout}");
            let esp = partition(&checked, PartitionKind::Esp, &table);
            assert_eq!(esp.map(|p| p.number), plan.find(PartitionKind::Esp).map(|p| p.number), "{layout}");
            let other = machine(layout, "seed: 01234567-89ab-cdef-0123-456789abcdef\n");
            assert!(core_image_area(&other, &table).is_err(), "{layout}");
        }
    }

    #[test]
    fn what_is_no_partition_is_told() {
        let proc = Path::new("/proc");
        let why = BootDisk::of_device(proc.metadata().unwrap().dev(), proc).unwrap_err();
        assert_eq!(why, "what is mounted at /proc is not a partition of a disk");
    }
}
