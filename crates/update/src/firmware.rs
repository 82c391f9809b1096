//! The firmware's variables of a machine that runs: our entry in its menu, if the machine file wants one, and what would
//! make systemd-boot boot something else than the menu's order says.
//!
//! Nothing here stops an update: without any variable the firmware starts the removable path, which is always written.

use anyhow::Context;
use cairn_boot::effects::{Mounted, change_firmware, firmware_folder, obstacle, read_firmware, with_help};
use cairn_boot::firmware::{BootEntry, Change, LoadOption, Override, Signature, changes, overrides};
use cairn_boot::{EntryName, Installation, LoaderProgram, Present, has_other_fallback};
use cairn_layout::PartUuid;
use cairn_machine::Checked;
use cairn_machine::model::PartitionKind;
use cairn_observe::disk::{self, BootDisk};
use cairn_process::{Refusal, Report};
use cairn_root::{Folder, Root};

/// What is to be done about the variables.
#[derive(Debug, Clone, Default)]
pub struct FirmwarePlan {
    folder: Option<Folder>,
    /// Whether what the firmware finds by itself is another system's.
    other_fallback: bool,
    changes: Vec<Change>,
    /// Variables that make another entry boot, and that are to go.
    overrides: Vec<Override>,
    /// What to know about, and nothing is done about.
    notes: Vec<String>,
    /// Whether the firmware starts only what is signed.
    pub(crate) secure_boot: bool,
}

