//! The machine file and the list as texts.

use cairn_machine::model::Machine;
use cairn_machine::to_yaml;

use super::{LEFT, Left, System};

/// The machine file, with what it is in front.
pub fn machine(machine: &Machine, system: &System, left: usize) -> String {
    format!(
        "# Written by `cairn capture` of {}, which Cairn has not made.\n\
         # What has no place here ({left} things) is in {LEFT}: read it before this machine takes the other's place.\n\
         # `cairn check` says what is wrong after a change; `cairn lock` looks for the packages.\n{}",
        system.name,
        to_yaml(machine)
    )
}

/// The list, by topics.
pub fn list(left: &[Left], system: &str) -> String {
    let mut text = format!("What of {system} has no place in machine.yaml.\n");
    let mut topic = "";
    for one in left {
        if one.topic != topic {
            topic = &one.topic;
            text += &format!("\n{topic}\n");
        }
        text += &format!("  - {}\n", one.what);
    }
    text
}
