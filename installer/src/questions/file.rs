//! The machine file that the answers make.

use std::fmt::Write as _;

use cairn_layout::onto::{Mode, Wish};
use cairn_machine::model::Partition;

use super::answers::heard;
use super::{Answers, Seen, Topic, keyboard};
use crate::hardware::quoted;

/// The name of the file with the passphrase of a wireless network.
pub const PASSPHRASE: &str = "network.passphrase";

/// What is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The machine file.
    pub machine: String,
    /// Files that it names: their name beside it, and their contents, which only their owner reads.
    pub beside: Vec<(String, Vec<u8>)>,
}

/// The machine file, with what is usual in the place of what was not asked yet: that of the system with the answers in it, or one of the
/// answers alone.
pub fn text(answers: &Answers, seen: &Seen) -> String {
    let plain = plain(answers, seen);
    match answers.system(seen) {
        Some(system) => system.with(&plain, answers.made_anew(seen).is_some() || answers.by_hand(seen).is_some()),
        None => plain,
    }
}

fn plain(answers: &Answers, seen: &Seen) -> String {
    let of = |topic: Topic| answers.get(topic).filter(|value| !value.is_empty());
    let name = |topic: Topic, usual: &'static str| quoted(of(topic).unwrap_or(usual));
    let key = of(Topic::SshKey);
    let packages = if key.is_some() { "openssh-server, sudo" } else { "sudo" };
    // The usual one has no driver of a radio.
    let kernel = if answers.wifi().is_some() { "    kernel: linux-image-amd64\n" } else { "" };
    let (layout_names, options) = keyboard(of(Topic::Keyboard).unwrap_or("us"));
    let options = match &options[..] {
        [] => String::new(),
        some => format!(", options: [{}]", some.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(", ")),
    };
    let mut text = format!(
        "# Made of answers to the questions of `cairn install`. `cairn check` says what is wrong after a change.\n\
         version: 1\n\
         hostname: {}\n\n\
         source:\n  debian:\n    suite: trixie\n    packages: [{packages}]\n{kernel}\n\
         locale: {{lang: {}}}\n\
         keyboard: {{layout: {}{options}}}\n\
         timezone: {}\n\n",
        name(Topic::HostName, "cairn"),
        name(Topic::Language, "C.UTF-8"),
        quoted(&layout_names),
        name(Topic::TimeZone, "UTC"),
    );
    text += &network(answers, seen);
    if !seen.uefi {
        text += "boot: {loader: grub}      # this computer is started by a BIOS\n\n";
    } else if seen.secure_boot {
        text += "boot: {secure_boot: shim}      # this computer starts only what is signed\n\n";
    }
    text += "disks:\n  main:\n";
    text += &layout(answers, seen);
    if let Some(user) = of(Topic::User) {
        let user = quoted(user);
        let file = quoted(&format!("{}.password", of(Topic::User).unwrap_or_default()));
        let _ = write!(text, "\nusers:\n  {user}:\n    groups: [sudo]\n    hashed_password_file: {file}\n");
        if let Some(key) = key {
            let _ = writeln!(text, "    ssh_authorized_keys:\n      - {}", quoted(key));
        }
    }
    if key.is_some() {
        text += "\nservices:\n  enable: [ssh]\n";
    }
    if let Some(disk) = of(Topic::Disk) {
        let _ = write!(text, "\ninstall:\n  disk: {}\n{}", quoted(disk), into(answers, seen));
    }
    text
}

/// What becomes of the disk.
fn into(answers: &Answers, seen: &Seen) -> String {
    if let Some(hand) = answers.by_hand(seen) {
        return wished(&hand.wish());
    }
    let place = answers.place(seen);
    let into = if place.is_some() { "free" } else { answers.get(Topic::Use).unwrap_or("whole") };
    let mut text = format!("  into: {into}\n");
    if let Some(place) = place {
        let _ = writeln!(text, "  replace: {{root: {}}}", place.number);
    }
    if let Some(esp) = place.and_then(|place| place.shared).filter(|_| seen.uefi) {
        let _ = writeln!(text, "  keep: {{esp: {esp}}}");
    }
    text
}

fn wished(wish: &Wish) -> String {
    let mut text = format!("  into: {}\n", if wish.mode == Mode::Free { "free" } else { "whole" });
    for (key, uses) in [("replace", &wish.replace), ("keep", &wish.keep)] {
        let uses: Vec<String> = uses.iter().map(|(name, number)| format!("{}: {number}", quoted(name))).collect();
        if !uses.is_empty() {
            let _ = writeln!(text, "  {key}: {{{}}}", uses.join(", "));
        }
    }
    let spare: Vec<String> = wish.spare.iter().map(u32::to_string).collect();
    if !spare.is_empty() {
        let _ = writeln!(text, "  spare: [{}]", spare.join(", "));
    }
    text
}

/// Nothing where a cable says it all.
fn network(answers: &Answers, seen: &Seen) -> String {
    let list = |words: &[&str]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    if let Some(name) = answers.wifi() {
        let mut says = Vec::new();
        if answers.get(Topic::WifiPassphrase).is_some() {
            says.push(format!("passphrase_file: {PASSPHRASE}"));
        }
        if heard(seen, name).is_none() {
            says.push("hidden: true".into());
        }
        return format!("network:\n  wifi:\n    {}: {{{}}}\n\n", quoted(name), says.join(", "));
    }
    let Some(fixed) = answers.address(seen) else { return String::new() };
    let mut says = vec![format!("addresses: [{}]", list(&fixed.addresses))];
    for (key, words) in [("gateways", &fixed.gateways), ("nameservers", &fixed.servers)] {
        if !words.is_empty() {
            says.push(format!("{key}: [{}]", list(words)));
        }
    }
    format!("network:\n  interfaces:\n    {}:\n      {}\n\n", quoted(fixed.interface), says.join("\n      "))
}

/// The disk's partitions: those that are there where the machine on it is made anew.
fn layout(answers: &Answers, seen: &Seen) -> String {
    let list = |partitions: Vec<String>| format!("    partitions:\n      - {}\n", partitions.join("\n      - "));
    if let Some(hand) = answers.by_hand(seen) {
        return list(hand.all_partitions().iter().map(partition).collect());
    }
    if let Some(there) = answers.made_anew(seen) {
        let one = |(kind, mib): &(&str, u64)| match *kind {
            "swap" => format!("{{type: swap, size: {mib}M}}"),
            kind => format!("{{type: {kind}}}"),
        };
        return list(there.iter().map(one).collect());
    }
    match answers.get(Topic::Swap).filter(|size| *size != "0") {
        None => format!("    layout: {}\n", if seen.uefi { "uefi" } else { "bios" }),
        Some(size) => {
            let boot: &[&str] = if seen.uefi { &["{type: esp}"] } else { &["{type: bios-boot}", "{type: xbootldr}"] };
            let rest = [format!("{{type: swap, size: {size}}}"), "{type: root}".to_string()];
            list(boot.iter().map(ToString::to_string).chain(rest).collect())
        }
    }
}

fn partition(one: &Partition) -> String {
    let mut says = vec![format!("type: {}", one.kind.name())];
    says.extend(one.mount_point.as_ref().map(|at| format!("mount_point: {}", quoted(at))));
    says.extend(one.format.map(|format| format!("format: {}", format.name())));
    says.extend(one.size.map(|size| format!("size: {size}")));
    format!("{{{}}}", says.join(", "))
}
