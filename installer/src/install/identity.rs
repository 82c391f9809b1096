//! By what a disk is found again, whatever the kernel calls it then.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::disks::{Device, Kind};

/// What a disk said of itself when it was planned with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskIdentity {
    /// The kernel's name of that day: for people only, unless the disk says nothing of itself.
    pub name: String,
    /// Its model.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its world wide name.
    pub wwn: Option<String>,
    /// Its names in `/dev/disk/by-id`.
    pub by_id: Vec<String>,
    /// How it is reached.
    pub transport: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// Bytes in its sectors.
    pub sector_size: u64,
}

impl DiskIdentity {
    /// That of a disk.
    pub fn of(device: &Device) -> DiskIdentity {
        let identity = device.identity.clone();
        DiskIdentity {
            name: device.name.clone(),
            model: identity.model,
            serial: identity.serial,
            wwn: identity.wwn,
            by_id: identity.by_id,
            transport: device.transport.map(str::to_string),
            bytes: device.bytes,
            sector_size: device.sector_size,
        }
    }

    /// That of a disk that is not here, of which only its size is known.
    pub fn elsewhere(bytes: u64, sector_size: u64) -> DiskIdentity {
        DiskIdentity {
            name: "a disk that is not here".into(),
            model: None,
            serial: None,
            wwn: None,
            by_id: Vec::new(),
            transport: None,
            bytes,
            sector_size,
        }
    }

    /// Whether it says anything that no other disk should say.
    fn says_something(&self) -> bool {
        self.serial.is_some() || self.wwn.is_some() || !self.by_id.is_empty()
    }

    /// The disk among those that there are now.
    ///
    /// # Errors
    /// In words: it is not there, or there are two of them.
    pub fn find<'d>(&self, devices: &'d [Device]) -> Result<&'d Device, String> {
        let disks = devices.iter().filter(|one| matches!(one.kind, Kind::Disk | Kind::Multipath | Kind::Loop));
        let is_it = |one: &&Device| {
            let there = DiskIdentity::of(one);
            // Without anything of its own, there is only where it was.
            let name = self.says_something() || there.name == self.name;
            name && DiskIdentity { name: self.name.clone(), ..there } == *self
        };
        match disks.filter(is_it).collect::<Vec<_>>()[..] {
            [one] => Ok(one),
            [] => Err(format!("the disk is not there, or is no longer what it was: {self}")),
            [first, second, ..] => Err(format!(
                "{} and {} say the same of themselves ({self}), so that nobody can tell them apart: take one of them out",
                first.name, second.name
            )),
        }
    }
}

impl fmt::Display for DiskIdentity {
    /// `sda, Samsung SSD 870, serial S5Y1, 465.8G`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for part in self.transport.iter().chain(&self.model) {
            write!(f, ", {part}")?;
        }
        if let Some(serial) = &self.serial {
            write!(f, ", serial {serial}")?;
        }
        write!(f, ", {}", cairn_layout::human(self.bytes))
    }
}
