//! An entry of our own in the firmware's menu: made when it is missing, and then left to whoever uses that menu. Flash wears,
//! so nothing is written that is there already.

use super::{Change, Firmware, LoadOption};
use crate::installation::Installation;

/// What the firmware's menu is to have.
#[derive(Debug, Clone, Copy)]
pub struct BootEntry<'a> {
    /// Whose entry it is.
    pub installation: Installation,
    /// The entry ([`BootEntry::description`] in it), or that there is to be none of ours.
    pub wanted: Option<&'a LoadOption>,
}

impl BootEntry<'_> {
    /// What our entry is called: the name tells it from all others.
    pub fn description(installation: Installation) -> String {
        format!("Cairn ({})", installation.mark())
    }
}

/// What is to be written, in this order: an order that names what is not there yet would be worse than none.
pub fn changes(entry: &BootEntry<'_>, firmware: &Firmware) -> Vec<Change> {
    let ours = BootEntry::description(entry.installation);
    let found = |test: &dyn Fn(&LoadOption) -> bool| {
        let mut there = firmware.entries.iter().filter_map(|(n, bytes)| Some((*n, LoadOption::parse(bytes)?)));
        there.find(|(_, option)| test(option))
    };
    let ours = found(&|option| option.description == ours);
    let Some(wanted) = entry.wanted else {
        let Some((number, _)) = ours else { return Vec::new() };
        let order: Vec<u16> = firmware.order.iter().copied().filter(|n| *n != number).collect();
        let order = (order != firmware.order).then_some(Change::Order(order));
        return order.into_iter().chain([Change::Remove(number)]).collect();
    };
    let mut changes = Vec::new();
    // One that somebody else made for the same program will do; it stays theirs.
    let number = match ours.or_else(|| found(&|option| option.same_program(wanted))) {
        Some((number, there)) if there.same_program(wanted) => number,
        Some((number, _)) => {
            changes.push(Change::Entry(number, wanted.to_bytes()));
            number
        }
        None => {
            let taken = |n: &u16| firmware.entries.contains_key(n) || firmware.order.contains(n);
            let Some(number) = (0..=u16::MAX).find(|n| !taken(n)) else { return Vec::new() };
            changes.push(Change::Entry(number, wanted.to_bytes()));
            number
        }
    };
    // First once; where it stands after that is the owner's affair.
    if !firmware.order.contains(&number) {
        changes.push(Change::Order([number].into_iter().chain(firmware.order.iter().copied()).collect()));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::Signature;
    use super::*;
    use uuid::Uuid;

    fn installation() -> Installation {
        Installation::of_seed(Uuid::from_bytes([9; 16]))
    }

    fn option(description: &str, file: &str) -> LoadOption {
        LoadOption {
            description: description.into(),
            partition: 1,
            start: 2048,
            sectors: 4096,
            signature: Signature::Gpt(Uuid::from_bytes([7; 16])),
            file: file.into(),
        }
    }

    fn ours() -> LoadOption {
        option(&BootEntry::description(installation()), "EFI/systemd/systemd-bootx64.efi")
    }

    fn firmware(entries: &[(u16, LoadOption)], order: &[u16]) -> Firmware {
        let entries = entries.iter().map(|(n, option)| (*n, option.to_bytes())).collect();
        Firmware { order: order.into(), entries, ..Firmware::default() }
    }

    fn change(firmware: &mut Firmware, wanted: Option<&LoadOption>) -> Vec<Change> {
        let changes = changes(&BootEntry { installation: installation(), wanted }, firmware);
        for change in &changes {
            match change.clone() {
                Change::Entry(n, bytes) => drop(firmware.entries.insert(n, bytes)),
                Change::Order(order) => firmware.order = order,
                Change::Remove(n) => drop(firmware.entries.remove(&n)),
                Change::Next(_) | Change::Forget(_) | Change::Once(_) => unreachable!(),
            }
        }
        changes
    }

    #[test]
    fn an_entry_is_made_first_once_and_never_again() {
        let windows = option("Windows Boot Manager", "EFI/Microsoft/Boot/bootmgfw.efi");
        // What the order names need not be there: that number is not used either.
        let mut there = firmware(&[(0, windows)], &[0, 1]);
        let changes = change(&mut there, Some(&ours()));
        assert_eq!(changes, [Change::Entry(2, ours().to_bytes()), Change::Order(vec![2, 0, 1])]);
        assert_eq!(change(&mut there, Some(&ours())), []);
        // Somebody puts another one first, or switches ours off.
        there.order = vec![0, 2];
        there.entries.get_mut(&2).unwrap()[0] = 0;
        assert_eq!(change(&mut there, Some(&ours())), []);
        assert_eq!(change(&mut firmware(&[], &[]), Some(&ours())).len(), 2);
    }

    #[test]
    fn another_loader_gets_the_same_entry() {
        let mut there = firmware(&[(3, ours())], &[3]);
        let grub = LoadOption { file: "EFI/cairn-0123abcd/grubx64.efi".into(), ..ours() };
        assert_eq!(change(&mut there, Some(&grub)), [Change::Entry(3, grub.to_bytes())]);
        assert_eq!(change(&mut there, Some(&grub)), []);
    }

    #[test]
    fn an_entry_of_somebody_else_for_the_same_program_will_do_and_stays_theirs() {
        let theirs = LoadOption { description: "Linux Boot Manager".into(), ..ours() };
        let mut there = firmware(&[(5, theirs)], &[]);
        assert_eq!(change(&mut there, Some(&ours())), [Change::Order(vec![5])]);
        assert_eq!(change(&mut there, None), []);
    }

    #[test]
    fn only_our_own_entry_goes_again() {
        let other = option("Cairn (00000000)", "EFI/systemd/systemd-bootx64.efi");
        let mut there = firmware(&[(1, other), (2, ours())], &[2, 1]);
        assert_eq!(change(&mut there, None), [Change::Order(vec![1]), Change::Remove(2)]);
        assert_eq!(change(&mut there, None), []);
    }
}