impl FirmwarePlan {
    /// Works it out for a machine and its EFI system partition. Where that machine does not run there are no variables of its
    /// own.
    pub fn new(
        root: &Root,
        checked: &Checked,
        installation: Installation,
        program: &LoaderProgram,
        esp: &Mounted,
        present: &Present,
    ) -> FirmwarePlan {
        let nvram = checked.machine.boot.nvram;
        let other = has_other_fallback(present, installation, program);
        let by_itself = |why: &str| format!("{}; its own menu is left as it is: {why}", by_itself(other));
        let mut notes = Vec::new();
        let folder = match firmware_folder(root) {
            Ok(Some(Err(of_this_computer))) => {
                if nvram {
                    let place = of_this_computer.display();
                    notes.push(by_itself(&format!("the variables at {place} are those of the computer that runs")));
                }
                return FirmwarePlan { notes, ..FirmwarePlan::default() };
            }
            Ok(Some(Ok(folder))) => Ok(Some(folder)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let read = folder.and_then(|folder| {
            let firmware = folder.as_ref().map_or(Ok(None), read_firmware)?;
            Ok(folder.zip(firmware))
        });
        let (folder, firmware) = match read {
            Ok(Some(found)) => found,
            Ok(None) => {
                if let Some(obstacle) = obstacle(root).filter(|_| nvram && root.is_host()) {
                    notes.push(by_itself(&format!("{obstacle}; {}", obstacle.help())));
                }
                return FirmwarePlan { notes, ..FirmwarePlan::default() };
            }
            Err(error) => {
                notes.push(by_itself(&format!("reading the firmware's variables: {error}")));
                return FirmwarePlan { notes, ..FirmwarePlan::default() };
            }
        };
        let wanted = match nvram.then(|| option(checked, installation, program, esp)) {
            Some(Err(why)) => {
                notes.push(by_itself(&why));
                None
            }
            Some(Ok(option)) => Some(option),
            None => None,
        };
        // What cannot be said is not what nobody wants.
        let changes = match nvram && wanted.is_none() {
            true => Vec::new(),
            false => changes(&BootEntry { installation, wanted: wanted.as_ref() }, &firmware),
        };
        let set = if program.is_grub() { Vec::new() } else { overrides(&firmware, &present.entries) };
        let (hurt, told): (Vec<_>, Vec<_>) = set.into_iter().partition(|o| o.hurts);
        notes.extend(told.iter().map(|o| format!("{}, and is left as it is", of_override(o))));
        let secure_boot = firmware.secure_boot;
        FirmwarePlan { folder: Some(folder), other_fallback: other, changes, overrides: hurt, notes, secure_boot }
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.overrides.is_empty()
    }

    /// Leaves what makes another entry boot: it is somebody's wish, and only told.
    pub fn keep_overrides(&mut self) {
        let kept = std::mem::take(&mut self.overrides);
        self.notes.extend(kept.iter().map(|o| format!("{}; `cairn boot repair` clears it", of_override(o))));
    }

    /// What is not as it should be, in words.
    pub fn words(&self) -> Vec<String> {
        let entry = |change: &Change| match change {
            Change::Entry(number, _) => {
                Some(format!("the firmware's menu lacks this machine's entry (Boot{number:04X})"))
            }
            Change::Remove(number) => {
                Some(format!("the firmware's menu has an entry of this machine's (Boot{number:04X})"))
            }
            Change::Order(_) | Change::Next(_) | Change::Forget(_) | Change::Once(_) => None,
        };
        let mut words: Vec<String> = self.changes.iter().filter_map(entry).collect();
        if words.is_empty() && !self.changes.is_empty() {
            words.push("the firmware does not try this machine's entry".into());
        }
        words.extend(self.overrides.iter().map(of_override));
        words
    }

    /// What to know about.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Does it. What cannot be done is told.
    pub fn apply(&self, report: &dyn Report) {
        for note in &self.notes {
            report.note(note);
        }
        let Some(folder) = &self.folder else { return };
        for change in &self.changes {
            match (change, change_firmware(folder, change)) {
                (Change::Entry(number, _), Ok(())) => {
                    report.note(&format!("this machine is Boot{number:04X} in the firmware's menu"));
                }
                (_, Ok(())) => {}
                (_, Err(error)) => {
                    let why = with_help(&error);
                    report.note(&format!(
                        "{}; its own menu could not be brought up to date: {why}. Then `cairn boot repair` enters this machine",
                        by_itself(self.other_fallback)
                    ));
                    // An order that names an entry that could not be made helps nobody.
                    break;
                }
            }
        }
        for o in &self.overrides {
            let name = o.variable.name();
            match change_firmware(folder, &Change::Forget(o.variable)) {
                Ok(()) => report.note(&format!("{name} said {}: cleared", o.value)),
                Err(error) => report.note(&format!("clearing {name}, which says {}: {}", o.value, with_help(&error))),
            }
        }
    }
}

/// The firmware's variables of a machine, through which systemd-boot is told what to boot next.
pub fn variables(root: &Root) -> anyhow::Result<Folder> {
    let reading = "reading the firmware's variables";
    match firmware_folder(root).context(reading)? {
        Some(Ok(folder)) if read_firmware(&folder).context(reading)?.is_some() => Ok(folder),
        _ => {
            let what = "systemd-boot is told through the firmware's variables, and there are none here: choose the generation \
                        in the boot menu";
            Err(Refusal(what.into()).into())
        }
    }
}

/// Lets systemd-boot boot an entry at the next start of a machine, and only then.
pub fn once(root: &Root, entry: &EntryName) -> anyhow::Result<()> {
    let folder = variables(root)?;
    // Its name there is without the counter.
    let name = EntryName { counter: None, ..entry.clone() }.to_string();
    let told = change_firmware(&folder, &Change::Once(name));
    told.map_err(|error| anyhow::anyhow!("writing the firmware's variables: {}", with_help(&error)))
}

/// What happens whatever its variables say. `other`: what the firmware finds by itself is another system's.
fn by_itself(other: bool) -> &'static str {
    if other {
        "by itself the firmware starts another system, to which \\EFI\\BOOT\\BOOTX64.EFI belongs"
    } else {
        "the firmware starts \\EFI\\BOOT\\BOOTX64.EFI by itself"
    }
}

fn of_override(o: &Override) -> String {
    let name = o.variable.name();
    format!("the EFI variable {name} makes systemd-boot boot {}, whatever the order of the menu says", o.value)
}

/// The entry for the loader's own program.
fn option(
    checked: &Checked,
    installation: Installation,
    program: &LoaderProgram,
    esp: &Mounted,
) -> Result<LoadOption, String> {
    let disk = BootDisk::of_device(esp.device().map_err(|error| error.to_string())?, esp.root())?;
    let found = disk::partition(checked, PartitionKind::Esp, &disk.table);
    let partition = found.ok_or("the disk's partitions are not those of the machine file")?;
    let sector = disk.table.sector_size.bytes();
    Ok(LoadOption {
        description: BootEntry::description(installation),
        partition: partition.number,
        start: partition.offset / sector,
        sectors: partition.bytes / sector,
        signature: match partition.id {
            PartUuid::Guid(guid) => Signature::Gpt(guid),
            PartUuid::Mbr { signature, .. } => Signature::Mbr(signature),
        },
        file: program.own_path(installation, checked.machine.root_disk().is_some_and(|(_, disk)| disk.shares_esp())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_boot::firmware::LoaderVariable;

    #[test]
    fn what_overrides_is_told_and_kept_or_cleared() {
        let o = Override { variable: LoaderVariable::Default, value: "@saved".into(), hurts: true };
        let mut plan = FirmwarePlan { overrides: vec![o], ..FirmwarePlan::default() };
        let word =
            "the EFI variable LoaderEntryDefault makes systemd-boot boot @saved, whatever the order of the menu says";
        assert_eq!(plan.words(), [word]);
        plan.keep_overrides();
        assert!(plan.is_empty() && plan.words().is_empty());
        assert_eq!(plan.notes(), [format!("{word}; `cairn boot repair` clears it")]);
    }
}
