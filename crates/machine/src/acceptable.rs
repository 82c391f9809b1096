//! What of a machine the rules accept: a machine that was put together from what somebody else wrote, without what is refused of it.

use serde_json::Value;

use crate::lock::yaml_of;
use crate::model::{Disk, Machine, NamedLayout};
use crate::pointer::{readable, tokens};
use crate::rules;

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

/// Takes out of a machine what the rules refuse, so that what is left is right: of a list the item, of a mapping the key; what a machine
/// cannot be without gets what is usual.
pub fn acceptable(mut machine: Machine) -> (Machine, Vec<Refused>) {
    let mut refused = Vec::new();
    for _ in 0..ROUNDS {
        let mut found: Vec<_> = rules::machine(&machine).into_iter().filter(|found| !found.warning).collect();
        if found.is_empty() {
            break;
        }
        // Later items of a list first: the numbers of those before them stay true.
        found.sort_by_key(|found| std::cmp::Reverse(order(&found.pointer)));
        found.dedup_by(|a, b| a.pointer == b.pointer);
        let Ok(mut value) = serde_json::to_value(&machine) else { break };
        let mut changed = false;
        for found in found {
            let keys = tokens(&found.pointer).unwrap_or_default();
            let done = match keys.first().map(String::as_str) {
                Some("hostname") => set(&mut value, "hostname", NAMELESS.into()),
                Some("disks") => {
                    let plain = serde_json::to_value(Disk::of_layout(NamedLayout::Uefi)).unwrap_or_default();
                    set(&mut value, "disks", serde_json::json!({ "main": plain }))
                }
                Some(_) => remove(&mut value, &keys),
                None => false,
            };
            if done {
                refused.push(Refused { place: readable(&found.pointer), why: found.message });
                changed = true;
            }
        }
        match serde_json::from_value(value) {
            Ok(less) if changed => machine = less,
            _ => break,
        }
    }
    refused.sort_by(|a, b| a.place.cmp(&b.place));
    (machine, refused)
}

/// The text of a machine file that says what a machine is, without what a machine has by itself.
pub fn to_yaml(machine: &Machine) -> String {
    let none = crate::check::SourceFile::new("", "");
    let text = crate::edit::edit(&none, machine, machine);
    if text.is_empty() { yaml_of(machine) } else { text }
}

/// Pointers in the order of their keys, numbers as numbers.
fn order(pointer: &str) -> Vec<(usize, String)> {
    let keys = tokens(pointer).unwrap_or_default();
    keys.into_iter().map(|key| (key.parse().unwrap_or(0), key)).collect()
}

fn set(value: &mut Value, key: &str, new: Value) -> bool {
    let Some(old) = value.get_mut(key) else { return false };
    *old = new;
    true
}

/// Takes away what the keys lead to; where that is the only thing in a required value, or not there by itself, what it is in.
fn remove(value: &mut Value, keys: &[String]) -> bool {
    let Some((last, way)) = keys.split_last() else { return false };
    let mut at = &mut *value;
    for key in way {
        let next = match at {
            Value::Object(map) => map.get_mut(key),
            Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get_mut(index)),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return remove(value, way),
        }
    }
    let gone = match at {
        Value::Object(map) => map.remove(last).is_some(),
        Value::Array(list) => match last.parse::<usize>() {
            Ok(index) if index < list.len() => {
                list.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    };
    gone || remove(value, way)
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
                "sysctl":{"net.x":"","no":"1"},"services":{"enable":["../x","ssh"]}}"#,
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
        assert_eq!(left.services.enable, ["ssh"]);
        let said: Vec<String> = refused.iter().map(|one| format!("{}: {}", one.place, one.why)).collect();
        assert!(said.iter().any(|one| one.starts_with("source.debian.packages[1]: `No Package`")), "{said:#?}");
        assert!(!said.join("").contains("secret"), "{said:#?}");
    }
}
