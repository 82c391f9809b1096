//! A computer that was recorded, as far as QEMU can be one: which of its disks holds the machine, what each hangs on and says of itself,
//! firmware, TPM, memory and processors; and a sentence for each thing that is not as it was.

use cairn_installer::disks::{Selector, devices_of};
use cairn_layout::human;
use cairn_machine::Checked;
use cairn_machine::model::{FirmwareKind, Hardware, RecordedDisk};
use cairn_process::Refusal;
use image_builder::qemu::{Controller, Says};
use image_builder::run::Empty;

use super::rehearsal::{self, hangs_on};

/// A PC of QEMU's has room for some thirty devices beside those that are built in; this leaves some for all that is no disk.
const MOST: usize = 20;
/// SATA drives take no room of that.
const MOST_SATA: usize = 64;
/// The least memory that a machine of ours starts with, in MiB.
const LEAST_MEMORY: u64 = 512;

/// What somebody said, which goes before what was recorded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// What the disk hangs on.
    pub controller: Option<Controller>,
    /// Whether a BIOS starts the machine.
    pub bios: Option<bool>,
    /// Whether the firmware starts only what is signed.
    pub secure_boot: bool,
    /// Whether there is a TPM in any case.
    pub tpm: bool,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// Processors.
    pub cpus: Option<u32>,
}

/// What this computer has to give.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Memory that programs may take, in MiB; nothing where it does not say.
    pub memory: Option<u64>,
    /// Processors.
    pub processors: u32,
    /// Whether a TPM can be emulated.
    pub swtpm: bool,
}

/// What starts a machine, and from which modules its initrd reaches the disk.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Whether it can be started by a BIOS and by UEFI.
    pub can: cairn_machine::model::Firmware,
    /// Whether it starts by a signed chain.
    pub by_shim: bool,
    /// The modules of its initrd; nothing where it has the generic set.
    pub modules: Option<Vec<String>>,
    /// The disk that it is installed on, as its file says it.
    pub disk: Option<String>,
}

impl Machine {
    /// Of a machine file.
    pub fn of(checked: &Checked) -> Machine {
        Machine {
            can: checked.machine.firmware(),
            by_shim: checked.machine.boot.by_shim(),
            modules: checked.initrd_modules(),
            disk: checked.machine.install.as_ref().map(|install| install.disk.clone()),
        }
    }
}

/// The computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computer {
    /// The disk that holds the machine.
    pub disk: RecordedDisk,
    /// What it hangs on.
    pub controller: Controller,
    /// What it says of itself.
    pub says: Says,
    /// The other disks.
    pub empty: Vec<Empty>,
    /// Whether a BIOS starts it.
    pub bios: bool,
    /// Whether it starts only what is signed.
    pub secure_boot: bool,
    /// The major version of its TPM.
    pub tpm: Option<u32>,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// Processors.
    pub cpus: Option<u32>,
    /// What is not as it was recorded.
    pub notes: Vec<String>,
}

impl Computer {
    /// Decides it.
    ///
    /// # Errors
    /// A refusal where no disk was recorded that the machine could be on, or nothing in QEMU would start it.
    pub fn of(hardware: &Hardware, machine: &Machine, asked: Asked, host: Host) -> Result<Computer, Refusal> {
        let mut notes = Vec::new();
        let root = root_disk(&hardware.disks, machine.disk.as_deref(), &mut notes)?;
        let disk = &hardware.disks[root];
        let bios = asked.bios.unwrap_or_else(|| starts_by_bios(hardware, machine, &mut notes));
        let hangs =
            hangs_on(Some(disk), machine.modules.as_deref(), (disk.sector_size.into(), bios), asked.controller)?;
        notes.extend(hangs.note);
        let mut computer = Computer {
            disk: disk.clone(),
            controller: hangs.controller,
            says: says(disk),
            empty: Vec::new(),
            bios,
            secure_boot: asked.secure_boot,
            tpm: asked.tpm.then_some(2),
            memory: asked.memory,
            cpus: asked.cpus,
            notes,
        };
        if !asked.secure_boot && asked.bios.is_none() && !bios && hardware.secure_boot == Some(true) {
            computer.secure_boot = machine.by_shim;
            if !machine.by_shim {
                let why = "Secure Boot was on, and is off here: the machine file has no `boot: {secure_boot: shim}`";
                computer.notes.push(why.into());
            }
        }
        computer.others(&hardware.disks, root);
        computer.give_tpm(hardware, host);
        computer.give_memory(hardware, host);
        Ok(computer)
    }

