//! Reading `/sys` and `/proc`: facts in, no decisions.

use std::io;
use std::path::{Path, PathBuf};

use cairn_machine::model::Architecture;
use cairn_root::Root;

/// A file of sysfs has a page at most.
const MOST_ATTRIBUTE: u64 = 64 << 10;
/// Thousands of processors.
const MOST_PROCESSORS: u64 = 64 << 20;

/// What was seen. All lists are sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The architecture that this program runs on, where Cairn knows it.
    pub architecture: Option<Architecture>,
    /// Devices on PCI.
    pub pci: Vec<PciDevice>,
    /// Interfaces of USB devices.
    pub usb: Vec<UsbInterface>,
    /// Block devices with hardware behind them.
    pub block: Vec<Node>,
    /// Keyboards.
    pub keyboards: Vec<Node>,
    /// The processor says that it is a virtual one.
    pub virtual_machine: bool,
    /// The processor's maker, such as `GenuineIntel`.
    pub cpu_vendor: Option<String>,
}

/// The driver that is bound to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// It is in this module.
    Module(String),
    /// It is built into the running kernel; this is the driver's own name, which need not be the module's.
    BuiltIn(String),
}

/// A device on PCI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciDevice {
    /// Domain, bus, device, function: `0000:00:1f.2`.
    pub address: String,
    /// Class, subclass, programming interface: 24 bits.
    pub class: u32,
    /// The maker's number.
    pub vendor: u16,
    /// The device's number.
    pub device: u16,
    /// The driver, if one is bound.
    pub driver: Option<Driver>,
}

/// An interface of a USB device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbInterface {
    /// Bus, ports, configuration, interface: `1-2:1.0`.
    pub name: String,
    /// `bInterfaceClass`.
    pub class: u8,
    /// `bInterfaceProtocol`.
    pub protocol: u8,
    /// The driver, if one is bound.
    pub driver: Option<Driver>,
}

/// A device that the initrd must reach, with all drivers on the way to it, nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The kernel's name: `sda`, `input3`.
    pub name: String,
    /// The drivers.
    pub drivers: Vec<Driver>,
}

/// Why nothing could be seen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// There is no sysfs below the folder.
    #[error("there is no sysfs at {}; is /sys mounted?", .0.display())]
    NoSys(PathBuf),
    /// A folder could not be read.
    #[error("reading {}", .path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Looks at `sys` and `proc` below `root`; `/` is this computer. Reads only; needs no privilege.
///
/// # Errors
/// See [`ObserveError`]. A device that vanishes while it is looked at is no error.
pub fn observe(root: &Path) -> Result<Observed, ObserveError> {
    let root = &open(root)?;
    let read = |source| ObserveError::Read { path: root.shown("sys/devices"), source };
    // Device paths are compared with this one, so it must be what the links resolve to.
    let Some(devices) = root.inside("sys/devices").map_err(read)? else {
        return Err(ObserveError::NoSys(root.shown("sys")));
    };
    let cpu = text(root, "proc/cpuinfo", MOST_PROCESSORS).unwrap_or_default();
    let mut block = nodes(root, "sys/class/block", devices.path(), |_, _| true)?;
    block.extend(nodes(root, "sys/class/mmc_host", devices.path(), |_, _| true)?);
    Ok(Observed {
        architecture: match std::env::consts::ARCH {
            "x86_64" => Some(Architecture::X86_64),
            _ => None,
        },
        pci: pci(root, "sys/bus/pci/devices")?,
        usb: usb(root, "sys/bus/usb/devices")?,
        block,
        keyboards: nodes(root, "sys/class/input", devices.path(), is_keyboard)?,
        virtual_machine: cpu_field(&cpu, "flags")
            .is_some_and(|f| f.split_ascii_whitespace().any(|f| f == "hypervisor")),
        cpu_vendor: cpu_field(&cpu, "vendor_id").map(str::to_string),
    })
}

/// Opens the computer that a folder shows.
pub(crate) fn open(root: &Path) -> Result<Root, ObserveError> {
    match Root::open(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ObserveError::NoSys([root, Path::new("sys")].iter().collect()))
        }
        other => other.map_err(|source| ObserveError::Read { path: root.to_path_buf(), source }),
    }
}

