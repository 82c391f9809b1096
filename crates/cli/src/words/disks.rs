//! The disks of a computer, in words.

use std::fmt::Write as _;

use cairn_installer::disks::{self, Device, Kind, Stack, Use, type_words};
use cairn_layout::human;
use cairn_process::text::one_line;

use crate::table::table;

/// How many places are named where something is mounted.
const NAMED: usize = 3;

/// The disks that a system could be installed on, and why not on the others.
pub fn candidates(devices: &[Device]) -> String {
    let all = disks::candidates(devices);
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let identity = &one.device.identity;
            let model = [one.device.transport, identity.model.as_deref()];
            vec![
                one.device.name.clone(),
                size(one.device.bytes),
                model.into_iter().flatten().collect::<Vec<_>>().join(" "),
                identity.serial.clone().unwrap_or_else(|| "-".into()),
                one.obstacle.as_ref().map_or_else(|| "could be installed on".into(), ToString::to_string),
            ]
        })
        .collect();
    if rows.is_empty() { "there are no disks".into() } else { table(&["", "size", "what", "serial", ""], &rows) }
}

/// Each disk with what is on it.
pub fn list(devices: &[Device]) -> String {
    let stack = Stack(devices);
    let mut all: Vec<String> = Vec::new();
    for device in stack.bottom() {
        let mut text = format!("{}\n", one_line(&heading(device)));
        for line in names(device).into_iter().chain(table_words(device)) {
            let _ = writeln!(text, "  {}", one_line(&line));
        }
        let mut rows = Vec::new();
        if device.contents.signature.is_some() || !device.uses.is_empty() {
            rows.push(row(device, "(all of it)"));
        }
        below(stack, device, 0, &mut vec![&device.name], &mut rows);
        for line in table(&["", "what", ">size", "holds", "in use"], &rows).lines().filter(|_| !rows.is_empty()) {
            let _ = writeln!(text, "  {line}");
        }
        all.push(text);
    }
    if all.is_empty() { "no disks\n".into() } else { all.join("\n") }
}

fn below<'d>(stack: Stack<'d>, device: &'d Device, depth: usize, met: &mut Vec<&'d str>, rows: &mut Vec<Vec<String>>) {
    let mut next: Vec<&Device> = stack.upon(device).collect();
    next.sort_by_key(|one| one.partition.as_ref().map(|p| p.offset));
    for one in next {
        let name = format!("{}{}", "  ".repeat(depth), one.name);
        // An array is told below each of its members, and what is in it once.
        rows.push(row(one, &name));
        if !met.contains(&one.name.as_str()) {
            met.push(&one.name);
            below(stack, one, depth + 1, met, rows);
        }
    }
}

/// `sda: 465.8G (500 GB), sata, Samsung SSD 870, serial S5Y1`
fn heading(device: &Device) -> String {
    let mut parts = Vec::new();
    parts.push(if device.bytes == 0 { "empty".into() } else { size(device.bytes) });
    parts.extend(device.transport.map(str::to_string));
    parts.extend(Some(words(device)).filter(|_| device.kind != Kind::Disk).map(str::to_string));
    let identity = &device.identity;
    parts.extend(identity.name.iter().chain(&identity.model).cloned());
    parts.extend(identity.serial.as_ref().map(|serial| format!("serial {serial}")));
    if device.sector_size != 512 && device.bytes > 0 {
        parts.push(format!("sectors of {} bytes", device.sector_size));
    }
    parts.extend(device.read_only.then(|| "read-only".to_string()));
    parts.extend(device.removable.then(|| "removable".to_string()));
    format!("{}: {}", device.name, parts.join(", "))
}

/// As it is sold, too.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        1_000_000_000_000.. => (1_000_000_000_000, "TB"),
        1_000_000_000.. => (1_000_000_000, "GB"),
        _ => return human(bytes),
    };
    let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
    let sold = if tenths % 10 == 0 { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) };
    format!("{} ({sold} {name})", human(bytes))
}

fn names(device: &Device) -> Option<String> {
    let names = &device.identity.by_id;
    // The one that says most to a person.
    let best = names.iter().find(|name| !name.starts_with("wwn-") && !name.starts_with("nvme-eui.")).or(names.first());
    best.map(|name| format!("/dev/disk/by-id/{name}"))
}

fn table_words(device: &Device) -> Option<String> {
    let id = device.contents.table_id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    device.contents.table.as_ref().map(|kind| format!("partition table {kind}{id}"))
}

fn row(device: &Device, name: &str) -> Vec<String> {
    let partition = device.partition.as_ref();
    let kind = partition.and_then(|p| p.type_id.as_deref()).map(|id| type_words(id).unwrap_or(id));
    let label = partition.and_then(|p| p.label.as_ref()).or(device.identity.name.as_ref());
    let what = kind.unwrap_or_else(|| words(device)).to_string();
    let what = label.map_or(what.clone(), |label| format!("{what} \"{label}\""));
    let signature = device.contents.signature.as_ref();
    let holds =
        signature.map(|it| it.label.as_ref().map_or(it.kind.clone(), |label| format!("{} \"{label}\"", it.kind)));
    let nothing = if device.contents.is_empty() { "-" } else { "unknown" };
    let holds = holds.or_else(|| table_words(device)).unwrap_or_else(|| nothing.into());
    vec![name.to_string(), what, human(device.bytes), holds, uses(device)]
}