    /// What the other disks are.
    fn others(&mut self, disks: &[RecordedDisk], root: usize) {
        let (mut sata, mut room) = (0, MOST);
        for (index, disk) in disks.iter().enumerate().filter(|(index, _)| *index != root) {
            let hangs = rehearsal::beside(disk);
            let on_sata = hangs.controller == Controller::Ahci;
            if if on_sata { sata == MOST_SATA } else { room == 0 } {
                self.notes.push(format!("{} is left out: QEMU has no room for so many disks", disk.name));
                continue;
            }
            if on_sata {
                sata += 1
            } else {
                room -= 1
            }
            self.notes.extend(hangs.note);
            let bytes = sized(disk, hangs.controller, &mut self.notes);
            self.empty.push(Empty {
                bytes,
                controller: hangs.controller,
                sector_size: disk.sector_size.into(),
                says: says(disk),
                tried_first: false,
                in_front: index < root,
            });
        }
    }

    fn give_tpm(&mut self, hardware: &Hardware, host: Host) {
        let Some(version) = hardware.tpm.filter(|_| self.tpm.is_none()) else { return };
        if host.swtpm {
            self.tpm = Some(version);
        } else {
            let why =
                "there was a TPM, and there is none here: that takes swtpm, and `apt-get install swtpm` brings it";
            self.notes.push(why.into());
        }
    }

    fn give_memory(&mut self, hardware: &Hardware, host: Host) {
        if let (Some(recorded), None) = (hardware.memory, self.memory) {
            let recorded = recorded.bytes() >> 20;
            // The computer itself goes on working.
            let most = host.memory.map_or(u64::MAX, |free| free / 4 * 3).max(LEAST_MEMORY);
            let memory = recorded.clamp(LEAST_MEMORY, most);
            if memory < recorded {
                let (was, is) = (human(recorded << 20), human(memory << 20));
                self.notes.push(format!("there was {was} of memory, and is {is}: this computer has no more to spare"));
            }
            self.memory = Some(memory);
        }
        if let (Some(recorded), None) = (hardware.processors, self.cpus) {
            let cpus = recorded.clamp(1, host.processors.clamp(1, 255));
            if cpus < recorded {
                self.notes.push(format!("there were {recorded} processors, and are {cpus}: this computer has no more"));
            }
            self.cpus = Some(cpus);
        }
    }
}

/// The disk that holds the machine: on which its root was, or that its file means, or the only one that it may be on.
fn root_disk(disks: &[RecordedDisk], meant: Option<&str>, notes: &mut Vec<String>) -> Result<usize, Refusal> {
    let only = |found: Vec<usize>| (found.len() == 1).then(|| found[0]);
    let all =
        |is: &dyn Fn(&RecordedDisk) -> bool| (0..disks.len()).filter(|index| is(&disks[*index])).collect::<Vec<_>>();
    if let Some(index) = only(all(&|disk| disk.used.iter().any(|place| place == "/"))) {
        return Ok(index);
    }
    let devices = devices_of(disks);
    let selected = meant.and_then(|text| text.parse::<Selector>().ok()).and_then(|selector| {
        let found = selector.select(&devices, &|node| rehearsal::recorded_name(&devices, node)).ok()?;
        disks.iter().position(|disk| disk.name == found.name)
    });
    if let Some(index) = selected {
        return Ok(index);
    }
    let able = all(&|disk| !disk.read_only && !disk.removable);
    match able.split_first() {
        None => Err(Refusal(
            "no disk was recorded that the machine could be on: `cairn hardware -o FILE`, as root on that computer, records them; \
             --generic runs the machine without any of it"
                .into(),
        )),
        Some((first, [])) => Ok(*first),
        Some((first, _)) => {
            notes.push(format!(
                "the machine is on {}, the first disk: none was recorded with its root, and `install: {{disk: …}}` in the machine file \
                 would say which",
                disks[*first].name
            ));
            Ok(*first)
        }
    }
}

