//! The firmware of the computer, once the disk is written: the machine gets an entry, which is started once. Where it then boots well it
//! puts itself in front of the others; where it does not, the firmware goes back to what it started before.
//!
//! All of it is best effort: without any variable the firmware starts the removable path, which is always there.

use std::collections::BTreeSet;
use std::path::Path;

use cairn_boot::Installation;
use cairn_boot::effects::{Obstacle, change_firmware, firmware_folder, obstacle, read_firmware, with_help};
use cairn_boot::firmware::{BootEntry, Change, Firmware, LoadOption, Signature, changes};
use cairn_layout::PartUuid;
use cairn_layout::onto::{Fate, Onto};
use cairn_machine::model::PartitionKind;
use cairn_process::Report;
use cairn_root::{Folder, Root};
use uuid::Uuid;

use super::receipt::SavedFirmware;

/// The firmware's variables as they are.
#[derive(Debug)]
pub struct Variables {
    folder: Folder,
    firmware: Firmware,
}

/// Reads them.
///
/// # Errors
/// In words, why they are not to be seen, and what helps.
pub fn variables() -> Result<Variables, String> {
    let root = Root::open(Path::new("/")).map_err(|error| format!("opening /: {error}"))?;
    let read = || -> std::io::Result<Option<Variables>> {
        let Some(Ok(folder)) = firmware_folder(&root)? else { return Ok(None) };
        Ok(read_firmware(&folder)?.map(|firmware| Variables { folder, firmware }))
    };
    let why = || obstacle(&root).map_or_else(|| "the firmware shows no variables".to_string(), in_words);
    read().map_err(|error| format!("reading the firmware's variables: {}", with_help(&error)))?.ok_or_else(why)
}

/// What is known beforehand: why this machine will get no entry in the firmware's menu.
pub fn beforehand() -> Option<String> {
    let root = Root::open(Path::new("/")).ok()?;
    Some(format!("the machine will get no entry in the firmware's menu, for {}", in_words(obstacle(&root)?)))
}

fn in_words(obstacle: Obstacle) -> String {
    format!("{obstacle} ({})", obstacle.help())
}

/// Whose the program is that a firmware finds by itself on the machine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The machine's own.
    Ours,
    /// Another system's, on an EFI system partition that is shared.
    Others,
}

impl Found {
    /// What happens without any entry.
    pub fn fallback(self) -> &'static str {
        match self {
            Found::Ours => {
                "a firmware with UEFI starts \\EFI\\BOOT\\BOOTX64.EFI by itself, from the first disk in its order that has one"
            }
            Found::Others => {
                "\\EFI\\BOOT\\BOOTX64.EFI, which a firmware with UEFI starts by itself, is another system's: enter this machine in the \
                 firmware's setup (\\EFI\\cairn-…), or from the other system (`efibootmgr -c`)"
            }
        }
    }
}

/// Says that nothing could be done, and why.
pub fn without(why: &str, found: Found, report: &dyn Report) {
    report.note(&format!("the machine has no entry in the firmware's menu: {why}"));
    let once = "Once it has booted, it enters itself, or `cairn boot repair` on it does";
    report.note(&match found {
        Found::Ours => format!("it boots without one: {}. {once}", found.fallback()),
        Found::Others => format!("{}. {once}", found.fallback()),
    });
}

impl Variables {
    /// As a receipt keeps them.
    pub fn saved(&self) -> SavedFirmware {
        let Firmware { order, entries, next, .. } = &self.firmware;
        SavedFirmware { order: order.clone(), entries: entries.clone(), next: *next }
    }

    /// Enters the machine, whose loader is `program` on its EFI system partition. What cannot be done is told.
    pub fn enter(&self, onto: &Onto, program: &str, installation: Installation, found: Found, report: &dyn Report) {
        let Some(option) = option(onto, program, installation) else { return };
        let planned = plan(&self.firmware, &option, installation, &gone(onto));
        let failed = carry_out(&planned, &mut |change| change_firmware(&self.folder, change));
        let trial = planned.iter().find_map(|change| if let Change::Next(next) = change { *next } else { None });
        if let Some((_, error)) = failed.first() {
            let what: Vec<String> = failed.iter().map(|(change, _)| words(change)).collect();
            report.note(&format!("the firmware's menu: {} did not work: {}", what.join(" and "), with_help(error)));
        }
        match variables() {
            Ok(now) => said(&now.firmware, trial, found).iter().for_each(|note| report.note(note)),
            Err(why) => report.note(&format!("what the firmware starts next cannot be read back: {why}")),
        }
    }

