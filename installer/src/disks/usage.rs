//! What uses a device: what is mounted, swap, and files that are disks themselves.

use std::path::{Path, PathBuf};

use cairn_root::{Mount, Root};
use serde::Serialize;

use super::{Device, Kind, sysfs};

/// Thousands of mounts.
const MOST: u64 = 16 << 20;

/// One use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Use {
    /// It is mounted here.
    Mounted(PathBuf),
    /// It is swap.
    Swap,
}

/// All of them.
#[derive(Debug)]
pub struct Uses<'r> {
    root: &'r Root,
    mounts: Vec<Mount>,
    /// The devices' names.
    swaps: Vec<String>,
}

impl<'r> Uses<'r> {
    /// Reads them.
    pub fn read(root: &'r Root) -> Uses<'r> {
        let file = if root.is_host() { "proc/thread-self/mountinfo" } else { "proc/self/mountinfo" };
        let bytes = root.read(file, MOST).ok().flatten().unwrap_or_default();
        let mounts = bytes.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect();
        let swaps = root.read_text("proc/swaps", MOST).ok().flatten().unwrap_or_default();
        let swaps = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
        let swaps = swaps.filter_map(|node| node.strip_prefix("/dev/")).map(str::to_string).collect();
        Uses { root, mounts, swaps }
    }

    /// Those of a device, sorted. A file that is a disk uses the device that it lies on.
    pub fn of(&self, device: &mut Device) -> Vec<Use> {
        if device.kind == Kind::Loop && device.lies_on.is_empty() {
            device.lies_on = self.below(device).into_iter().collect();
        }
        let mut uses: Vec<Use> = self
            .mounts
            .iter()
            .filter(|mount| self.is_of(mount, device))
            .map(|mount| Use::Mounted(mount.point.clone()))
            .collect();
        if self.swaps.contains(&device.name) {
            uses.push(Use::Swap);
        }
        uses.sort();
        uses.dedup();
        uses
    }

    fn is_of(&self, mount: &Mount, device: &Device) -> bool {
        // btrfs and ZFS have no device of their own: the one names a member, the other its pool.
        let member = || match (mount.kind.as_str(), &device.contents.signature) {
            ("btrfs", Some(its)) if its.kind == "btrfs" => {
                let members = |uuid: &String| self.root.names(Path::new("sys/fs/btrfs").join(uuid).join("devices"));
                let members = its.uuid.as_ref().and_then(|uuid| members(uuid).ok().flatten()).unwrap_or_default();
                let node = Path::new("/dev").join(&device.name);
                let source = |one: &std::ffi::OsString| Path::new("/dev").join(one) == mount.source;
                mount.source == node || members.iter().any(|one| *one == *device.name) && members.iter().any(source)
            }
            ("zfs", Some(its)) if its.kind == "zfs_member" => {
                mount.source.iter().next().is_some_and(|pool| its.label.as_deref().is_some_and(|its| pool == its))
            }
            _ => false,
        };
        mount.device == device.number || member()
    }

    /// The name of the device that a loop device's file lies on, or that its file is: the installation medium is read so.
    fn below(&self, device: &Device) -> Option<String> {
        let file = PathBuf::from(sysfs::attribute(self.root, &device.name, "loop/backing_file")?);
        let node = file.strip_prefix("/dev").ok().and_then(Path::to_str);
        if let Some(name) = node.filter(|name| sysfs::attribute(self.root, &name.replace('/', "!"), "dev").is_some()) {
            return Some(name.to_string());
        }
        // Of two mounts on one folder the later one counts.
        let mount = self
            .mounts
            .iter()
            .filter(|mount| file.starts_with(&mount.point))
            .max_by_key(|m| m.point.components().count())?;
        let link = self.root.link(Path::new("sys/dev/block").join(&mount.device)).ok()??;
        Some(link.file_name()?.to_str()?.replace('!', "/"))
    }
}
