//! `fileSystems`, `swapDevices`, and what has to be unlocked and put together before them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use cairn_process::text::one_line;
use cairn_root::Mount;

use super::options::{kept, subvolume};
use super::values::{string, strings};
use crate::disks::{Device, Kind, Stack};
use crate::hardware::observe::{FileSystems, Observed};

/// What the system makes itself at every boot.
const OWN: [&str; 4] = ["/proc", "/dev", "/sys", "/run"];
/// What is on no disk, or put together by somebody else while the system runs.
const PASSING: [&str; 8] = ["autofs", "binfmt_misc", "configfs", "debugfs", "nsfs", "overlay", "proc", "rpc_pipefs"];

/// It.
#[derive(Debug, Default)]
pub struct Layout {
    mounts: BTreeMap<PathBuf, Entry>,
    /// Mounts that cannot be said, with why.
    remarks: Vec<String>,
    swaps: Vec<Swap>,
    /// What is unlocked in the initrd: the names of the mapper, and the devices.
    luks: BTreeMap<String, String>,
    has_raid: bool,
    /// Whether ZFS is in use.
    pub has_zfs: bool,
}

#[derive(Debug)]
struct Entry {
    device: String,
    kind: String,
    options: Vec<String>,
}

#[derive(Debug)]
struct Swap {
    device: String,
    /// It gets a new key at every boot.
    random: bool,
}

impl Layout {
    pub fn of(observed: &Observed) -> Layout {
        let all = All { devices: &observed.devices, files: &observed.file_systems };
        let mut layout = Layout::default();
        let mut used: Vec<&Device> = Vec::new();
        let mut earlier: Vec<&Mount> = Vec::new();
        for mount in &observed.file_systems.mounts {
            if is_passing(mount, &earlier) {
                continue;
            }
            match all.entry(mount, &earlier) {
                Ok(entry) => drop(layout.mounts.insert(mount.point.clone(), entry)),
                Err(why) => layout.remarks.push(format!("{}: {why}", mount.point.display())),
            }
            used.extend(all.devices_of(mount));
            layout.has_zfs |= mount.kind == "zfs";
            earlier.push(mount);
        }
        for swap in &observed.file_systems.swaps {
            let device = all.by_node(&swap.path);
            match (swap.kind.as_str(), device) {
                // In memory.
                ("partition", _) if swap.path.to_string_lossy().contains("/zram") => {}
                ("partition", Some(device)) => {
                    layout.swaps.push(all.swap(device));
                    used.push(device);
                }
                _ => layout.swaps.push(Swap { device: swap.path.to_string_lossy().into_owned(), random: false }),
            }
        }
        for device in all.with_all_below(used) {
            layout.has_raid |= device.kind == Kind::Raid && device.name.starts_with("md");
            if let Some((name, below)) = all.luks(device) {
                layout.luks.insert(name, below);
            }
        }
        layout
    }

    pub fn write(&self, text: &mut String) -> fmt::Result {
        for remark in &self.remarks {
            writeln!(text, "  # Not here: {}", one_line(remark))?;
        }
        if !self.remarks.is_empty() {
            writeln!(text)?;
        }
        for (point, Entry { device, kind, options }) in &self.mounts {
            writeln!(text, "  fileSystems.{} =", string(&point.to_string_lossy()))?;
            writeln!(text, "    {{ device = {};\n      fsType = {};", string(device), string(kind))?;
            if !options.is_empty() {
                writeln!(text, "      options = {};", strings(options.iter().map(String::as_str)))?;
            }
            writeln!(text, "    }};\n")?;
        }
        if self.has_raid {
            writeln!(text, "  boot.swraid.enable = true;\n")?;
        }
        for (name, device) in &self.luks {
            writeln!(text, "  boot.initrd.luks.devices.{}.device = {};\n", string(name), string(device))?;
        }
        if self.swaps.is_empty() {
            return writeln!(text, "  swapDevices = [ ];\n");
        }
        writeln!(text, "  swapDevices =\n    [")?;
        for Swap { device, random } in &self.swaps {
            let more = if *random { " randomEncryption.enable = true;" } else { "" };
            writeln!(text, "      {{ device = {};{more} }}", string(device))?;
        }
        writeln!(text, "    ];\n")
    }
}

