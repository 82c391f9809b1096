//! A disk of a machine: its image, what it hangs on, and what it says of itself.

use std::path::{Path, PathBuf};

use super::{Controller, VIRTIO};

/// A disk; what is written to it is thrown away, unless it is to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub(super) image: PathBuf,
    /// QEMU's devices, the disk itself last.
    pub(super) devices: Vec<String>,
    pub(super) persist: bool,
    /// The firmware is to try it before all others.
    pub(super) first: bool,
}

impl Disk {
    /// A paravirtual one.
    pub fn new(image: &Path) -> Disk {
        Disk { image: image.into(), devices: vec![], persist: false, first: false }.on(VIRTIO)
    }

    /// On another controller.
    #[must_use]
    pub fn on(mut self, controller: Controller) -> Disk {
        self.devices = controller.iter().map(ToString::to_string).collect();
        self
    }

    /// Its serial number.
    #[must_use]
    pub fn serial(mut self, serial: &str) -> Disk {
        if let Some(last) = self.devices.last_mut() {
            let others = last.split(',').filter(|property| !property.starts_with("serial="));
            *last = others.collect::<Vec<_>>().join(",") + ",serial=" + serial;
        }
        self
    }

    /// In a slot of its own, which it keeps when others go. For what is a device of the PCI bus by itself: virtio, NVMe.
    #[must_use]
    pub fn slot(mut self, slot: u8) -> Disk {
        if let Some(last) = self.devices.last_mut() {
            *last += &format!(",addr={slot:#x}");
        }
        self
    }

    /// Sectors of so many bytes, inside and towards the machine.
    #[must_use]
    pub fn sectors(mut self, bytes: u32) -> Disk {
        if let Some(last) = self.devices.last_mut() {
            *last += &format!(",logical_block_size={bytes},physical_block_size={bytes}");
        }
        self
    }

    /// The firmware tries it before all others.
    #[must_use]
    pub fn first(mut self) -> Disk {
        self.first = true;
        self
    }

    /// What is written stays.
    #[must_use]
    pub fn persist(mut self) -> Disk {
        self.persist = true;
        self
    }

    /// QEMU's arguments for it; `place` says in which order the firmware is to try it, if it is told.
    pub(super) fn arguments(&self, name: &str, place: Option<usize>) -> Vec<String> {
        let snapshot = if self.persist { "off" } else { "on" };
        let reads = self.devices.last().is_some_and(|last| last.starts_with("ide-cd"));
        let how = if reads { "readonly=on,media=cdrom".to_string() } else { format!("snapshot={snapshot}") };
        let drive = format!("if=none,id={name},format=raw,{how},file={}", self.image.display());
        let mut arguments = vec!["-drive".to_string(), drive];
        arguments.extend(self.device(name, place));
        arguments
    }

    /// The same without what is behind it.
    pub(super) fn device(&self, name: &str, place: Option<usize>) -> Vec<String> {
        // A card in its slot has no place in that order.
        let place = place.filter(|_| !self.devices.last().is_some_and(|last| last.starts_with("sd-card")));
        let place = place.map(|place| format!(",bootindex={place}")).unwrap_or_default();
        let last = self.devices.len().saturating_sub(1);
        let devices = self.devices.iter().enumerate();
        let devices = devices.map(|(n, device)| match n == last {
            true => format!("{device},drive={name}{place}"),
            false => device.clone(),
        });
        devices.flat_map(|device| ["-device".into(), device]).collect()
    }
}
