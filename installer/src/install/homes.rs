//! What people have in a root that goes, by name: a home that is a folder of it goes with it.

use cairn_disk::Source;
use cairn_layout::onto::Onto;
use cairn_observe::view::ext4_names;

/// More names than these are counted only.
const NAMED: usize = 6;
/// What people keep their things in.
const FOLDERS: [&str; 2] = ["/home", "/srv"];

/// What is to be known of the partitions that go. File systems other than ext4 are not looked into.
pub fn lost(onto: &Onto, disk: &dyn Source) -> Vec<String> {
    let sector = onto.there.sector;
    let mut notes = Vec::new();
    for one in onto.losses() {
        let place = (one.first.offset(sector), one.sectors.bytes(sector));
        if one.format.as_deref() == Some("ext4") && ext4_names(disk, place, "/").is_none() {
            notes.push(format!(
                "what people have in partition {} is not to be seen: it is mounted, was not left clean, or is damaged",
                one.number
            ));
        }
        for folder in FOLDERS {
            let names = ext4_names(disk, place, folder).unwrap_or_default();
            let names: Vec<String> =
                names.into_iter().filter(|name| ![".", "..", "lost+found"].contains(&name.as_str())).collect();
            if !names.is_empty() {
                notes.push(words(one.number, folder, &names));
            }
        }
        // What has a machine of Cairn's state keeps all of it that way.
        if !notes.is_empty() && ext4_names(disk, place, "/var/lib/cairn").is_some_and(|names| !names.is_empty()) {
            notes.push(format!(
                "`--into renew` makes the system in partition {} anew and keeps all else in it",
                one.number
            ));
        }
    }
    notes
}

fn words(number: u32, folder: &str, names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut shown = names[..names.len() - more].join(", ");
    if more > 0 {
        shown = format!("{shown} and {more} more");
    }
    format!("{folder} is a folder of partition {number}, and goes with it: {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = (1..=8).map(|n| format!("u{n}")).collect();
        assert_eq!(words(2, "/home", &names[..1]), "/home is a folder of partition 2, and goes with it: u1");
        assert!(words(2, "/srv", &names).ends_with("u1, u2, u3, u4, u5, u6 and 2 more"));
    }
}