/// Whether a mount is none of the system's own file systems.
fn is_passing(mount: &Mount, earlier: &[&Mount]) -> bool {
    OWN.iter().any(|own| mount.point.starts_with(own))
        || PASSING.contains(&mount.kind.as_str()) && mount.kind != "overlay"
        // `boot.tmp.useTmpfs` makes it.
        || mount.kind == "tmpfs" && mount.point == Path::new("/tmp")
        // The store, again, so that nobody writes to it.
        || mount.point == Path::new("/nix/store")
            && earlier.iter().any(|other| other.device == mount.device && is_within(other, mount))
}

/// Whether a mount shows, at its place in another one's tree, what that has there anyway.
fn is_within(outer: &Mount, inner: &Mount) -> bool {
    bind_source(outer, inner).is_some_and(|path| path == inner.point)
}

/// Where a mount's folder is in another mount of the same file system.
fn bind_source(outer: &Mount, inner: &Mount) -> Option<PathBuf> {
    let inside = inner.root.strip_prefix(&outer.root).ok()?;
    let path = outer.point.join(inside);
    // `join` with nothing leaves a slash at the end.
    Some(path.components().collect())
}

/// All block devices, and what is known of their use.
#[derive(Clone, Copy)]
struct All<'o> {
    devices: &'o [Device],
    files: &'o FileSystems,
}

impl<'o> All<'o> {
    fn entry(self, mount: &Mount, earlier: &[&Mount]) -> Result<Entry, String> {
        let kind = mount.kind.clone();
        if kind == "overlay" {
            return Err("an overlay is put together by whoever mounts it, such as a live system".into());
        }
        if kind.starts_with("fuse") {
            return Err("a file system in user space, of which the kernel knows no options".into());
        }
        let mut options = kept(mount);
        let whole = match kind.as_str() {
            "btrfs" => subvolume(mount).is_none_or(|name| mount.root == Path::new("/").join(name)),
            "zfs" => mount.root == Path::new("/"),
            _ => true,
        };
        // Another part of what is mounted already. Subvolumes are mounted each by itself.
        let same = earlier.iter().rev().filter(|other| other.device == mount.device);
        if kind != "btrfs" || !whole {
            if let Some(source) = same.filter_map(|other| bind_source(other, mount)).next() {
                return Ok(Entry {
                    device: source.to_string_lossy().into_owned(),
                    kind: "none".into(),
                    options: vec!["bind".into()],
                });
            }
            if !whole || kind != "zfs" && mount.root != Path::new("/") && self.by_mount(mount).is_some() {
                return Err(format!("{} of a file system that is mounted nowhere as a whole", mount.root.display()));
            }
        }
        if kind == "btrfs" {
            options.extend(subvolume(mount).filter(|name| !name.is_empty()).map(|name| format!("subvol={name}")));
        }
        let source = mount.source.to_string_lossy().into_owned();
        let device = match self.by_mount(mount) {
            Some(device) if device.kind == Kind::Loop && self.files.loops.contains_key(&device.name) => {
                options.push("loop".into());
                self.files.loops.get(&device.name).map(|file| file.to_string_lossy().into_owned()).unwrap_or(source)
            }
            Some(device) if kind == "bcachefs" => {
                let uuid = device.contents.signature.as_ref().and_then(|signature| signature.uuid.clone());
                uuid.map_or(source, |uuid| format!("UUID={uuid}"))
            }
            Some(device) => node(device),
            None if kind == "tmpfs" => "tmpfs".into(),
            None => source,
        };
        Ok(Entry { device, kind, options })
    }

