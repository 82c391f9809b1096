//! A machine file with other values: what did not change stays as somebody has written it, comments and all.

use serde_json::{Map, Value};

use crate::check::SourceFile;
use crate::lock::yaml_of;
use crate::model::Machine;
use crate::tree::Value as Node;
use crate::yaml;

/// The smallest machine file: what it has by itself nobody needs to say.
const LEAST: &str = r#"{"version":1,"hostname":"m","source":{"debian":{}},"disks":{}}"#;

/// The text of a machine file in the place of `old`'s that says what `new` is. Keys whose values are the same keep their lines; what is written
/// anew leaves out what a machine has by itself.
pub fn edit(file: &SourceFile, old: &Machine, new: &Machine) -> String {
    let (before, after) = (object(old), object(new));
    let usual = serde_json::from_str::<Machine>(LEAST).map(|least| object(&least)).unwrap_or_default();
    let blocks = places(file);
    let Some((text, blocks)) = blocks else {
        // In one line, or otherwise not key by key.
        return after.iter().map(|(key, value)| block(key, value, usual.get(key))).collect();
    };
    let mut edited = String::new();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let head = blocks.first().map_or(lines.len(), |(_, line)| *line);
    edited.extend(lines[..head].iter().copied());
    for (index, (key, begin)) in blocks.iter().enumerate() {
        let next = blocks.get(index + 1).map_or(lines.len(), |(_, line)| *line);
        // Comments in front of the next key are its own.
        let own = lines[*begin..next].iter().rposition(|line| !is_aside(line)).map_or(next, |last| begin + last + 1);
        match after.get(key) {
            value if value == before.get(key) => edited.extend(lines[*begin..own].iter().copied()),
            Some(value) => edited += &block(key, value, usual.get(key)),
            None => {}
        }
        edited.extend(lines[own..next].iter().copied());
    }
    for (key, value) in &after {
        if before.get(key) != Some(value) && !blocks.iter().any(|(there, _)| there == key) {
            if !edited.ends_with('\n') {
                edited.push('\n');
            }
            edited += &block(key, value, usual.get(key));
        }
    }
    edited
}

/// The keys in the order in which a person reads them; others come behind them.
const ORDER: [&str; 12] = [
    "version", "hostname", "hardware", "seed", "source", "disks", "boot", "timezone", "locale", "keyboard", "network",
    "users",
];

/// The text of a machine file that says what a machine is, without what a machine has by itself.
pub fn to_yaml(machine: &Machine) -> String {
    let usual = serde_json::from_str::<Machine>(LEAST).map(|least| object(&least)).unwrap_or_default();
    let mut all: Vec<(String, Value)> = object(machine).into_iter().collect();
    let place = |key: &str| ORDER.iter().position(|one| *one == key).unwrap_or(ORDER.len());
    all.sort_by_key(|(key, _)| place(key));
    all.retain(|(key, value)| key == "version" || usual.get(key) != Some(value));
    for (key, value) in &mut all {
        let plain: &[(&str, Value)] = match key.as_str() {
            "users" | "groups" => &[("system", Value::Bool(false))],
            "disks" => &[("free", Value::String("256M".into()))],
            "network" => {
                let interfaces = value.get_mut("interfaces").and_then(Value::as_object_mut);
                interfaces
                    .into_iter()
                    .flat_map(Map::values_mut)
                    .for_each(|one| drop_if(one, "optional", &Value::Bool(false)));
                &[]
            }
            _ => &[],
        };
        for (name, usual) in plain {
            value.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(|one| drop_if(one, name, usual));
        }
    }
    all.iter().map(|(key, value)| block(key, value, usual.get(key))).collect()
}

fn drop_if(value: &mut Value, key: &str, usual: &Value) {
    if let Some(map) = value.as_object_mut()
        && map.get(key) == Some(usual)
    {
        map.remove(key);
    }
}

/// The text, and its keys, each with its line, where they stand one below the other at the beginnings of lines.
fn places(file: &SourceFile) -> Option<(&str, Vec<(String, usize)>)> {
    let text = std::str::from_utf8(&file.bytes).ok()?;
    let tree = yaml::parse(&file.name, &file.bytes).tree?;
    let Node::Mapping(mapping) = &tree.value else { return None };
    let mut blocks: Vec<(String, usize)> = Vec::new();
    for entry in mapping.entries() {
        let line = entry.key_at.line.checked_sub(1)?;
        if entry.key_at.column != 1 || blocks.last().is_some_and(|(_, last)| *last >= line) {
            return None;
        }
        blocks.push((entry.key.clone()?, line));
    }
    Some((text, blocks))
}

/// Whether a line says nothing by itself.
fn is_aside(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn object(machine: &Machine) -> Map<String, Value> {
    match serde_json::to_value(machine) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn block(key: &str, value: &Value, usual: Option<&Value>) -> String {
    let said = without(value, usual);
    yaml_of(&Map::from_iter([(key.to_string(), said)]))
}

/// What of a value is not so by itself.
fn without(value: &Value, usual: Option<&Value>) -> Value {
    match (value, usual) {
        (Value::Object(map), Some(Value::Object(usual))) => {
            let said = map.iter().filter(|(key, value)| usual.get(*key) != Some(*value));
            Value::Object(said.map(|(key, value)| (key.clone(), without(value, usual.get(key)))).collect())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::model::Loader;

    const FILE: &str = "\
# A machine.
version: 1
hostname: one        # its name

# What is on it.
source:
  debian:
    packages: [sudo]   # to become root
# Disks.
disks: {main: {layout: uefi}}
users:
  anna: {hashed_password_file: anna.password}
";

    fn machine(text: &str) -> Machine {
        check(&SourceFile::new("m.yaml", text), &mut |_| Err("none".into())).unwrap().machine
    }

    #[test]
    fn what_did_not_change_keeps_its_lines() {
        let old = machine(FILE);
        let mut new = old.clone();
        new.hostname = "two".into();
        new.timezone = "Europe/Berlin".into();
        new.boot.loader = Loader::Grub;
        new.source.debian_mut().packages.push("tzdata".into());
        let text = edit(&SourceFile::new("m.yaml", FILE), &old, &new);
        let expected = "\
# A machine.
version: 1
hostname: two

# What is on it.
source:
  debian:
    packages:
    - sudo
    - tzdata
# Disks.
disks: {main: {layout: uefi}}
users:
  anna: {hashed_password_file: anna.password}
boot:
  loader: grub
timezone: Europe/Berlin
";
        assert_eq!(text, expected);
        assert_eq!(machine(&text), new);
        assert_eq!(edit(&SourceFile::new("m.yaml", FILE), &old, &old), FILE);
    }

    #[test]
    fn a_file_in_one_line_is_written_anew() {
        let text = r#"{version: 1, hostname: one, source: {debian: {packages: [sudo]}}, disks: {main: {layout: uefi}}, users: {anna: {hashed_password_file: a}}}"#;
        let old = machine(text);
        let mut new = old.clone();
        new.hostname = "two".into();
        assert_eq!(machine(&edit(&SourceFile::new("m.yaml", text), &old, &new)), new);
    }
}