fn starts_by_bios(hardware: &Hardware, machine: &Machine, notes: &mut Vec<String>) -> bool {
    let bios = rehearsal::starts_by_bios(machine.can, hardware.firmware);
    match hardware.firmware {
        Some(FirmwareKind::Uefi32) if !bios => notes.push("UEFI had 32 bits, and has 64 here".into()),
        Some(kind) if (kind == FirmwareKind::Bios) != bios => {
            let (was, is) = if bios { ("UEFI", "a BIOS") } else { ("a BIOS", "UEFI") };
            notes.push(format!(
                "{was} started that computer, and {is} does here: the machine can be started by nothing else"
            ));
        }
        _ => {}
    }
    bios
}

/// How large it is: as it was, unless it is a card.
pub fn sized(disk: &RecordedDisk, controller: Controller, notes: &mut Vec<String>) -> u64 {
    if controller != Controller::Sd || disk.bytes.is_power_of_two() {
        return disk.bytes;
    }
    // QEMU's cards have no other sizes.
    let bytes = disk.bytes.checked_next_power_of_two().unwrap_or(disk.bytes);
    notes.push(format!(
        "{} had {}, and has {}: QEMU's cards have powers of two",
        disk.name,
        human(disk.bytes),
        human(bytes)
    ));
    bytes
}

fn says(disk: &RecordedDisk) -> Says {
    let wwn = disk.wwn.as_deref().map(|wwn| wwn.trim_start_matches("naa.").trim_start_matches("0x"));
    Says {
        serial: disk.serial.clone(),
        model: disk.model.clone(),
        wwn: wwn.and_then(|digits| u64::from_str_radix(digits, 16).ok()).filter(|wwn| *wwn != 0),
        rotational: Some(disk.rotational),
        removable: disk.removable,
        physical_sector_size: disk
            .physical_sector_size
            .filter(|size| size.is_power_of_two() && (512..=32768).contains(size))
            .map(u64::from),
    }
}

#[cfg(test)]
mod tests {
    use cairn_machine::model::Firmware;
    use cairn_machine::size::Size;

    use super::*;

    const HOST: Host = Host { memory: Some(8 << 10), processors: 4, swtpm: true };

    fn disk(name: &str, transport: &str, sector_size: u32) -> RecordedDisk {
        let serial = Some(format!("{name}-serial"));
        let (name, transport) = (name.to_string(), Some(transport.to_string()));
        RecordedDisk { name, transport, serial, bytes: 20 << 30, sector_size, ..RecordedDisk::default() }
    }

    fn hardware(disks: Vec<RecordedDisk>) -> Hardware {
        Hardware {
            version: 1,
            architecture: None,
            firmware: Some(FirmwareKind::Uefi),
            secure_boot: None,
            tpm: Some(2),
            memory: Some(Size::from_mib(2 << 10)),
            processors: Some(2),
            seed: None,
            partitions: std::collections::BTreeMap::default(),
            initrd_modules: Vec::new(),
            kernel_modules: Vec::new(),
            kernel_parameters: Vec::new(),
            disks,
        }
    }

    fn machine() -> Machine {
        Machine { can: Firmware { uefi: true, bios: false }, by_shim: false, modules: None, disk: None }
    }

    fn on(disk: RecordedDisk) -> RecordedDisk {
        RecordedDisk { used: vec!["/".into()], ..disk }
    }

