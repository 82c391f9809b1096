//! Enlarges the partition that is marked for it, and its file system, when the disk has become larger.
//!
//! It must cost milliseconds when nothing has grown, and a power cut at any moment must leave a disk that boots: the
//! table is changed as [`table::Edit`] says, the kernel's idea of it next, the file system last; each step finds out
//! for itself whether it is needed, so that the next boot finishes what a power cut left undone.

mod device;
pub mod ext4;
mod mbr;
pub mod table;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cairn_process::Tool;

use crate::cmdline::Parameters;
use crate::error::{Context, Error};
use device::Device;

/// Grows what is to be grown. A machine whose disk cannot be read is not this helper's to stop.
pub fn run(parameters: &Parameters) -> Result<(), Error> {
    let Some(root) = parameters.root_device() else { return Ok(()) };
    if parameters.grow == Some(false) {
        return Ok(());
    }
    let Ok(node) = root.canonicalize() else {
        eprintln!("cairn-stage1: {} is not there, nothing is grown", root.display());
        return Ok(());
    };
    let root = device::describe(&node)?;
    let Some(disk_node) = &root.disk else {
        // The file system has the whole disk for itself.
        return if parameters.grow == Some(true) { grow_file_system(&root) } else { Ok(()) };
    };
    let disk = device::describe(disk_node)?;
    let file = File::open(&disk.node).with_context(|| format!("opening {}", disk.node.display()))?;
    let forced = if parameters.grow == Some(true) { root.number } else { None };
    let Some((number, edit)) = table::plan(&|bytes, at| file.read_exact_at(bytes, at), disk.size, disk.sector, forced)?
    else {
        return Ok(());
    };
    let partition = device::describe(&device::partition_node(&disk.node, number))?;

    // Held until udev is done: a partition that is open keeps the kernel from taking all partitions away and giving
    // them again when udev rereads the table, which would make systemd's device units flap under the mount.
    let held = File::open(&partition.node).with_context(|| format!("opening {}", partition.node.display()))?;
    if let Some(edit) = edit {
        println!("cairn-stage1: growing partition {number} of {}", disk.node.display());
        let disk_file = OpenOptions::new().read(true).write(true).open(&disk.node);
        let disk_file = disk_file.with_context(|| format!("opening {} for writing", disk.node.display()))?;
        device::lock(&disk_file)?;
        for group in &edit.writes {
            for (offset, bytes) in group {
                disk_file.write_all_at(bytes, *offset).context("writing the partition table")?;
            }
            disk_file.sync_all().context("writing the partition table")?;
        }
        device::resize(&disk_file, number, edit.first * disk.sector, edit.length * disk.sector)?;
        drop(disk_file);
        settle();
    }
    let partition = device::describe(&partition.node)?;
    grow_file_system(&partition)?;
    drop(held);
    Ok(())
}

fn grow_file_system(partition: &Device) -> Result<(), Error> {
    let block = superblock(&partition.node)?;
    let (Some(size), Some(largest), Some(unit)) = (ext4::size(&block), ext4::largest(&block), ext4::block_size(&block))
    else {
        return Ok(());
    };
    let room = partition.size.min(largest);
    if room < size.saturating_add(ext4::WORTH_GROWING) {
        return Ok(());
    }
    println!("cairn-stage1: growing the file system on {} to {room} bytes", partition.node.display());
    // resize2fs refuses a file system that was mounted since its last full check.
    fsck(&partition.node, &["-f", "-p"])?;
    let resize = || Tool::new("resize2fs", "e2fsprogs", "grow the file system").arg(&partition.node);
    if room / unit > u64::from(u32::MAX) && !ext4::is_64bit(&block) {
        resize().arg("-b").run().context("giving the file system larger numbers")?;
    }
    // All of the partition, or as much of it as there are inodes for.
    let blocks = (room < partition.size).then(|| (room / unit).to_string());
    resize().args(blocks).run().context("growing")
}

fn superblock(node: &Path) -> Result<ext4::Superblock, Error> {
    let file = File::open(node).with_context(|| format!("opening {}", node.display()))?;
    let mut block = [0; ext4::SUPERBLOCK_LENGTH];
    file.read_exact_at(&mut block, ext4::SUPERBLOCK_OFFSET).with_context(|| format!("reading {}", node.display()))?;
    Ok(block)
}

/// Checks a file system as fsck -p does.
pub fn check(node: &Path) -> Result<(), Error> {
    // That may take minutes, in which nothing else is seen.
    if ext4::is_suspect(&superblock(node)?) {
        println!("cairn-stage1: checking the file system on {}", node.display());
    }
    fsck(node, &["-p"])
}

fn fsck(node: &Path, options: &[&str]) -> Result<(), Error> {
    let tool = Tool::new("e2fsck", "e2fsprogs", "check the file system").args(options).arg(node);
    match tool.run() {
        // 1: there were errors, and they are corrected.
        Err(cairn_process::ToolError::Failed { status, .. }) if status.code() == Some(1) => Ok(()),
        other => other.with_context(|| format!("checking {}", node.display())),
    }
}

/// Waits until udev has looked at what changed, where it runs.
fn settle() {
    if !Path::new("/run/udev/control").exists() {
        return;
    }
    let tool = Tool::new("udevadm", "udev", "wait for the changed partition").args(["settle", "--timeout=10"]);
    if let Err(error) = tool.run() {
        eprintln!("cairn-stage1: {error}");
    }
}
