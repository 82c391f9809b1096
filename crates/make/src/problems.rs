//! Errors of later steps whose cause stands in the machine file are told with its place there.

use cairn_layout::PlanError;
use cairn_machine::Checked;
use cairn_machine::pointer::child;
use cairn_process::Refusal;
use cairn_system::SystemError;

use crate::contents::ContentsError;

/// An error of making the system.
pub fn of_system(checked: &Checked, error: SystemError) -> anyhow::Error {
    match error.pointer() {
        Some(pointer) => {
            let help = error.help().map(str::to_string);
            // The pointers of hardware files begin with the key that includes them.
            match pointer.strip_prefix("/hardware/") {
                Some(inside) => checked.hardware_problem(&format!("/{inside}"), error.to_string(), help).into(),
                None => checked.problem(pointer, error.to_string(), help).into(),
            }
        }
        None => match error.help() {
            Some(help) => anyhow::anyhow!("{error}\n  help: {help}"),
            None => error.into(),
        },
    }
}

/// An error of laying out a disk.
pub fn of_plan(checked: &Checked, disk: &str, error: PlanError) -> anyhow::Error {
    let pointer = format!("{}{}", child("/disks", disk), error.pointer());
    checked.problem(&pointer, error.to_string(), None).into()
}

/// An error of planning the contents of a disk.
pub fn of_contents(checked: &Checked, disk: &str, error: ContentsError) -> anyhow::Error {
    match error {
        ContentsError::Plan(error) => of_plan(checked, disk, error),
        ContentsError::NoBootPartition => checked.problem(&child("/disks", disk), error.to_string(), None).into(),
        // It is about the disk that is there, and nothing of it was touched.
        ContentsError::Onto(error) => Refusal(error.to_string()).into(),
        other => other.into(),
    }
}