fn uses(device: &Device) -> String {
    let places: Vec<String> = device
        .uses
        .iter()
        .filter_map(|one| match one {
            Use::Mounted(at) => Some(at.display().to_string()),
            _ => None,
        })
        .collect();
    let mut parts = Vec::new();
    if !places.is_empty() {
        let more = places.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("mounted at {}{more}", places[..places.len().min(NAMED)].join(", ")));
    }
    if device.uses.contains(&Use::Swap) {
        parts.push("swap".into());
    }
    if parts.is_empty() { "-".into() } else { parts.join("; ") }
}

fn words(device: &Device) -> &'static str {
    match device.kind {
        Kind::Disk => "disk",
        Kind::Partition => "partition",
        Kind::Optical => "optical disc",
        Kind::Floppy => "floppy disk",
        Kind::Loop => "file as a disk",
        Kind::BootArea => "boot area",
        Kind::Crypt => "decrypted",
        Kind::LogicalVolume => "logical volume",
        Kind::Multipath => "multipath",
        Kind::Raid => "array",
        Kind::Bcache => "bcache",
        Kind::Zvol => "ZFS volume",
        Kind::Mapped => "mapped",
        _ => "device",
    }
}

#[cfg(test)]
mod tests {
    use cairn_installer::disks::{Contents, Identity, Partition, Signature};

    use super::*;

    fn device(name: &str, kind: Kind, bytes: u64) -> Device {
        Device {
            name: name.into(),
            number: "8:0".into(),
            kind,
            bytes,
            sector_size: 512,
            physical_sector_size: 512,
            read_only: false,
            removable: false,
            rotational: false,
            transport: None,
            identity: Identity::default(),
            partition: None,
            contents: Contents { known: true, ..Contents::default() },
            held_by: Vec::new(),
            lies_on: Vec::new(),
            uses: Vec::new(),
        }
    }

    fn partition(
        name: &str,
        (number, type_id, label): (u32, &str, Option<&str>),
        holds: Option<(&str, &str)>,
    ) -> Device {
        let place = Partition {
            disk: "sda".into(),
            number,
            offset: u64::from(number) << 30,
            type_id: Some(type_id.into()),
            id: None,
            label: label.map(str::to_string),
            flags: None,
        };
        let signature = holds.map(|(kind, label)| Signature {
            kind: kind.into(),
            label: Some(label.to_string()).filter(|label| !label.is_empty()),
            ..Signature::default()
        });
        let contents = Contents { known: true, signature, ..Contents::default() };
        Device { partition: Some(place), contents, ..device(name, Kind::Partition, 1 << 30) }
    }

    #[test]
    fn a_person_sees_what_would_be_lost() {
        let identity = Identity {
            model: Some("Samsung\u{1b}[31m SSD".into()),
            serial: Some("S1".into()),
            by_id: vec!["ata-Samsung_S1".into(), "wwn-0x5".into()],
            ..Identity::default()
        };
        let contents =
            Contents { known: true, table: Some("gpt".into()), table_id: Some("a-b".into()), signature: None };
        let disk = Device { identity, contents, transport: Some("sata"), ..device("sda", Kind::Disk, 500_107_862_016) };
        let esp = partition("sda1", (1, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", Some("EFI")), Some(("vfat", "")));
        let esp = Device { uses: vec![Use::Mounted("/boot".into())], ..esp };
        let luks = partition("sda2", (2, "0fc63daf-8483-4772-8e79-3d69d8477de4", None), Some(("crypto_LUKS", "")));
        let root = Device {
            lies_on: vec!["sda2".into()],
            identity: Identity { name: Some("root".into()), ..Identity::default() },
            contents: Contents {
                known: true,
                signature: Some(Signature { kind: "ext4".into(), label: Some("a b".into()), ..Signature::default() }),
                ..Contents::default()
            },
            uses: ["/", "/home", "/nix/store", "/srv"].map(|at| Use::Mounted(at.into())).into(),
            ..device("dm-0", Kind::Crypt, 1 << 30)
        };
        let unknown = Device { contents: Contents::default(), ..partition("sda3", (3, "0x99", None), None) };
        let reader = Device { removable: true, transport: Some("usb"), ..device("sdb", Kind::Disk, 0) };
        let said = list(&[disk, esp, luks, unknown, root, reader]);
        assert_eq!(
            said,
            "sda: 465.8G (500.1 GB), sata, Samsung\\x1b[31m SSD, serial S1\n\
             \x20 /dev/disk/by-id/ata-Samsung_S1\n\
             \x20 partition table gpt a-b\n\
             \x20         what              size  holds        in use\n\
             \x20 sda1    esp \"EFI\"           1G  vfat         mounted at /boot\n\
             \x20 sda2    Linux               1G  crypto_LUKS  -\n\
             \x20   dm-0  decrypted \"root\"    1G  ext4 \"a b\"   mounted at /, /home, /nix/store and 1 more\n\
             \x20 sda3    0x99                1G  unknown      -\n\
             \nsdb: empty, usb, removable\n"
        );
        assert_eq!(list(&[]), "no disks\n");
    }
}
