//! Devices and their drivers: on PCI, on USB, and on the way from a disk or a keyboard to the processor.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cairn_root::Root;

use super::ObserveError;
use super::sysfs::{driver, hex, list, text};

/// The driver that is bound to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// It is in this module.
    Module(String),
    /// It is built into the running kernel; this is the driver's own name, which need not be the module's.
    BuiltIn(String),
}

impl Driver {
    /// The module's name, or the driver's own.
    pub fn name(&self) -> &str {
        match self {
            Driver::Module(name) | Driver::BuiltIn(name) => name,
        }
    }
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
    /// What it calls itself when it looks for a driver.
    pub alias: Option<String>,
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
    /// What it calls itself, where it does.
    pub title: Option<String>,
    /// The drivers.
    pub drivers: Vec<Driver>,
    /// The device on PCI that is nearest to it.
    pub behind: Option<String>,
    /// It, or its medium, can be taken out.
    pub removable: bool,
    /// It sits on I2C or SPI, or its controller is part of the processor: its interrupt comes through a pin controller.
    pub by_pin: bool,
}

pub fn pci(root: &Root) -> Result<Vec<PciDevice>, ObserveError> {
    let device = |(name, path): (String, PathBuf)| {
        Some(PciDevice {
            address: name,
            class: hex(root, &path.join("class"))?,
            vendor: u16::try_from(hex(root, &path.join("vendor"))?).ok()?,
            device: u16::try_from(hex(root, &path.join("device"))?).ok()?,
            alias: text(root, path.join("modalias")),
            driver: driver(root, &path),
        })
    };
    Ok(list(root, "sys/bus/pci/devices")?.into_iter().filter_map(device).collect())
}

pub fn usb(root: &Root) -> Result<Vec<UsbInterface>, ObserveError> {
    let interface = |(name, path): (String, PathBuf)| {
        Some(UsbInterface {
            name,
            class: u8::try_from(hex(root, &path.join("bInterfaceClass"))?).ok()?,
            protocol: u8::try_from(hex(root, &path.join("bInterfaceProtocol"))?).ok()?,
            driver: driver(root, &path),
        })
    };
    Ok(list(root, "sys/bus/usb/devices")?.into_iter().filter_map(interface).collect())
}

/// Whole disks, and hosts of memory cards: a card may not be in yet.
pub fn disks(root: &Root, devices: &Path) -> Result<Vec<Node>, ObserveError> {
    let whole = |root: &Root, path: &Path| root.metadata(path.join("partition")).ok().flatten().is_none();
    let mut all = nodes(root, "sys/class/block", devices, whole)?;
    all.extend(nodes(root, "sys/class/mmc_host", devices, |_, _| true)?);
    Ok(all)
}

pub fn keyboards(root: &Root, devices: &Path) -> Result<Vec<Node>, ObserveError> {
    nodes(root, "sys/class/input", devices, is_keyboard)
}

/// Drivers of pin controllers, by their names: the kernel has no class for them.
pub fn pin_controllers(root: &Root) -> Result<Vec<Driver>, ObserveError> {
    let is_one = |driver: &Driver| driver.name().contains("pinctrl");
    let bound = list(root, "sys/bus/platform/devices")?.into_iter().filter_map(|(_, path)| driver(root, &path));
    let mut found: Vec<Driver> = bound.filter(is_one).collect();
    found.sort_by(|a, b| a.name().cmp(b.name()));
    found.dedup();
    Ok(found)
}

/// Loaded modules; what is built in has a folder there too, if it has parameters.
pub fn loaded(root: &Root) -> Result<BTreeSet<String>, ObserveError> {
    let is_module = |path: &Path| root.metadata(path.join("initstate")).ok().flatten().is_some();
    let all = list(root, "sys/module")?.into_iter().filter(|(_, path)| is_module(path));
    Ok(all.map(|(name, _)| name).collect())
}

/// Network interfaces with a device.
pub fn interfaces(root: &Root) -> Result<Vec<String>, ObserveError> {
    let real = |path: &Path| root.metadata(path.join("device")).ok().flatten().is_some();
    let all = list(root, "sys/class/net")?.into_iter().filter(|(_, path)| real(path));
    Ok(all.map(|(name, _)| name).collect())
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
        let up = real.path().ancestors().take_while(|p| p.starts_with(devices) && *p != devices);
        let up: Vec<&Path> = up.filter_map(|path| path.strip_prefix(root.path()).ok()).collect();
        let mut drivers: Vec<Driver> = up.iter().filter_map(|path| driver(root, path)).collect();
        for supplier in up.iter().flat_map(|path| suppliers(root, path)) {
            if !drivers.contains(&supplier) {
                drivers.push(supplier);
            }
        }
        let parts = || up.iter().filter_map(|path| path.file_name()?.to_str());
        let on = |bus: &str, part: &str| {
            part.strip_prefix(bus).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let node = Node {
            title: text(root, path.join("name")),
            behind: parts().find(|part| is_pci_address(part)).map(str::to_string),
            removable: text(root, path.join("removable")).as_deref() == Some("1"),
            by_pin: parts().any(|part| on("i2c-", part) || on("spi", part))
                || parts().any(|part| on("mmc", part)) && !parts().any(is_pci_address),
            name,
            drivers,
        };
        (!node.drivers.is_empty()).then_some(node)
    };
    Ok(list(root, folder)?.into_iter().filter_map(node).collect())
}

/// The drivers of what a device waits for, as the kernel knows it (`supplier:…`): regulators, clocks, bridges.
fn suppliers(root: &Root, device: &Path) -> Vec<Driver> {
    let names = root.names(device).ok().flatten().unwrap_or_default();
    let links = names.into_iter().filter(|name| name.to_string_lossy().starts_with("supplier:"));
    links.filter_map(|link| driver(root, &device.join(link).join("supplier"))).collect()
}

/// `0000:00:1f.2`, and `10000:e1:00.0` behind a VMD.
fn is_pci_address(part: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let Some((slot, function)) = part.rsplit_once('.') else { return false };
    let parts: Vec<&str> = slot.split(':').collect();
    let [domain, bus, device] = parts[..] else { return false };
    domain.len() >= 4
        && bus.len() == 2
        && device.len() == 2
        && function.len() == 1
        && [domain, bus, device, function].into_iter().all(hex)
}

/// udev's rule: all keys from Escape to S. Power buttons and remote controls have fewer.
fn is_keyboard(root: &Root, input: &Path) -> bool {
    const LETTERS: u64 = 0xffff_fffe;
    text(root, input.join("capabilities/key"))
        .and_then(|words| u64::from_str_radix(words.split_ascii_whitespace().next_back()?, 16).ok())
        .is_some_and(|low| low & LETTERS == LETTERS)
}
