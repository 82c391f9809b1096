//! Whether what is mounted as a machine's boot partition is that machine's: by the disk that it is on, or by the identifier
//! that the partition has from the machine's seed. A device number that differs says only that *something* is mounted there:
//! somebody who works on a disk from a rescue system easily mounts that system's own /boot below it.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cairn_boot::effects::Mounted;
use cairn_layout::{PartUuid, disk_seed, identifiers};
use cairn_machine::Checked;
use cairn_root::{Mount, Root};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, major, minor};

use super::disk::BootDisk;

/// Disks that lie on disks that lie on disks; nobody makes more of it.
const DEEPEST: u32 = 8;

/// Which disks a file system is on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// What each disk is told from others by: where it is in sysfs, or the file that a loop device shows. None for what is in
    /// memory, on the network, or on another file system.
    disks: BTreeSet<String>,
    /// In words.
    words: String,
}

/// Says why what is mounted is not the partition that the machine file has at `at`, if it is not.
pub fn doubt(root: &Root, mounted: &Mounted, at: &str, checked: &Checked) -> Option<String> {
    let (device, machine) = (mounted.device().ok()?, device_of(root)?);
    let (there, wanted) = (Place::of(mounted.folder(), device), Place::of(root, machine));
    let same = there.disks == wanted.disks || !there.disks.is_disjoint(&wanted.disks);
    // A folder of somebody's file system is no machine's disk, whatever else is on the disk that it lies on.
    let whole = wanted.disks.is_empty() || is_mount(root) != Some(false);
    if same && whole || declared(checked, at).is_some_and(|id| is_partition(device, &id, mounted.root())) {
        return None;
    }
    Some(format!(
        "what is mounted at {} is {}, and the machine is on {}",
        mounted.root().display(),
        there.words,
        wanted.words
    ))
}

impl Place {
    fn of(folder: impl AsFd, device: u64) -> Place {
        let mount = mount_of(&folder);
        // Some file systems have a number of their own in the device's place.
        let behind = || {
            let source = Some(&mount.as_ref()?.source).filter(|source| source.starts_with("/dev"))?;
            let source = fs::metadata(source).ok()?;
            source.file_type().is_block_device().then(|| source.rdev())
        };
        let found = in_sysfs(device).or_else(|| in_sysfs(behind()?));
        let mut place = Place { disks: BTreeSet::new(), words: String::new() };
        match found {
            Some(found) => {
                place.add(&found, DEEPEST);
                place.words = in_words(&found);
            }
            None => {
                let kind = mount.map_or_else(|| "file system".to_string(), |mount| mount.kind);
                place.words = format!("a {kind} that is on no disk");
            }
        }
        place
    }

    fn add(&mut self, device: &Path, depth: u32) {
        let below: Vec<PathBuf> = fs::read_dir(device.join("slaves"))
            .map(|all| all.flatten().filter_map(|one| fs::canonicalize(one.path()).ok()).collect())
            .unwrap_or_default();
        match depth.checked_sub(1) {
            Some(depth) if !below.is_empty() => below.iter().for_each(|one| self.add(one, depth)),
            _ => drop(self.disks.insert(name(&whole(device)))),
        }
    }
}

/// Where a block device is in sysfs.
fn in_sysfs(device: u64) -> Option<PathBuf> {
    fs::canonicalize(format!("/sys/dev/block/{}:{}", major(device), minor(device))).ok()
}

/// The disk that a partition is on; a disk itself.
fn whole(device: &Path) -> PathBuf {
    match device.parent() {
        Some(disk) if device.join("partition").exists() => disk.to_path_buf(),
        _ => device.to_path_buf(),
    }
}

/// The file that a loop device shows.
fn shown_file(disk: &Path) -> Option<String> {
    Some(fs::read_to_string(disk.join("loop/backing_file")).ok()?.trim_end_matches('\n').to_string())
}

/// Two loop devices can show one file: the partitions of an image that are mounted by their offsets.
fn name(disk: &Path) -> String {
    let Some(file) = shown_file(disk) else { return disk.display().to_string() };
    match fs::metadata(&file) {
        Ok(meta) => format!("the file {}:{}", meta.dev(), meta.ino()),
        Err(_) => format!("the file {file}"),
    }
}

/// `/dev/vda1`, `/dev/loop0 (/srv/disk.img)`.
fn in_words(device: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().replace('!', "/");
    let disk = whole(device);
    match shown_file(&disk) {
        Some(file) => format!("/dev/{} ({file})", name(device)),
        None if disk == device => format!("/dev/{}", name(device)),
        None => format!("/dev/{} of the disk /dev/{}", name(device), name(&disk)),
    }
}

