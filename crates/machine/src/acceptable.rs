//! What of a machine the rules accept: a machine that was put together from what somebody else wrote, without what is refused of it.

use serde_json::Value;

use crate::edit::to_yaml;
use crate::model::{Disk, Machine, NamedLayout};
use crate::pointer::{readable, tokens};
use crate::{rules, schema, structure, yaml};

/// Something that is not in the machine any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it stood, as a person reads it: `users.alice.groups[2]`.
    pub place: String,
    /// Why `cairn check` would refuse it.
    pub why: String,
}

/// More rounds than a machine has rules that hang on each other.
const ROUNDS: usize = 64;
/// What a machine is called whose own name cannot be one.
const NAMELESS: &str = "machine";

/// Takes out of a machine what a machine file cannot say and what the rules refuse, so that what is left is right: of a list the item, of a
/// mapping the key; what a machine cannot be without gets what is usual.
pub fn acceptable(mut machine: Machine) -> (Machine, Vec<Refused>) {
    let mut refused = Vec::new();
    for _ in 0..ROUNDS {
        let mut found = found(&machine);
        // Later items of a list first: the numbers of those before them stay true.
        found.sort_by_key(|(pointer, _)| std::cmp::Reverse(order(pointer)));
        found.dedup_by(|a, b| a.0 == b.0);
        if found.is_empty() {
            break;
        }
        // All at once, as long as nothing is missing then that must be there.
        let (mut gone, mut changed) = (Vec::new(), false);
        if let Some(less) = without_all(&machine, &found) {
            (machine, gone, changed) = (less, found, true);
        } else {
            for (pointer, why) in found {
                if let Some(less) = without(&machine, &pointer) {
                    machine = less;
                    gone.push((pointer, why));
                    changed = true;
                }
            }
        }
        refused.extend(gone.into_iter().map(|(pointer, why)| Refused { place: readable(&pointer), why }));
        if !changed {
            break;
        }
    }
    refused.sort_by(|a, b| a.place.cmp(&b.place));
    refused.dedup();
    (machine, refused)
}

/// What is wrong: pointers, and why.
fn found(machine: &Machine) -> Vec<(String, String)> {
    let wrong = rules::machine(machine).into_iter().filter(|found| !found.warning);
    let mut found: Vec<(String, String)> = wrong.map(|found| (found.pointer, found.message)).collect();
    // Texts of one line with a line break in them, and names of a form of their own.
    let text = to_yaml(machine);
    if let Some(tree) = yaml::parse("", text.as_bytes()).tree {
        let broken = structure::check("", &tree, schema::machine(), true).broken;
        let said = |pointer: &String| found.iter().any(|(one, _)| one == pointer);
        let more: Vec<_> = broken.into_iter().filter(|pointer| !said(pointer)).collect();
        found.extend(more.into_iter().map(|pointer| (pointer, "a machine file has no place for what is there".into())));
    }
    found
}

/// The machine without any of these; nothing where that is none.
fn without_all(machine: &Machine, found: &[(String, String)]) -> Option<Machine> {
    let mut value = serde_json::to_value(machine).ok()?;
    for (pointer, _) in found {
        let mut keys = tokens(pointer)?;
        match keys.first().map(String::as_str)? {
            "hostname" | "disks" => return None,
            // A unit is nothing without its text.
            "services" if keys.get(1).is_some_and(|key| key == "units") => keys.truncate(3),
            _ => {}
        }
        // What is in something that went before is gone, too.
        remove(&mut value, &keys);
    }
    serde_json::from_value(value).ok()
}

/// The machine without what a pointer leads to, or without the innermost thing around it that can be missing.
fn without(machine: &Machine, pointer: &str) -> Option<Machine> {
    let keys = tokens(pointer)?;
    let value = serde_json::to_value(machine).ok()?;
    match keys.first().map(String::as_str)? {
        "hostname" => return Some(Machine { hostname: NAMELESS.into(), ..machine.clone() }),
        "disks" => {
            let disks = [("main".to_string(), Disk::of_layout(NamedLayout::Uefi))].into();
            return Some(Machine { disks, ..machine.clone() });
        }
        _ => {}
    }
    (1..=keys.len()).rev().find_map(|length| {
        let mut less = value.clone();
        remove(&mut less, &keys[..length]).then(|| serde_json::from_value(less).ok())?
    })
}

/// Pointers in the order of their keys, numbers as numbers.
fn order(pointer: &str) -> Vec<(usize, String)> {
    let keys = tokens(pointer).unwrap_or_default();
    keys.into_iter().map(|key| (key.parse().unwrap_or(0), key)).collect()
}

/// Takes away what the keys lead to; says whether something was there.
fn remove(value: &mut Value, keys: &[String]) -> bool {
    let Some((last, way)) = keys.split_last() else { return false };
    let mut at = value;
    for key in way {
        let next = match at {
            Value::Object(map) => map.get_mut(key),
            Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    match at {
        Value::Object(map) => map.remove(last).is_some(),
        Value::Array(list) => match last.parse::<usize>() {
            Ok(index) if index < list.len() => {
                list.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, check};

    #[test]
    fn what_is_left_is_right_and_what_is_not_is_told_by_its_place() {
        let machine: Machine = serde_json::from_str(
            r#"{"version":1,"hostname":"not a\nname","timezone":"nowhere at all","source":{"debian":{"packages":["sudo","No Package","-x"]}},
                "disks":{"main":{"partitions":[{"type":"swap","size":"1G"}]}},
                "users":{"anna":{"uid":7,"groups":["sudo","bad group"],"ssh_authorized_keys":["root:$6$secret"]},"BOB":{}},
                "network":{"interfaces":{"eth0":{"addresses":["192.0.2.0/24","192.0.2.9/24"],"gateways":["10.0.0.1"]}}},
                "sysctl":{"net.x":"","no":"1"},"services":{"enable":["../x","ssh"],"units":{"x.service":{"text":"no section"},"y.service":{"text":"[Service]\nExecStart=/x\n[Install]\nWantedBy=a.target\n"}}},
                "locale":{"lang":"a\nb"}}"#,
        )
        .unwrap();
        let (left, refused) = acceptable(machine);
        let text = to_yaml(&left);
        let checked = check(&SourceFile::new("m.yaml", text.clone()), &mut |_| Err("none".into())).unwrap();
        assert_eq!(checked.machine, left);
        assert_eq!((left.hostname.as_str(), left.timezone.as_str()), (NAMELESS, "UTC"));
        assert_eq!(left.source.debian().packages, ["sudo"]);
        assert_eq!((left.users.len(), left.users["anna"].uid, left.users["anna"].groups.len()), (1, None, 1));
        let eth0 = &left.network.interfaces["eth0"];
        assert_eq!((eth0.addresses.as_slice(), eth0.gateways.len()), (["192.0.2.9/24".to_string()].as_slice(), 0));
        assert_eq!((left.services.enable.join(" "), left.services.units.len()), ("ssh".into(), 1));
        let said: Vec<String> = refused.iter().map(|one| format!("{}: {}", one.place, one.why)).collect();
        assert!(said.iter().any(|one| one.starts_with("source.debian.packages[1]: `No Package`")), "{said:#?}");
        assert!(!said.join("").contains("secret"), "{said:#?}");
    }
}
