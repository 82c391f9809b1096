//! The firmware of the computer, once the disk is written: the machine gets an entry, which is started once. Where it then boots well it
//! puts itself in front of the others; where it does not, the firmware goes back to what it started before.
//!
//! All of it is best effort: without any variable the firmware starts the removable path, which is always there.

use std::collections::BTreeSet;
use std::path::Path;

use cairn_boot::Installation;
use cairn_boot::effects::{change_firmware, firmware_folder, read_firmware};
use cairn_boot::firmware::{BootEntry, Change, Firmware, LoadOption, Signature, changes};
use cairn_layout::PartUuid;
use cairn_layout::onto::{Fate, Onto};
use cairn_machine::model::PartitionKind;
use cairn_process::Report;
use cairn_root::{Folder, Root};
use uuid::Uuid;

use super::receipt::SavedFirmware;

/// The firmware's variables as they are, where there are any.
#[derive(Debug)]
pub struct Variables {
    folder: Folder,
    firmware: Firmware,
}

/// Reads them. `None` where this computer has none, or they are not to be seen.
pub fn variables() -> Option<Variables> {
    let root = Root::open(Path::new("/")).ok()?;
    let folder = firmware_folder(&root).ok()??.ok()?;
    let firmware = read_firmware(&folder).ok()??;
    Some(Variables { folder, firmware })
}

impl Variables {
    /// As a receipt keeps them.
    pub fn saved(&self) -> SavedFirmware {
        SavedFirmware { order: self.firmware.order.clone(), entries: self.firmware.entries.clone() }
    }

    /// Enters the machine, whose loader is `program` on its EFI system partition. What cannot be done is told.
    pub fn enter(&self, onto: &Onto, program: &str, installation: Installation, report: &dyn Report) {
        let Some(option) = option(onto, program, installation) else { return };
        let planned = plan(&self.firmware, &option, installation, &gone(onto));
        for change in &planned {
            if let Err(error) = change_firmware(&self.folder, change) {
                report.note(&format!(
                    "the firmware's menu: {} did not work ({error}); the firmware starts \\EFI\\BOOT\\BOOTX64.EFI by itself all the same, from \
                     the first disk in its order that has one",
                    words(change)
                ));
                // An entry that could not be made is not to be started next.
                break;
            }
        }
        match variables() {
            Some(now) => now.tell(report),
            None => report.note("the firmware's variables cannot be read back"),
        }
    }

    /// Says what the next start will be.
    fn tell(&self, report: &dyn Report) {
        let title = |number: u16| {
            let title = self.firmware.entries.get(&number).and_then(|bytes| LoadOption::parse(bytes));
            format!("Boot{number:04X}{}", title.map(|it| format!(" ({})", it.description)).unwrap_or_default())
        };
        if let Some(next) = self.firmware.next {
            report.note(&format!("the firmware starts {} once, at the next start", title(next)));
        }
        if let Some(first) = self.firmware.order.first() {
            report.note(&format!("otherwise it starts {}, as before", title(*first)));
        }
    }

    /// Brings back what a receipt has kept.
    ///
    /// # Errors
    /// The system's.
    pub fn restore(&self, saved: &SavedFirmware) -> std::io::Result<()> {
        for (number, bytes) in &saved.entries {
            if self.firmware.entries.get(number) != Some(bytes) {
                change_firmware(&self.folder, &Change::Entry(*number, bytes.clone()))?;
            }
        }
        if self.firmware.order != saved.order {
            change_firmware(&self.folder, &Change::Order(saved.order.clone()))?;
        }
        for number in self.firmware.entries.keys().filter(|number| !saved.entries.contains_key(number)) {
            change_firmware(&self.folder, &Change::Remove(*number))?;
        }
        if self.firmware.next.is_some() {
            change_firmware(&self.folder, &Change::Next(None))?;
        }
        Ok(())
    }
}

/// The partitions that are no more.
fn gone(onto: &Onto) -> BTreeSet<Uuid> {
    let is_gone = |number: u32| matches!(onto.fate(number), Fate::Removed | Fate::Replaced(_));
    onto.there.partitions.iter().filter(|one| is_gone(one.number)).filter_map(|one| one.id).collect()
}

/// What is changed: entries of partitions that are no more go, and numbers in the order that name nothing; ours is made, behind the
/// others' backs, and started next.
fn plan(firmware: &Firmware, option: &LoadOption, installation: Installation, gone: &BTreeSet<Uuid>) -> Vec<Change> {
    let ghost = |bytes: &Vec<u8>| {
        LoadOption::parse(bytes).is_some_and(|it| matches!(it.signature, Signature::Gpt(id) if gone.contains(&id)))
    };
    let ghosts: BTreeSet<u16> =
        firmware.entries.iter().filter(|(_, bytes)| ghost(bytes)).map(|(number, _)| *number).collect();
    let mut left = firmware.clone();
    left.entries.retain(|number, _| !ghosts.contains(number));
    left.order.retain(|number| left.entries.contains_key(number));
    let made = changes(&BootEntry { installation, wanted: Some(option) }, &left);
    let entry = made.iter().find_map(|change| match change {
        Change::Entry(number, _) => Some(*number),
        _ => None,
    });
    let there =
        || left.entries.iter().find(|(_, bytes)| LoadOption::parse(bytes).is_some_and(|it| it.same_program(option)));
    let next = entry.or_else(|| there().map(|(number, _)| *number));
    // It stands in the order when it has booted well, and not before: until then the firmware goes back to the others.
    let entries = made.into_iter().filter(|change| matches!(change, Change::Entry(..)));
    let order = (left.order != firmware.order).then(|| Change::Order(left.order.clone()));
    let ghosts = ghosts.into_iter().map(Change::Remove);
    order.into_iter().chain(ghosts).chain(entries).chain(next.map(|number| Change::Next(Some(number)))).collect()
}

fn words(change: &Change) -> String {
    match change {
        Change::Entry(number, _) => format!("making the entry Boot{number:04X}"),
        Change::Order(_) => "leaving out of its order what is no more".into(),
        Change::Remove(number) => format!("removing Boot{number:04X}, whose partition is no more"),
        Change::Next(_) => "having this machine started next".into(),
        Change::Forget(_) | Change::Once(_) => "a variable of the boot loader".into(),
    }
}

fn option(onto: &Onto, program: &str, installation: Installation) -> Option<LoadOption> {
    let esp = onto.plan.find(PartitionKind::Esp)?;
    Some(LoadOption {
        description: BootEntry::description(installation),
        partition: esp.number,
        start: esp.first_lba.0,
        sectors: esp.sectors.0,
        signature: match onto.plan.part_uuid(esp) {
            PartUuid::Guid(guid) => Signature::Gpt(guid),
            PartUuid::Mbr { signature, .. } => Signature::Mbr(signature),
        },
        file: program.to_string(),
    })
}
