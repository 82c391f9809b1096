//! How a machine is installed when nobody is asked.

use std::collections::BTreeSet;

use super::Findings;
use crate::model::{Install, InstallInto, Machine};
use crate::pointer::child;

/// Checks `install`, at a pointer; against the machine's disk where that is known.
pub(super) fn check(at: &str, install: &Install, machine: Option<&Machine>, f: &mut Findings) {
    let disk = machine.and_then(Machine::root_disk).map(|(_, disk)| disk);
    let mut numbers = BTreeSet::new();
    for (key, uses) in [("replace", &install.replace), ("keep", &install.keep)] {
        let list = child(at, key);
        for (name, number) in uses {
            let place = child(&list, name);
            if disk.is_some_and(|disk| disk.named(name).is_none()) {
                f.wrong_key(
                    &place,
                    "the machine has no such partition, or more than one",
                    "name it by its type or mount point",
                );
            }
            if *number == 0 || !numbers.insert(*number) {
                f.wrong(&place, "each partition that is there is named once, by its number from 1 on", "");
            }
        }
        if !uses.is_empty() && matches!(install.into, InstallInto::Again | InstallInto::Renew) {
            f.wrong(
                &list,
                "`into: again` finds out by itself what is replaced and kept",
                "remove it, or use `into: free`",
            );
        }
    }
    for (index, number) in install.spare.iter().enumerate() {
        if *number == 0 || !numbers.insert(*number) {
            let place = child(child(at, "spare"), index);
            f.wrong(&place, "each partition that is there is named once, by its number from 1 on", "");
        }
    }
    if !install.spare.is_empty() && install.into != InstallInto::Whole {
        f.wrong(child(at, "spare"), "what is not named stays anyway", "remove it, or use `into: whole`");
    }
}