    /// Brings back what a receipt has kept; `onto` is what was done to the disk. As much as can be done is done.
    ///
    /// # Errors
    /// What went wrong first.
    pub fn restore(&self, saved: &SavedFirmware, onto: &Onto) -> std::io::Result<()> {
        let mut first = Ok(());
        for change in back(&self.firmware, saved, onto) {
            let done = change_firmware(&self.folder, &change);
            first = first.and(done);
        }
        first
    }
}

/// Does what is planned; gives what failed. What frees room comes first, and the rest is tried without it. What could not be made is not
/// to be started next.
fn carry_out<'c>(
    planned: &'c [Change],
    change: &mut dyn FnMut(&Change) -> std::io::Result<()>,
) -> Vec<(&'c Change, std::io::Error)> {
    let mut failed = Vec::new();
    for one in planned {
        let made = |(change, _): &(&Change, _)| matches!(change, Change::Entry(..));
        if matches!(one, Change::Next(_)) && failed.iter().any(made) {
            continue;
        }
        failed.extend(change(one).err().map(|error| (one, error)));
    }
    failed
}

/// What the next start will be. `trial` is the entry that was to be started.
fn said(now: &Firmware, trial: Option<u16>, found: Found) -> Vec<String> {
    let fallback = found.fallback();
    let title = |number: u16| {
        let title = now.entries.get(&number).and_then(|bytes| LoadOption::parse(bytes));
        format!("Boot{number:04X}{}", title.map(|it| format!(" ({})", it.description)).unwrap_or_default())
    };
    // It passes over what is not there, and what somebody has switched off.
    let starts = |number: &u16| now.entries.get(number).is_some_and(|bytes| LoadOption::is_active(bytes));
    let first = now.order.iter().copied().find(starts).map(title);
    let next = now.next.filter(|number| now.entries.contains_key(number));
    let mut notes = Vec::new();
    notes.extend(next.map(|next| format!("the firmware starts {} once, at the next start", title(next))));
    notes.push(match (next, first) {
        (Some(_), Some(first)) => format!("otherwise it starts {first}, as before"),
        (None, Some(first)) => format!("the firmware starts {first} at the next start, as before"),
        (_, None) => format!("it has no other entry that it would start: {fallback}"),
    });
    if trial.is_none() || next != trial {
        notes.push(format!(
            "so the new machine is not tried by itself: choose its disk in the firmware's own menu, or leave it alone in the computer; {fallback}. \
             Once it has booted, it enters itself, or `cairn boot repair` on it does"
        ));
    }
    notes
}

/// What brings back the entries and the order that a receipt has. What others have made since stays; what frees room comes first.
fn back(now: &Firmware, saved: &SavedFirmware, onto: &Onto) -> Vec<Change> {
    let ours = |(number, bytes): (&u16, &Vec<u8>)| {
        let of_ours = LoadOption::parse(bytes).is_some_and(|it| {
            it.description.starts_with("Cairn (") && signature(onto).is_some_and(|ours| it.signature == ours)
        });
        (of_ours && !saved.entries.contains_key(number)).then_some(*number)
    };
    let ours: BTreeSet<u16> = now.entries.iter().filter_map(ours).collect();
    let next = (now.next != saved.next).then_some(Change::Next(saved.next));
    let gone = ours.iter().copied().map(Change::Remove);
    let lost = saved.entries.iter().filter(|(number, bytes)| now.entries.get(number) != Some(bytes));
    let lost = lost.map(|(number, bytes)| Change::Entry(*number, bytes.clone()));
    let since = now.order.iter().filter(|number| !saved.order.contains(number) && !ours.contains(number));
    let order: Vec<u16> = saved.order.iter().chain(since).copied().collect();
    let order = (order != now.order).then_some(Change::Order(order));
    next.into_iter().chain(gone).chain(lost).chain(order).collect()
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
    // An order may name what is not there; a memory that is full has room again when something goes.
    let ghosts = ghosts.into_iter().map(Change::Remove);
    ghosts.chain(order).chain(entries).chain(next.map(|number| Change::Next(Some(number)))).collect()
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
        signature: signature(onto)?,
        file: program.to_string(),
    })
}

