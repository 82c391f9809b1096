//! Reading `/sys` and `/proc`: facts in, no decisions.

mod devices;
mod kernel;
mod machine;
mod mounts;
mod sysfs;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use cairn_machine::model::Architecture;
use cairn_root::Root;

use crate::disks::{self, Device, Table};

pub use devices::{Driver, Node, PciDevice, UsbInterface};
pub use kernel::{Kernel, NamedFirmware};
pub(crate) use machine::secure_boot;
pub use machine::{Console, Machine, Platform, Processor};
pub use mounts::{FileSystems, Swap};

/// What was seen. All lists are sorted by name.
#[derive(Debug, Default)]
pub struct Observed {
    /// The architecture that this program runs on, where Cairn knows it.
    pub architecture: Option<Architecture>,
    /// Devices on PCI.
    pub pci: Vec<PciDevice>,
    /// Interfaces of USB devices.
    pub usb: Vec<UsbInterface>,
    /// Whole disks with hardware behind them, and hosts of memory cards.
    pub block: Vec<Node>,
    /// Keyboards.
    pub keyboards: Vec<Node>,
    /// The drivers of pin controllers: the interrupts of what sits on I2C and SPI come through them.
    pub pin_controllers: Vec<Driver>,
    /// Modules that are loaded.
    pub loaded: BTreeSet<String>,
    /// Network interfaces with hardware behind them.
    pub interfaces: Vec<String>,
    /// The processor, the memory, the firmware.
    pub machine: Machine,
    /// The kernel whose modules are there.
    pub kernel: Kernel,
    /// Block devices, with what is in them.
    pub devices: Vec<Device>,
    /// The partition tables of the disks that could be read, by the disks' names.
    pub tables: BTreeMap<String, Table>,
    /// What is mounted, and swap.
    pub file_systems: FileSystems,
    /// Disks that are there and cannot be seen or used: a sentence each.
    pub hidden: Vec<String>,
}

impl Observed {
    /// Graphics cards.
    pub fn graphics(&self) -> impl Iterator<Item = &PciDevice> {
        self.pci.iter().filter(|device| device.class >> 16 == 0x03)
    }
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

/// Looks at a computer. Reads only; needs no privilege.
///
/// `root` is one of three: `/`, this computer; a folder with a `sys` and `proc` of its own, the record of one; or a place where a
/// system is mounted, whose hardware is then this computer's, whose kernel is the one in there, and whose file systems are those
/// mounted there.
///
/// # Errors
/// See [`ObserveError`]. A device that vanishes while it is looked at is no error.
pub fn observe(root: &Path) -> Result<Observed, ObserveError> {
    let system = open(root)?;
    if mounts::holds_a_system(&system) {
        return look(&open(Path::new("/"))?, &system);
    }
    look(&system, &system)
}

/// `computer` has the `sys` and `proc`, `system` the kernel and the host's number.
fn look(computer: &Root, system: &Root) -> Result<Observed, ObserveError> {
    let read = |source| ObserveError::Read { path: computer.shown("sys/devices"), source };
    // Device paths are compared with this one, so it must be what the links resolve to.
    let Some(devices) = computer.inside("sys/devices").map_err(read)? else {
        return Err(ObserveError::NoSys(computer.shown("sys")));
    };
    let mut observed = Observed {
        architecture: match std::env::consts::ARCH {
            "x86_64" => Some(Architecture::X86_64),
            _ => None,
        },
        pci: devices::pci(computer)?,
        usb: devices::usb(computer)?,
        block: devices::disks(computer, devices.path())?,
        keyboards: devices::keyboards(computer, devices.path())?,
        pin_controllers: devices::pin_controllers(computer)?,
        loaded: devices::loaded(computer)?,
        interfaces: devices::interfaces(computer)?,
        machine: machine::read(computer),
        kernel: Kernel::read(system),
        devices: devices_of(computer)?,
        tables: BTreeMap::new(),
        file_systems: mounts::read(computer, system),
        hidden: Vec::new(),
    };
    observed.tables = disks::tables(computer, &observed.devices);
    observed.kernel.read_firmware(system, &observed.pci, [&observed.block, &observed.keyboards]);
    observed.hidden = disks::hidden_at(computer, &observed.devices, &mut observed.kernel, system);
    Ok(observed)
}

/// A record may have no block devices at all.
fn devices_of(computer: &Root) -> Result<Vec<Device>, ObserveError> {
    match disks::look_at(computer) {
        Err(ObserveError::NoSys(_)) => Ok(Vec::new()),
        other => other,
    }
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
