//! What lies upon what.

use std::collections::BTreeSet;

use super::Device;

/// Devices, and the ways between them.
#[derive(Debug, Clone, Copy)]
pub struct Stack<'d>(pub &'d [Device]);

impl<'d> Stack<'d> {
    /// A device by its name.
    pub fn get(self, name: &str) -> Option<&'d Device> {
        self.0.iter().find(|device| device.name == name)
    }

    /// Those that lie upon nothing else.
    pub fn bottom(self) -> impl Iterator<Item = &'d Device> {
        self.0.iter().filter(move |device| self.below(device).next().is_none())
    }

    /// What lies directly upon a device: its partitions, and what is made of it.
    pub fn upon(self, device: &'d Device) -> impl Iterator<Item = &'d Device> {
        self.0.iter().filter(move |other| self.below(other).any(|below| below.name == device.name))
    }

    /// What a device directly lies upon.
    pub fn below(self, device: &'d Device) -> impl Iterator<Item = &'d Device> {
        self.0.iter().filter(|other| {
            device.partition.as_ref().is_some_and(|partition| partition.disk == other.name)
                || device.lies_on.contains(&other.name)
                || other.held_by.contains(&device.name)
        })
    }

    /// A device and all that lies upon it, upon that, and so on; each once.
    pub fn whole(self, device: &'d Device) -> Vec<&'d Device> {
        let mut all = vec![device];
        let mut met: BTreeSet<&str> = [device.name.as_str()].into();
        let mut at = 0;
        while let Some(one) = all.get(at).copied() {
            at += 1;
            all.extend(self.upon(one).filter(|next| met.insert(&next.name)));
        }
        all
    }
}