/// By which the firmware knows the EFI system partition.
fn signature(onto: &Onto) -> Option<Signature> {
    Some(match onto.plan.part_uuid(onto.plan.find(PartitionKind::Esp)?) {
        PartUuid::Guid(guid) => Signature::Gpt(guid),
        PartUuid::Mbr { signature, .. } => Signature::Mbr(signature),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use cairn_layout::onto::{DiskThere, Mode, TableThere, Wish};
    use cairn_layout::{Lba, Needs, SectorSize};

    use super::*;

    fn installation() -> Installation {
        Installation::of_seed(Uuid::from_bytes([9; 16]))
    }

    fn installed() -> Onto {
        let there = DiskThere {
            bytes: 1 << 30,
            sector: SectorSize::default(),
            table: TableThere::Gpt { id: Uuid::from_u128(1), first: Lba(34), last: Lba(2_097_118), entries: 128 },
            whole: None,
            partitions: Vec::new(),
        };
        let disk: cairn_machine::model::Disk = serde_json::from_value(serde_json::json!({"layout": "uefi"})).unwrap();
        let wish = Wish { mode: Mode::Whole, ..Wish::default() };
        cairn_layout::onto::onto(&disk, Uuid::from_u128(2), &Needs::default(), &there, &wish).unwrap()
    }

    fn ours() -> LoadOption {
        option(&installed(), "EFI/systemd/systemd-bootx64.efi", installation()).unwrap()
    }

    fn theirs(title: &str, partition: u128) -> LoadOption {
        LoadOption { description: title.into(), signature: Signature::Gpt(Uuid::from_u128(partition)), ..ours() }
    }

    fn firmware(entries: &[(u16, LoadOption)], order: &[u16], next: Option<u16>) -> Firmware {
        let entries = entries.iter().map(|(n, option)| (*n, option.to_bytes())).collect();
        Firmware { order: order.into(), entries, next, ..Firmware::default() }
    }

    fn planned() -> Vec<Change> {
        let before = firmware(&[(0, theirs("Windows", 5)), (1, theirs("old", 6))], &[1, 0], None);
        plan(&before, &ours(), installation(), &[Uuid::from_u128(6)].into())
    }

    #[test]
    fn what_frees_room_comes_first_and_the_order_has_not_the_new_machine() {
        let entry = Change::Entry(1, ours().to_bytes());
        assert_eq!(planned(), [Change::Remove(1), Change::Order(vec![0]), entry, Change::Next(Some(1))]);
    }

    #[test]
    fn an_entry_that_could_not_be_made_is_not_started_and_the_rest_is_tried() {
        let full = || io::Error::from_raw_os_error(28);
        let mut tried = Vec::new();
        let planned = planned();
        let failed = carry_out(&planned, &mut |change| {
            tried.push(change.clone());
            if matches!(change, Change::Entry(..) | Change::Order(_)) { Err(full()) } else { Ok(()) }
        });
        assert_eq!(tried, planned[..3]);
        assert_eq!(failed.len(), 2);
        // An order that could not be written does not keep the machine from being tried.
        let failed =
            carry_out(&planned, &mut |change| if matches!(change, Change::Order(_)) { Err(full()) } else { Ok(()) });
        assert_eq!(failed.len(), 1);
    }

    #[test]
    fn what_is_started_next_is_told() {
        let entries = [(0, theirs("Windows", 5)), (1, theirs("off", 6)), (7, ours())];
        let mut now = firmware(&entries, &[3, 1, 0], Some(7));
        now.entries.get_mut(&1).unwrap()[0] = 0;
        let title = ours().description;
        assert_eq!(
            said(&now, Some(7), Found::Ours),
            [
                format!("the firmware starts Boot0007 ({title}) once, at the next start"),
                "otherwise it starts Boot0000 (Windows), as before".into()
            ]
        );
        now.next = None;
        let notes = said(&now, Some(7), Found::Ours);
        assert_eq!(notes[0], "the firmware starts Boot0000 (Windows) at the next start, as before");
        assert!(notes[1].contains("not tried by itself") && notes[1].contains("EFI\\BOOT"), "{notes:?}");
        now.order.clear();
        assert!(
            said(&now, Some(7), Found::Ours)[0].contains("EFI\\BOOT\\BOOTX64.EFI by itself"),
            "{:?}",
            said(&now, Some(7), Found::Ours)
        );
    }

    #[test]
    fn undoing_leaves_what_others_have_made_since() {
        let old = theirs("old", 6);
        let saved = SavedFirmware {
            order: vec![1, 0],
            entries: [(0, theirs("Windows", 5)), (1, old.clone())].map(|(n, one)| (n, one.to_bytes())).into(),
            next: Some(0),
        };
        // Ours was made in the place of one that had gone, and somebody made another one.
        let now = firmware(&[(0, theirs("Windows", 5)), (2, ours()), (3, theirs("Debian", 8))], &[2, 3, 0], Some(2));
        let changes = back(&now, &saved, &installed());
        assert_eq!(
            changes,
            [Change::Next(Some(0)), Change::Remove(2), Change::Entry(1, old.to_bytes()), Change::Order(vec![1, 0, 3])]
        );
        let as_before = firmware(&[(0, theirs("Windows", 5)), (1, old)], &[1, 0], Some(0));
        assert_eq!(back(&as_before, &saved, &installed()), []);
    }
}
