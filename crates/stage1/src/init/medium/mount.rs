//! From a device or file with the payload to a root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cairn_process::Tool;
use nix::mount::{MsFlags, mount};

use super::super::NEW_ROOT;
use super::super::drivers;
use super::tag::{Extent, Tag};
use crate::assemble::{STATE, escaped};
use crate::error::{Context, Error};
use crate::root::Root;

/// What the kernel may have as modules. The last one is several times as fast as what the kernel has built in, and is not asked for
/// by anybody: processors are no devices that lead to a disk.
const MODULES: [&str; 5] = ["loop", "dm_verity", "squashfs", "overlay", "sha256_ssse3"];
/// The name of the mapped device.
const NAME: &str = "cairn-medium";
/// Where the payload is; `/run` is the same in the running system.
const PAYLOAD: &str = "/run/cairn/medium/payload";
/// The installer's cache, in the new root.
const CACHE: &str = "/var/cache/cairn";
const STORE: &str = "nix/store";
const NONE: Option<&str> = None;

/// A device that has the payload and gives out no byte of it that is not as it was written.
pub fn verity(source: &Path, extent: Extent, tag: &Tag) -> Result<PathBuf, Error> {
    drivers::load(MODULES.map(String::from))?;
    let known = fs::read_to_string("/proc/filesystems").context("reading /proc/filesystems")?;
    let is_known = |kind: &&&str| known.split_ascii_whitespace().any(|it| it == **kind);
    if let Some(kind) = ["squashfs", "overlay"].iter().find(|kind| !is_known(kind)) {
        return Err(Error::new(format!("the initrd has no module {kind} for this kernel")));
    }
    let output = Tool::new("losetup", "mount", "have the payload as a device")
        .args(["--read-only", "--find", "--show"])
        .arg(format!("--offset={}", extent.offset))
        .arg(format!("--sizelimit={}", extent.length))
        .arg(source)
        .output();
    let node = output.context("setting up a device for the payload")?;
    let node = String::from_utf8_lossy(&node).trim().to_string();
    dmsetup()
        .args(["create", NAME, "--readonly", "--noudevsync", "--noudevrules", "--table"])
        .arg(tag.table(&node))
        .run()
        .context("setting up the check of the payload")?;
    mapped()
}

/// There is no udev here that would make nodes, or be waited for.
fn dmsetup() -> Tool {
    Tool::new("dmsetup", "dmsetup", "check what is read of the payload").env("DM_DISABLE_UDEV", "1")
}

/// The kernel's own node of the mapped device. In the place of what dmsetup has made comes the link that udev would make.
fn mapped() -> Result<PathBuf, Error> {
    let devices = fs::read_dir("/sys/class/block").context("reading /sys/class/block")?.flatten();
    let ours = |path: &Path| fs::read_to_string(path.join("dm/name")).is_ok_and(|name| name.trim_end() == NAME);
    let name = devices.filter(|device| ours(&device.path())).map(|device| device.file_name()).next();
    let name = name.ok_or_else(|| Error::new("the device of the check has not come"))?;
    let link = Path::new("/dev/mapper").join(NAME);
    let _ = fs::remove_file(&link);
    let _ = symlink(Path::new("..").join(&name), &link);
    Ok(Path::new("/dev").join(name))
}

/// Whether something was read that is not as it was written.
pub fn is_corrupted() -> bool {
    let status = dmsetup().args(["status", NAME]).output().unwrap_or_default();
    String::from_utf8_lossy(&status).trim_end().ends_with(" C")
}

/// Mounts the payload.
pub fn payload(device: &Path) -> Result<(), Error> {
    fs::create_dir_all(PAYLOAD).with_context(|| format!("making {PAYLOAD}"))?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount(Some(device), PAYLOAD, Some("squashfs"), flags, NONE).context("mounting the medium's file system")
}

/// Mounts a root in memory with the payload's store in it.
pub fn root() -> Result<(), Error> {
    let at = Path::new(NEW_ROOT);
    mount(Some("cairn-root"), at, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
        .context("mounting the new root")?;
    let store = at.join(STORE);
    fs::create_dir_all(&store).with_context(|| format!("making {}", store.display()))?;
    let from = Path::new(PAYLOAD).join(STORE);
    mount(Some(&from), &store, NONE, MsFlags::MS_BIND, NONE).context("mounting the medium's store")
}

/// Mounts the installer's cache over the payload: what is on the medium is in it, what is added is in memory. Bases are made
/// there, with devices and all.
pub fn cache() -> Result<(), Error> {
    let doing = || format!("mounting {CACHE}");
    let root = Root::open(Path::new(NEW_ROOT)).with_context(doing)?;
    let folder = |path: &Path, mode| {
        let (parent, name) = root.made_parent(path)?;
        parent.make(name, mode)?;
        root.real(path)
    };
    let at = folder(Path::new(CACHE), 0o755).with_context(doing)?;
    let state = Path::new(STATE).join("medium");
    let [upper, work] = ["upper", "work"].map(|name| folder(&state.join(name), 0o755).with_context(doing));
    let options = format!("lowerdir={PAYLOAD},upperdir={},workdir={}", escaped(&upper?), escaped(&work?));
    mount(Some("overlay"), &at, Some("overlay"), MsFlags::empty(), Some(options.as_str())).with_context(doing)
}
