//! Variables that make systemd-boot take another entry than the one that the order of the entries puts first.

use super::{Firmware, LoaderVariable};
use crate::entry_name::EntryName;

/// One that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Which.
    pub variable: LoaderVariable,
    /// What it names: an entry, a pattern, or `@saved`.
    pub value: String,
    /// Whether it stands in the way of upgrades, rollbacks or the way back from a trial that fails. One that names another
    /// system is its owner's wish.
    pub hurts: bool,
}

/// Those that have an effect. `entries` are our own entries on the boot partition.
pub fn overrides(firmware: &Firmware, entries: &[EntryName]) -> Vec<Override> {
    let named = |variable: LoaderVariable, value: &str| {
        let pattern = value.to_lowercase();
        // The loader leaves the counter out of an entry's name, and takes one even when it has no tries left.
        let ours = entries.iter().filter(|entry| {
            let plain = EntryName { counter: None, ..(*entry).clone() };
            matches(pattern.as_bytes(), plain.to_string().as_bytes())
        });
        let mut used_up = ours.map(|entry| entry.counter.is_some_and(|counter| counter.left == 0)).peekable();
        match variable {
            // It is for ever: whichever of ours it names, no other is tried.
            LoaderVariable::Default => used_up.peek().is_some() || pattern == "@saved",
            LoaderVariable::OneShot => used_up.any(|used_up| used_up),
        }
    };
    let set = firmware.set.iter().map(|(variable, value)| (*variable, value.clone()));
    set.map(|(variable, value)| Override { variable, hurts: named(variable, &value), value }).collect()
}

/// Whether a name is of a pattern with `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not fit: the star takes one more byte. What stars before it have
    // taken need not change, so that the time is that of one with the other, whoever has set the variable.
    let mut again: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                again = Some((p, n));
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((after, from)) = again else { return false };
                (p, n) = (after, from + 1);
                again = Some((p, n));
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_name::Counter;
    use crate::installation::Installation;
    use uuid::Uuid;

    #[test]
    fn what_names_one_of_ours_for_ever_hurts_and_what_names_another_system_does_not() {
        let installation = Installation::of_seed(Uuid::from_bytes([9; 16]));
        let mark = installation.mark();
        let entry = |number, counter| EntryName { mark: mark.clone(), number, hash: "0123abcd".into(), counter };
        let entries = [
            entry(1, None),
            entry(2, Some(Counter { left: 0, done: 3 })),
            entry(3, Some(Counter { left: 2, done: 1 })),
        ];
        let hurts = |variable, value: &str| {
            let mut firmware = Firmware::default();
            firmware.set.insert(variable, value.to_string());
            overrides(&firmware, &entries)[0].hurts
        };
        let one = |number: u32| format!("cairn-{mark}-{number}-0123abcd.conf");
        use LoaderVariable::{Default, OneShot};
        for value in
            [one(1), one(2), one(1).to_uppercase(), "cairn-*".into(), "@saved".into(), "*-2-????????.conf".into()]
        {
            assert!(hurts(Default, &value), "{value}");
        }
        for value in ["auto-windows", "debian.conf", "cairn-00000000-1-0123abcd.conf", &one(7), "@x"] {
            assert!(!hurts(Default, value), "{value}");
        }
        assert!(hurts(OneShot, &one(2)));
        assert!(!hurts(OneShot, &one(1)) && !hurts(OneShot, &one(3)) && !hurts(OneShot, "auto-windows"));
        assert_eq!(overrides(&Firmware::default(), &entries), []);
    }

    #[test]
    fn a_pattern_of_many_stars_is_compared_at_once() {
        // One star after the other tried at every place, this would not end.
        let name = "a".repeat(60);
        assert!(!matches(format!("{}b", "*a".repeat(30)).as_bytes(), name.as_bytes()));
        assert!(matches(format!("{}?*", "*a".repeat(30)).as_bytes(), name.as_bytes()));
        assert!(matches("*".repeat(1 << 20).as_bytes(), name.as_bytes()));
        for (pattern, name) in [("", ""), ("*", ""), ("a*", "a"), ("*ab", "aab"), ("a?c*", "abcd"), ("*a*b", "xaaxb")] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("?", ""), ("a", "ab"), ("*a", "ab"), ("a?c", "ac"), ("*a*b", "xb")] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
}
