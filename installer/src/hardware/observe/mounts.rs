//! What is mounted, what is swap, and by which number ZFS knows this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cairn_root::{Mount, Root};

use super::sysfs::text;

/// Thousands of mounts.
const MOST: u64 = 16 << 20;

/// The file systems of a system, as it sees them itself: its root is `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystems {
    /// What is mounted, in the order in which it was.
    pub mounts: Vec<Mount>,
    /// Swap.
    pub swaps: Vec<Swap>,
    /// The files behind loop devices, by the device's name.
    pub loops: BTreeMap<String, PathBuf>,
    /// What the device mapper calls its devices (`CRYPT-LUKS2-…`), by the device's name.
    pub mapped: BTreeMap<String, String>,
    /// The number of `/etc/hostid`, in hex.
    pub host_id: Option<String>,
}

/// A line of `/proc/swaps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The node of a device, or a file.
    pub path: PathBuf,
    /// `partition`, `file`.
    pub kind: String,
}

/// Whether a folder is where a system is mounted, and not the record of a computer.
pub fn holds_a_system(root: &Root) -> bool {
    if root.is_host() {
        return false;
    }
    let mounts = Mount::all().unwrap_or_default();
    let at = |path: &Path| mounts.iter().any(|mount| mount.point == path);
    // Somebody who works in it has mounted this computer's /sys there.
    let own = root.inside("sys/devices").ok().flatten().is_some() && !at(&root.shown("sys"));
    at(root.path()) && !own
}

/// Reads them: what is mounted is `computer`'s to say, the rest `system`'s.
pub fn read(computer: &Root, system: &Root) -> FileSystems {
    let file = if computer.is_host() { "proc/thread-self/mountinfo" } else { "proc/self/mountinfo" };
    let bytes = computer.read(file, MOST).ok().flatten().unwrap_or_default();
    let mut mounts: Vec<Mount> = bytes.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect();
    let swaps = computer.read(Path::new("proc/swaps"), MOST).ok().flatten().unwrap_or_default();
    let mut swaps: Vec<Swap> = String::from_utf8_lossy(&swaps).lines().skip(1).filter_map(swap).collect();
    if system.path() != computer.path() {
        mounts = mounts.into_iter().filter_map(|mount| below(mount, system.path())).collect();
        swaps = swaps.into_iter().filter_map(|swap| swap_below(swap, system.path())).collect();
    }
    let names = computer.names("sys/class/block").ok().flatten().unwrap_or_default();
    let of = |attribute: &'static str| {
        let names = names.iter().filter_map(|name| name.to_str());
        names.filter_map(move |name| {
            Some((name.to_string(), text(computer, format!("sys/class/block/{name}/{attribute}"))?))
        })
    };
    let loops = of("loop/backing_file").map(|(name, file)| (name, file.into())).collect();
    let mapped = of("dm/uuid").collect();
    let host_id = system.read("etc/hostid", 4).ok().flatten().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let host_id = host_id.map(u32::from_le_bytes).filter(|id| *id != 0).or_else(|| {
        // The running module's own, where it was told on the kernel's command line.
        text(computer, "sys/module/spl/parameters/spl_hostid")?.parse().ok().filter(|id| *id != 0)
    });
    FileSystems { mounts, swaps, loops, mapped, host_id: host_id.map(|id| format!("{id:08x}")) }
}

fn swap(line: &str) -> Option<Swap> {
    let mut words = line.split_ascii_whitespace();
    // The kernel writes blanks in names as `\040`.
    let path = words.next()?.replace("\\040", " ");
    Some(Swap { path: path.into(), kind: words.next()?.to_string() })
}

/// The mount as the system below `top` will see it.
fn below(mount: Mount, top: &Path) -> Option<Mount> {
    let point = Path::new("/").join(mount.point.strip_prefix(top).ok()?);
    Some(Mount { point, ..mount })
}

/// A file below `top` is the system's; a device is anybody's.
fn swap_below(swap: Swap, top: &Path) -> Option<Swap> {
    if swap.kind != "file" {
        return Some(swap);
    }
    Some(Swap { path: Path::new("/").join(swap.path.strip_prefix(top).ok()?), ..swap })
}
