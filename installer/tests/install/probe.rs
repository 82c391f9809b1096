//! Machines' disks as text, a line for each thing that there is:
//!
//! ```text
//! disk NAME BYTES TRANSPORT TABLE [WORD=TEXT…]      (also: optical, floppy, multipath, boot-area)
//!   NAME START SECTORS TYPE [WORD=TEXT…]            (sectors of 512 bytes, as the kernel counts)
//! upon NAME KIND BYTES BELOW,BELOW [WORD=TEXT…]     (raid, lvm, crypt, mapped, bcache, zvol)
//! mounted NAME PATH
//! swap NAME
//! broken WHY                                        (the last disk's table, as its reader would say it)
//! ```
//! Words: `serial`, `model`, `wwn`, `sector`, `name` (of a partition or what lies upon others), `holds=USAGE:KIND[:UUID]`, `ro`,
//! `removable`, `unknown` (nobody could look).

use std::collections::BTreeMap;

use cairn_disk::partition_table::beside::Entry;
use cairn_installer::disks::{Contents, Device, Identity, Kind, Partition, Signature, Use};
use cairn_installer::install::Gpt;
use uuid::Uuid;

/// All devices of a machine.
#[derive(Default)]
pub struct Probe {
    pub devices: Vec<Device>,
    broken: BTreeMap<String, String>,
}