    #[test]
    fn the_machine_is_on_the_disk_with_its_root_and_the_others_are_around_it_as_they_were() {
        let usb = RecordedDisk { removable: true, ..disk("sdb", "usb", 512) };
        let disks = vec![disk("sda", "sata", 512), on(disk("nvme0n1", "nvme", 4096)), usb];
        let one = Computer::of(&hardware(disks), &machine(), Asked::default(), HOST).unwrap();
        assert_eq!((one.disk.name.as_str(), one.controller), ("nvme0n1", Controller::Nvme));
        assert_eq!((one.bios, one.tpm, one.memory, one.cpus), (false, Some(2), Some(2048), Some(2)));
        assert_eq!(one.notes, Vec::<String>::new());
        let others: Vec<_> = one.empty.iter().map(|it| (it.controller, it.in_front, it.sector_size)).collect();
        assert_eq!(others, [(Controller::Ahci, true, 512), (Controller::Usb, false, 512)]);
        assert_eq!(one.empty[0].says.serial.as_deref(), Some("sda-serial"));
        assert!(one.empty.iter().all(|it| it.bytes == 20 << 30 && !it.tried_first));
    }

    #[test]
    fn what_is_not_as_it_was_is_said() {
        let mut hardware = hardware(vec![disk("sda", "sas", 512), disk("mmcblk0", "mmc", 512)]);
        (hardware.secure_boot, hardware.memory) = (Some(true), Some(Size::from_mib(64 << 10)));
        (hardware.processors, hardware.firmware) = (Some(64), Some(FirmwareKind::Bios));
        let host = Host { swtpm: false, ..HOST };
        let one = Computer::of(&hardware, &machine(), Asked::default(), host).unwrap();
        let said = one.notes.join("\n");
        for words in [
            "the machine is on sda, the first disk",
            "QEMU has nothing like it (sas",
            "a BIOS started that computer, and UEFI does here",
            "Secure Boot was on",
            "mmcblk0 had 20G, and has 32G",
            "`apt-get install swtpm` brings it",
            "there was 64G of memory, and is 6G",
            "there were 64 processors, and are 4",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!((one.secure_boot, one.tpm, one.memory, one.cpus), (false, None, Some(6 << 10), Some(4)));
    }

    #[test]
    fn what_somebody_says_goes_first() {
        let hardware = hardware(vec![on(disk("sda", "sata", 512))]);
        let asked = Asked {
            controller: Some(Controller::VirtioBlk),
            bios: Some(false),
            secure_boot: true,
            tpm: true,
            memory: Some(700),
            cpus: Some(1),
        };
        let one = Computer::of(&hardware, &machine(), asked, Host { swtpm: false, ..HOST }).unwrap();
        assert_eq!((one.controller, one.secure_boot, one.tpm), (Controller::VirtioBlk, true, Some(2)));
        assert_eq!((one.memory, one.cpus, one.notes), (Some(700), Some(1), Vec::new()));
    }

    #[test]
    fn the_machine_file_says_which_disk_where_nothing_else_does() {
        let hardware = hardware(vec![disk("sda", "sata", 512), disk("sdb", "sata", 512)]);
        let machine = Machine { disk: Some("serial=sdb-serial".into()), ..machine() };
        assert_eq!(Computer::of(&hardware, &machine, Asked::default(), HOST).unwrap().disk.name, "sdb");
        let none = Hardware { disks: Vec::new(), ..hardware };
        let refused = Computer::of(&none, &machine, Asked::default(), HOST).unwrap_err();
        assert!(refused.0.contains("`cairn hardware -o FILE`"), "{refused:?}");
    }

    #[test]
    fn hundreds_of_disks_are_some_and_a_word_for_each_other_one() {
        let many = |transport: &str| (0..100).map(|n| disk(&format!("d{n}"), transport, 512)).collect::<Vec<_>>();
        for (transport, most) in [("nvme", MOST), ("sata", MOST_SATA)] {
            let disks = [vec![on(disk("root", "nvme", 512))], many(transport)].concat();
            let one = Computer::of(&hardware(disks), &machine(), Asked::default(), HOST).unwrap();
            assert_eq!((one.empty.len(), one.notes.len()), (most, 100 - most), "{transport}");
        }
    }
}