/// What the partition that a machine file has mounted at a path is called in its table.
fn declared(checked: &Checked, at: &str) -> Option<PartUuid> {
    let (name, disk) = checked.machine.disks.iter().find(|(_, disk)| {
        (0..disk.all_partitions().len()).any(|index| disk.mount_point(index).as_deref() == Some(at))
    })?;
    let ids = identifiers(disk, disk_seed(checked.seed(), name)).ok()?;
    Some(ids.into_iter().find(|id| id.mount_point.as_deref() == Some(at))?.part_uuid)
}

/// Whether a device is the partition of this name: udev says so, or the table itself.
fn is_partition(device: u64, id: &PartUuid, shown: &Path) -> bool {
    if fs::metadata(format!("/dev/disk/by-partuuid/{id}")).is_ok_and(|meta| meta.rdev() == device) {
        return true;
    }
    let number =
        || -> Option<u32> { fs::read_to_string(in_sysfs(device)?.join("partition")).ok()?.trim().parse().ok() };
    let table = BootDisk::of_device(device, shown).map(|disk| disk.table);
    table.is_ok_and(|table| table.partitions.iter().any(|p| Some(p.number) == number() && p.id == *id))
}

fn device_of(root: &Root) -> Option<u64> {
    Some(root.metadata("").ok()??.dev())
}

/// Whether a folder is where the whole of a file system is mounted; nothing where that cannot be told.
fn is_mount(root: &Root) -> Option<bool> {
    let here = mount_of(root)?;
    let above = openat(root, "..", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let top = shows_all(&here, root.metadata("").ok()??.ino());
    Some(top && mount_of(&above)?.id != here.id)
}

/// The number that the top of every subvolume of btrfs has, and nothing else there.
const TOP_OF_SUBVOLUME: u64 = 256;

/// Whether what is mounted is a whole file system, or what btrfs has in one's place; `top`: the number of its top folder.
fn shows_all(mount: &Mount, top: u64) -> bool {
    mount.root == Path::new("/") || mount.kind == "btrfs" && top == TOP_OF_SUBVOLUME
}

/// What an open file is on, by what the kernel says of it. The thread's own view counts, which may not be the process's.
fn mount_of(file: impl AsFd) -> Option<Mount> {
    let info = format!("/proc/thread-self/fdinfo/{}", file.as_fd().as_raw_fd());
    let info = fs::read_to_string(info).ok()?;
    let id: u64 = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
    Mount::all().ok()?.into_iter().find(|mount| mount.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subvolume_is_as_good_as_a_file_system() {
        let all = |line: &str, top| shows_all(&Mount::parse(line.as_bytes()).unwrap(), top);
        let subvolume = "36 35 98:0 /sub /mnt rw,noatime master:1 - btrfs /dev/vda2 rw,errors=continue";
        // A folder in one is not, nor one that has this number elsewhere.
        assert_eq!((all(subvolume, 256), all(subvolume, 257)), (true, false));
        assert!(!all("36 35 98:0 /srv /mnt rw - ext4 /dev/vda2 rw", 256));
        assert!(all("40 22 0:44 / /mnt/boot rw - tmpfs none rw", 1));
    }

    #[test]
    fn disks_are_told_by_where_they_are_and_loops_by_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let block = dir.path();
        for folder in ["vda/vda1", "vdb", "loop0/loop", "loop1/loop1p2", "loop1/loop", "dm-0/slaves"] {
            fs::create_dir_all(block.join(folder)).unwrap();
        }
        for partition in ["vda/vda1", "loop1/loop1p2"] {
            fs::write(block.join(partition).join("partition"), "1\n").unwrap();
        }
        let image = block.join("image");
        fs::write(&image, "").unwrap();
        for device in ["loop0", "loop1"] {
            fs::write(block.join(device).join("loop/backing_file"), format!("{}\n", image.display())).unwrap();
        }
        std::os::unix::fs::symlink("../../vda/vda1", block.join("dm-0/slaves/vda1")).unwrap();
        let disks = |device: &str| {
            let mut place = Place { disks: BTreeSet::new(), words: String::new() };
            place.add(&block.join(device), DEEPEST);
            place.disks
        };
        assert_eq!(disks("vda/vda1"), disks("vda"));
        assert_eq!(disks("dm-0"), disks("vda"));
        assert_ne!(disks("vda"), disks("vdb"));
        assert_eq!(disks("loop0"), disks("loop1/loop1p2"));
        assert_ne!(disks("loop0"), disks("vda"));
        assert_eq!(in_words(&block.join("vda/vda1")), "/dev/vda1 of the disk /dev/vda");
        assert_eq!(in_words(&block.join("loop1/loop1p2")), format!("/dev/loop1p2 ({})", image.display()));
    }
}