impl Probe {
    /// Reads one.
    pub fn parse(text: &str) -> Probe {
        let mut probe = Probe::default();
        let mut last = String::new();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let words = words(line);
            let plain: Vec<&str> =
                words.iter().filter(|(key, _)| key.is_empty()).map(|(_, value)| value.as_str()).collect();
            let said: BTreeMap<&str, &str> = words.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            if line.starts_with(' ') {
                let disk = probe.devices.iter().find(|one| one.name == last).unwrap().clone();
                probe.partition(&disk, &plain, &said);
                continue;
            }
            match plain[0] {
                "mounted" => probe.get(plain[1]).uses.push(Use::Mounted(plain[2].into())),
                "swap" => probe.get(plain[1]).uses.push(Use::Swap),
                "broken" => drop(probe.broken.insert(last.clone(), plain[1].into())),
                "upon" => last = probe.upon(&plain, &said),
                kind => last = probe.disk(kind, &plain, &said),
            }
        }
        probe
    }

    fn get(&mut self, name: &str) -> &mut Device {
        self.devices.iter_mut().find(|one| one.name == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    fn disk(&mut self, kind: &str, plain: &[&str], said: &BTreeMap<&str, &str>) -> String {
        let kind = match kind {
            "disk" => Kind::Disk,
            "optical" => Kind::Optical,
            "floppy" => Kind::Floppy,
            "multipath" => Kind::Multipath,
            "boot-area" => Kind::BootArea,
            other => panic!("{other}?"),
        };
        let transports = ["sata", "nvme", "usb", "virtio", "scsi", "mmc", "sd", "sas", "nvme-of", "ccw"];
        let text = |key: &str| said.get(key).map(|text| (*text).to_string());
        let table = Some(plain[4]).filter(|table| *table != "-").map(str::to_string);
        let device = Device {
            transport: transports.into_iter().find(|one| *one == plain[3]),
            identity: Identity {
                serial: text("serial"),
                model: text("model"),
                wwn: text("wwn"),
                by_id: text("serial").map(|serial| format!("{}-{serial}", plain[3])).into_iter().collect(),
                name: None,
            },
            contents: Contents { table, ..contents(said) },
            sector_size: said.get("sector").map_or(512, |size| size.parse().unwrap()),
            ..device(plain[1], kind, plain[2], said)
        };
        self.add(device)
    }

    fn partition(&mut self, disk: &Device, plain: &[&str], said: &BTreeMap<&str, &str>) {
        let sectors: u64 = plain[2].parse().unwrap();
        let tail = plain[0].strip_prefix(&disk.name).unwrap();
        let number = tail.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let name = |text: &&str| (*text).to_string();
        let partition = Partition {
            disk: disk.name.clone(),
            number,
            offset: plain[1].parse::<u64>().unwrap() * 512,
            type_id: Some(plain[3]).filter(|it| *it != "-").map(str::to_string),
            id: Some(id(plain[0], disk).to_string()),
            label: said.get("name").map(name),
            flags: None,
        };
        let device = Device {
            partition: Some(partition),
            sector_size: disk.sector_size,
            ..device(plain[0], Kind::Partition, &(sectors * 512).to_string(), said)
        };
        self.add(device);
    }

    fn upon(&mut self, plain: &[&str], said: &BTreeMap<&str, &str>) -> String {
        let kind = match plain[2] {
            "raid" => Kind::Raid,
            "lvm" => Kind::LogicalVolume,
            "crypt" => Kind::Crypt,
            "mapped" => Kind::Mapped,
            "bcache" => Kind::Bcache,
            "zvol" => Kind::Zvol,
            "multipath" => Kind::Multipath,
            other => panic!("{other}?"),
        };
        let below: Vec<String> = plain[4].split(',').filter(|name| *name != "-").map(str::to_string).collect();
        for name in &below {
            self.get(name).held_by.push(plain[1].into());
        }
        let mut device = Device { lies_on: below, ..device(plain[1], kind, plain[3], said) };
        device.identity.name = said.get("name").map(|text| (*text).to_string());
        device.identity.serial = said.get("serial").map(|text| (*text).to_string());
        device.contents.table = said.get("table").map(|text| (*text).to_string());
        self.add(device)
    }

    fn add(&mut self, device: Device) -> String {
        let name = device.name.clone();
        self.devices.push(device);
        name
    }

    /// What a reader of a disk's table would find.
    pub fn table(&self, disk: &Device) -> Result<Option<Gpt>, String> {
        if let Some(why) = self.broken.get(&disk.name) {
            return if why == "neither" { Ok(None) } else { Err(why.clone()) };
        }
        if disk.contents.table.as_deref() != Some("gpt") {
            return Ok(None);
        }
        let per = disk.sector_size;
        let of = |one: &Device| {
            let partition = one.partition.as_ref().filter(|p| p.disk == disk.name)?;
            let entry = Entry {
                kind: Uuid::parse_str(partition.type_id.as_deref()?).ok()?,
                id: Uuid::parse_str(partition.id.as_deref()?).ok()?,
                first: partition.offset / per,
                last: (partition.offset + one.bytes) / per - 1,
                attributes: 0,
                name: partition.label.clone().unwrap_or_default(),
            };
            Some((partition.number, entry))
        };
        let entries = 16384 / per;
        Ok(Some(Gpt {
            id: id("", disk),
            usable: (2 + entries, disk.bytes / per - 2 - entries),
            entries: 128,
            partitions: self.devices.iter().filter_map(of).collect(),
        }))
    }
}

fn device(name: &str, kind: Kind, bytes: &str, said: &BTreeMap<&str, &str>) -> Device {
    // `ro`, `removable` and `unknown` stand there as plain words.
    Device {
        name: name.into(),
        number: format!("8:{}", name.bytes().map(u32::from).sum::<u32>()),
        kind,
        bytes: bytes.parse().unwrap(),
        sector_size: 512,
        physical_sector_size: 512,
        read_only: said.contains_key("ro"),
        removable: said.contains_key("removable"),
        rotational: false,
        transport: None,
        identity: Identity::default(),
        partition: None,
        contents: contents(said),
        held_by: Vec::new(),
        lies_on: Vec::new(),
        uses: Vec::new(),
    }
}

fn contents(said: &BTreeMap<&str, &str>) -> Contents {
    let signature = said.get("holds").map(|text| {
        let parts: Vec<&str> = text.split(':').collect();
        Signature {
            usage: parts[0].into(),
            kind: parts[1].into(),
            uuid: parts.get(2).map(|uuid| (*uuid).to_string()),
            group: said.get("group").map(|group| (*group).to_string()),
            ..Signature::default()
        }
    });
    Contents { known: !said.contains_key("unknown"), table: None, table_id: None, signature }
}

/// An identifier that is always the same.
fn id(name: &str, disk: &Device) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}/{name}", disk.name).as_bytes())
}

/// Words, those with a `=` apart; quotation marks hold blanks together. A word alone is its own key where it says yes or no.
fn words(line: &str) -> Vec<(String, String)> {
    let mut words: Vec<String> = vec![String::new()];
    let mut quoted = false;
    for c in line.trim().chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    let word = |word: String| match word.split_once('=') {
        Some((key, value)) => (key.to_string(), value.to_string()),
        None if ["ro", "removable", "unknown"].contains(&word.as_str()) => (word, String::new()),
        None => (String::new(), word),
    };
    words.into_iter().filter(|word| !word.is_empty()).map(word).collect()
}