    fn by_mount(self, mount: &Mount) -> Option<&'o Device> {
        // bcachefs names all its devices.
        let source = mount.source.to_str().and_then(|source| source.split(':').next()).map(Path::new);
        let by_number = self.devices.iter().find(|device| device.number == mount.device);
        by_number.or_else(|| self.by_node(source?))
    }

    /// The device of a node: `/dev/sda1`, `/dev/mapper/root`.
    fn by_node(self, node: &Path) -> Option<&'o Device> {
        let name = node.strip_prefix("/dev").ok()?.to_str()?;
        let mapped = name.strip_prefix("mapper/");
        let named = |device: &&Device| match mapped {
            Some(mapped) => device.identity.name.as_deref() == Some(mapped),
            None => device.name == name,
        };
        self.devices.iter().find(named)
    }

    /// All devices that a mounted file system lies on.
    fn devices_of(self, mount: &Mount) -> Vec<&'o Device> {
        let signature = |device: &'o Device| device.contents.signature.as_ref();
        if mount.kind == "zfs" {
            let pool = mount.source.iter().next().and_then(|pool| pool.to_str());
            let is_member = |device: &&'o Device| {
                signature(device).is_some_and(|its| its.kind == "zfs_member" && its.label.as_deref() == pool)
            };
            return self.devices.iter().filter(is_member).collect();
        }
        let Some(one) = self.by_mount(mount) else { return Vec::new() };
        let id = signature(one).and_then(|its| its.uuid.as_ref().map(|uuid| (its.kind.as_str(), uuid)));
        let same = |device: &&'o Device| {
            device.name == one.name
                || id.is_some_and(|(kind, uuid)| {
                    signature(device).is_some_and(|its| its.kind == kind && its.uuid.as_ref() == Some(uuid))
                }) && matches!(mount.kind.as_str(), "btrfs" | "bcachefs")
        };
        self.devices.iter().filter(same).collect()
    }

    fn with_all_below(self, mut devices: Vec<&'o Device>) -> Vec<&'o Device> {
        let mut met: BTreeSet<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        let mut at = 0;
        while let Some(device) = devices.get(at).copied() {
            at += 1;
            devices.extend(Stack(self.devices).below(device).filter(|below| met.insert(&below.name)));
        }
        devices
    }

    /// What unlocks a device that is LUKS on one other.
    fn luks(self, device: &Device) -> Option<(String, String)> {
        if !self.files.mapped.get(&device.name)?.starts_with("CRYPT-LUKS") {
            return None;
        }
        let mut below = Stack(self.devices).below(device);
        let (one, None) = (below.next()?, below.next()) else { return None };
        Some((device.identity.name.clone()?, node(one)))
    }

    fn swap(self, device: &'o Device) -> Swap {
        let plain = self.files.mapped.get(&device.name).is_some_and(|name| name.starts_with("CRYPT-PLAIN"));
        let below = Stack(self.devices).below(device).next().filter(|_| plain);
        match below {
            // What is in it changes with the key; the partition stays.
            Some(below) => Swap { device: steady(below), random: true },
            None => Swap { device: node(device), random: false },
        }
    }
}

/// By what a device is found again: what is in it, its name in the mapper, or the kernel's name.
fn node(device: &Device) -> String {
    let signature = device.contents.signature.as_ref();
    let plain = |text: &&String| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if let Some(uuid) = signature.and_then(|its| its.uuid.as_ref()).filter(plain) {
        return format!("/dev/disk/by-uuid/{uuid}");
    }
    if let Some(name) = device.identity.name.as_ref().filter(|_| device.name.starts_with("dm-")) {
        return format!("/dev/mapper/{name}");
    }
    match signature.and_then(|its| its.label.as_ref()).filter(plain) {
        Some(label) => format!("/dev/disk/by-label/{label}"),
        None => format!("/dev/{}", device.name),
    }
}

/// By what a partition is found again, whatever is in it.
fn steady(device: &Device) -> String {
    let id = device.partition.as_ref().and_then(|partition| partition.id.as_ref());
    match (id, device.identity.by_id.first()) {
        (Some(id), _) => format!("/dev/disk/by-partuuid/{id}"),
        (None, Some(link)) => format!("/dev/disk/by-id/{link}"),
        (None, None) => format!("/dev/{}", device.name),
    }
}