fn pci(root: &Root, folder: &str) -> Result<Vec<PciDevice>, ObserveError> {
    let device = |(name, path): (String, PathBuf)| {
        Some(PciDevice {
            address: name,
            class: hex(root, &path.join("class"))?,
            vendor: u16::try_from(hex(root, &path.join("vendor"))?).ok()?,
            device: u16::try_from(hex(root, &path.join("device"))?).ok()?,
            driver: driver(root, &path),
        })
    };
    Ok(list(root, folder)?.into_iter().filter_map(device).collect())
}

fn usb(root: &Root, folder: &str) -> Result<Vec<UsbInterface>, ObserveError> {
    let interface = |(name, path): (String, PathBuf)| {
        Some(UsbInterface {
            name,
            class: u8::try_from(hex(root, &path.join("bInterfaceClass"))?).ok()?,
            protocol: u8::try_from(hex(root, &path.join("bInterfaceProtocol"))?).ok()?,
            driver: driver(root, &path),
        })
    };
    Ok(list(root, folder)?.into_iter().filter_map(interface).collect())
}

/// The devices of a class that pass, with the drivers along their paths. Devices without any driver (loop devices,
/// device mapper, the speaker) are left out.
fn nodes(
    root: &Root,
    folder: &str,
    devices: &Path,
    wanted: fn(&Root, &Path) -> bool,
) -> Result<Vec<Node>, ObserveError> {
    let node = |(name, path): (String, PathBuf)| {
        let real = root.inside(&path).ok().flatten().filter(|_| wanted(root, &path))?;
        let on_the_way = real.path().ancestors().take_while(|p| p.starts_with(devices) && *p != devices);
        let drivers: Vec<Driver> =
            on_the_way.filter_map(|path| driver(root, path.strip_prefix(root.path()).ok()?)).collect();
        (!drivers.is_empty()).then_some(Node { name, drivers })
    };
    Ok(list(root, folder)?.into_iter().filter_map(node).collect())
}

/// What a folder holds, sorted; a folder that is not there holds nothing.
fn list(root: &Root, folder: &str) -> Result<Vec<(String, PathBuf)>, ObserveError> {
    let names = root.names(folder).map_err(|source| ObserveError::Read { path: root.shown(folder), source })?;
    let path = |name: std::ffi::OsString| (name.to_string_lossy().into_owned(), Path::new(folder).join(name));
    Ok(names.unwrap_or_default().into_iter().map(path).collect())
}

fn driver(root: &Root, device: &Path) -> Option<Driver> {
    let bound = device.join("driver");
    let own = last_part(&root.link(&bound).ok()??)?;
    Some(match root.link(bound.join("module")).ok().flatten().and_then(|m| last_part(&m)) {
        Some(module) => Driver::Module(module),
        None => Driver::BuiltIn(own),
    })
}

fn last_part(path: &Path) -> Option<String> {
    path.file_name().map(|n| n.to_string_lossy().into_owned())
}

/// A file's text; what cannot be read says nothing.
fn text(root: &Root, path: impl AsRef<Path>, most: u64) -> Option<String> {
    root.read_text(path, most).ok().flatten()
}

/// udev's rule: all keys from Escape to S. Power buttons and remote controls have fewer.
fn is_keyboard(root: &Root, input: &Path) -> bool {
    const LETTERS: u64 = 0xffff_fffe;
    text(root, input.join("capabilities/key"), MOST_ATTRIBUTE)
        .and_then(|words| u64::from_str_radix(words.split_ascii_whitespace().next_back()?, 16).ok())
        .is_some_and(|low| low & LETTERS == LETTERS)
}

/// A file with one number in hex, with or without `0x`.
fn hex(root: &Root, path: &Path) -> Option<u32> {
    let text = text(root, path, MOST_ATTRIBUTE)?;
    let text = text.trim();
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// The first processor's value of a field in /proc/cpuinfo.
fn cpu_field<'a>(cpuinfo: &'a str, field: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == field).then(|| value.trim())
    })
}
