//! The disks in a hardware file: a key for each line, a partition for each line.

use std::fmt::{self, Write as _};

use cairn_machine::model::{RecordedDisk, RecordedPartition, RecordedSignature, RecordedTable};
use serde_json::Value;

/// Writes the key `disks`; nothing where there are none.
pub fn write(disks: &[RecordedDisk], text: &mut String) -> fmt::Result {
    if disks.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "# The disks as they were, with their serial numbers, for `cairn rehearse --hardware` and `cairn run`. Nothing else reads\n\
         # this: who is not to know them can be given the file without it.\ndisks:"
    )?;
    disks.iter().try_for_each(|disk| one(disk, text))
}

fn one(disk: &RecordedDisk, text: &mut String) -> fmt::Result {
    let mut keys = Keys::default();
    keys.text("name", Some(&disk.name)).text("model", disk.model.as_ref()).text("serial", disk.serial.as_ref());
    keys.text("wwn", disk.wwn.as_ref());
    keys.list("by_id", &disk.by_id).text("transport", disk.transport.as_ref()).list("drivers", &disk.drivers);
    keys.number("bytes", Some(disk.bytes)).number("sector_size", Some(disk.sector_size.into()));
    keys.number("physical_sector_size", disk.physical_sector_size.map(u64::from));
    keys.yes("rotational", disk.rotational).yes("removable", disk.removable).yes("read_only", disk.read_only);
    keys.list("used", &disk.used).yes("unknown", disk.unknown);
    keys.flow("table", disk.table.as_ref().map(table)).flow("signature", disk.signature.as_ref().map(signature));
    for (n, (key, value)) in keys.0.iter().enumerate() {
        writeln!(text, "  {} {key}: {value}", if n == 0 { "-" } else { " " })?;
    }
    if !disk.partitions.is_empty() {
        writeln!(text, "    partitions:")?;
    }
    disk.partitions.iter().try_for_each(|one| writeln!(text, "      - {}", partition(one).flowing()))
}

fn table(table: &RecordedTable) -> Keys {
    let mut keys = Keys::default();
    keys.text("kind", Some(&table.kind)).text("id", table.id.as_ref()).number("first_lba", table.first_lba);
    keys.number("last_lba", table.last_lba).number("entries", table.entries.map(u64::from));
    keys.text("damaged", table.damaged.as_ref());
    keys
}

fn partition(one: &RecordedPartition) -> Keys {
    let mut keys = Keys::default();
    keys.number("number", Some(one.number.into())).number("start", Some(one.start)).number("size", Some(one.size));
    keys.text("type", one.type_id.as_ref()).text("uuid", one.uuid.as_ref()).text("name", one.name.as_ref());
    keys.text("flags", one.flags.as_ref()).yes("unknown", one.unknown);
    keys.flow("signature", one.signature.as_ref().map(signature));
    keys
}

fn signature(found: &RecordedSignature) -> Keys {
    let mut keys = Keys::default();
    keys.text("type", Some(&found.kind)).text("usage", found.usage.as_ref()).text("label", found.label.as_ref());
    keys.text("uuid", found.uuid.as_ref()).text("group", found.group.as_ref()).text("version", found.version.as_ref());
    keys
}

/// Keys with their values as YAML has them, in order.
#[derive(Default)]
struct Keys(Vec<(&'static str, String)>);

impl Keys {
    fn add(&mut self, key: &'static str, value: Option<String>) -> &mut Keys {
        self.0.extend(value.map(|value| (key, value)));
        self
    }

    fn text(&mut self, key: &'static str, value: Option<&String>) -> &mut Keys {
        self.add(key, value.map(|text| quoted(text)))
    }

    fn number(&mut self, key: &'static str, value: Option<u64>) -> &mut Keys {
        self.add(key, value.map(|number| number.to_string()))
    }

    fn yes(&mut self, key: &'static str, value: bool) -> &mut Keys {
        self.add(key, value.then(|| "true".into()))
    }

    fn list(&mut self, key: &'static str, values: &[String]) -> &mut Keys {
        let list = || format!("[{}]", values.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "));
        self.add(key, (!values.is_empty()).then(list))
    }

    fn flow(&mut self, key: &'static str, keys: Option<Keys>) -> &mut Keys {
        self.add(key, keys.map(|keys| keys.flowing()))
    }

    fn flowing(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}}}", all.join(", "))
    }
}

/// In quotation marks, but for a word that YAML takes for nothing else.
pub(crate) fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text);
    if plain && !word { text.to_string() } else { Value::from(text).to_string() }
}
