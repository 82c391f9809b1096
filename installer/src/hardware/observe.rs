//! Reading `/sys` and `/proc`: facts in, no decisions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cairn_machine::model::Architecture;

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
    let sys = root.join("sys");
    if !sys.join("devices").is_dir() {
        return Err(ObserveError::NoSys(sys));
    }
    // Device paths are compared with this one, so it must be what the links resolve to.
    let devices = fs::canonicalize(sys.join("devices"))
        .map_err(|source| ObserveError::Read { path: sys.join("devices"), source })?;
    let cpu = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let mut block = nodes(&sys.join("class/block"), &devices, |_| true)?;
    block.extend(nodes(&sys.join("class/mmc_host"), &devices, |_| true)?);
    Ok(Observed {
        architecture: match std::env::consts::ARCH {
            "x86_64" => Some(Architecture::X86_64),
            _ => None,
        },
        pci: pci(&sys.join("bus/pci/devices"))?,
        usb: usb(&sys.join("bus/usb/devices"))?,
        block,
        keyboards: nodes(&sys.join("class/input"), &devices, is_keyboard)?,
        virtual_machine: cpu_field(&cpu, "flags")
            .is_some_and(|f| f.split_ascii_whitespace().any(|f| f == "hypervisor")),
        cpu_vendor: cpu_field(&cpu, "vendor_id").map(str::to_string),
    })
}

fn pci(folder: &Path) -> Result<Vec<PciDevice>, ObserveError> {
    let device = |(name, path): (String, PathBuf)| {
        Some(PciDevice {
            address: name,
            class: hex(&path.join("class"))?,
            vendor: u16::try_from(hex(&path.join("vendor"))?).ok()?,
            device: u16::try_from(hex(&path.join("device"))?).ok()?,
            driver: driver(&path),
        })
    };
    Ok(list(folder)?.into_iter().filter_map(device).collect())
}

fn usb(folder: &Path) -> Result<Vec<UsbInterface>, ObserveError> {
    let interface = |(name, path): (String, PathBuf)| {
        Some(UsbInterface {
            name,
            class: u8::try_from(hex(&path.join("bInterfaceClass"))?).ok()?,
            protocol: u8::try_from(hex(&path.join("bInterfaceProtocol"))?).ok()?,
            driver: driver(&path),
        })
    };
    Ok(list(folder)?.into_iter().filter_map(interface).collect())
}

/// The devices of a class that pass, with the drivers along their paths. Devices without any driver (loop devices,
/// device mapper, the speaker) are left out.
fn nodes(folder: &Path, devices: &Path, wanted: fn(&Path) -> bool) -> Result<Vec<Node>, ObserveError> {
    let node = |(name, path): (String, PathBuf)| {
        let real = fs::canonicalize(path).ok().filter(|p| wanted(p))?;
        let drivers: Vec<Driver> =
            real.ancestors().take_while(|p| p.starts_with(devices) && *p != devices).filter_map(driver).collect();
        (!drivers.is_empty()).then_some(Node { name, drivers })
    };
    Ok(list(folder)?.into_iter().filter_map(node).collect())
}

/// What a folder holds, sorted; a folder that is not there holds nothing.
fn list(folder: &Path) -> Result<Vec<(String, PathBuf)>, ObserveError> {
    let error = |source| ObserveError::Read { path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(error(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(error)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    found.sort();
    Ok(found)
}

fn driver(device: &Path) -> Option<Driver> {
    let bound = device.join("driver");
    let own = last_part(&fs::read_link(&bound).ok()?)?;
    Some(match fs::read_link(bound.join("module")).ok().and_then(|m| last_part(&m)) {
        Some(module) => Driver::Module(module),
        None => Driver::BuiltIn(own),
    })
}

fn last_part(path: &Path) -> Option<String> {
    path.file_name().map(|n| n.to_string_lossy().into_owned())
}

/// udev's rule: all keys from Escape to S. Power buttons and remote controls have fewer.
fn is_keyboard(input: &Path) -> bool {
    const LETTERS: u64 = 0xffff_fffe;
    fs::read_to_string(input.join("capabilities/key"))
        .ok()
        .and_then(|words| u64::from_str_radix(words.split_ascii_whitespace().next_back()?, 16).ok())
        .is_some_and(|low| low & LETTERS == LETTERS)
}

/// A file with one number in hex, with or without `0x`.
fn hex(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
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
