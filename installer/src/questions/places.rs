//! Partitions that are there, in whose place a machine can be.

use cairn_layout::human;
use cairn_process::text::one_line;

use crate::disks::Device;

/// Smaller ones hold no system.
pub const LEAST: u64 = 3 << 30;
/// What a machine needs beside its root for what it starts from.
const TO_START: u64 = 300 << 20;
/// Kinds of partitions that somebody else starts by, or that have their own question.
const NEEDED: [&str; 5] = ["esp", "bios-boot", "xbootldr", "swap", "home"];

/// Such a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub number: u32,
    /// It in words.
    pub shown: String,
    /// The EFI system partition that is shared, where there is no room for one of its own.
    pub shared: Option<u32>,
}

/// Those of a disk. `kind` says of which kind a partition is.
pub fn places(disk: &Device, parts: &[&Device], kind: &dyn Fn(&Device) -> String) -> Vec<Place> {
    let number = |one: &Device| one.partition.as_ref().map(|partition| partition.number);
    let taken: u64 = parts.iter().map(|one| one.bytes).sum();
    let short = disk.bytes.saturating_sub(taken) < TO_START;
    let shared = parts.iter().find(|one| kind(one) == "esp").and_then(|one| number(one)).filter(|_| short);
    let large = parts.iter().filter(|one| one.bytes >= LEAST && !NEEDED.contains(&kind(one).as_str()));
    let place = |one: &&Device| {
        let label = one.contents.signature.as_ref().and_then(|it| it.label.as_deref());
        let label = label.map(|label| format!(" \"{}\"", one_line(label))).unwrap_or_default();
        let shown = format!("{}{label}, {}", kind(one), human(one.bytes));
        Some(Place { number: number(one)?, shown, shared })
    };
    large.filter_map(place).collect()
}
