//! The changes that an update brings to the partition: each is disturbed at every point, in memory and on real files.

use super::programs::chain;
use super::*;

const ROOMY: u64 = 10 << 20;

/// A change to a machine, and the generations that had booted well before it.
pub type Change = (&'static str, fn(&mut Machine), &'static [u64]);

pub const CHANGES: [Change; 7] = [
    ("a new generation", |m| m.add(generation(4, "k4", "i4")), &[1, 2, 3]),
    ("a new generation with the same kernel", |m| m.add(generation(4, "k3", "i3")), &[1, 2, 3]),
    ("a trial that went well", |m| m.record.booted_well(4), &[1, 2, 3]),
    ("a choice of an older one", |m| m.record.want(1), &[1, 2, 3]),
    (
        "a lower limit",
        |m| {
            m.boot.generations = 1;
            m.booted = Some(3);
        },
        &[3],
    ),
    (
        "another loader, and other settings",
        |m| {
            m.program = artifact("loader-2", 9100);
            m.boot.timeout = 9;
        },
        &[1, 2, 3],
    ),
    (
        "a failed one that is tried again, and room only after something went",
        |m| {
            m.record.want(4);
            m.boot.generations = 2;
            m.volume.capacity = m.volume.used() + 20_000;
        },
        &[3],
    ),
];

/// Changes of what the firmware starts.
pub const CHAINS: [Change; 6] = [
    ("shim comes", |m| m.loader = Some(chain(1, false)), &[1, 2, 3]),
    (
        "shim comes with a new generation",
        |m| {
            m.loader = Some(chain(1, false));
            m.add(generation(4, "k4", "i4"));
        },
        &[1, 2, 3],
    ),
    ("behind shim: newer programs", |m| m.loader = Some(chain(2, false)), &[1, 2, 3]),
    (
        "behind shim: newer programs, and room only after something went",
        |m| {
            m.loader = Some(chain(2, false));
            m.boot.generations = 1;
            m.volume.capacity = m.volume.used() + 45_000;
        },
        &[3],
    ),
    ("behind shim: shim goes", |m| m.loader = None, &[1, 2, 3]),
    (
        "behind shim: shim goes, and room only after something went",
        |m| {
            m.loader = None;
            m.boot.generations = 1;
            m.volume.capacity = m.volume.used() + 25_000;
        },
        &[3],
    ),
];

/// Changes of a machine that signs by keys of its own, or that is to, or was.
pub const OWN_KEYS: [Change; 7] = [
    ("own keys come", |m| m.own_keys = true, &[1, 2, 3]),
    (
        "own keys come with a new generation",
        |m| {
            m.own_keys = true;
            m.add(generation(4, "k4", "i4"));
        },
        &[1, 2, 3],
    ),
    ("own keys: a new generation", |m| m.add(generation(4, "k4", "i4")), &[1, 2, 3]),
    ("own keys: a trial that went well", |m| m.record.booted_well(4), &[1, 2, 3]),
    (
        "own keys: a failed one that is tried again, and room only after something went",
        |m| {
            m.record.want(4);
            m.boot.generations = 2;
            m.volume.capacity = m.volume.used() + 20_000;
        },
        &[3],
    ),
    ("own keys: another loader", |m| m.program = artifact("loader-2", 9100), &[1, 2, 3]),
    ("own keys: they go", |m| m.own_keys = false, &[1, 2, 3]),
];

/// Three good generations, and for some changes a fourth on trial.
pub fn start(change: &str) -> Machine {
    let mut machine = Machine::new(ROOMY);
    if change.starts_with("behind shim") {
        machine.loader = Some(chain(1, false));
    }
    machine.own_keys = change.starts_with("own keys:");
    for number in 2..=3 {
        machine.add(generation(number, &format!("k{number}"), &format!("i{number}")));
        machine.record.booted_well(number);
    }
    machine.update().unwrap();
    if change.contains("trial") || change.contains("failed") {
        machine.add(generation(4, "k4", "i4"));
        machine.update().unwrap();
    }
    if change.contains("failed") {
        let name = machine.menu()[0].clone();
        let bytes = machine.volume.files.remove(&format!("loader/entries/{name}")).unwrap();
        machine.volume.files.insert(format!("loader/entries/{}", name.replace("+3", "+0-3")), bytes);
        machine.record.failed(4);
        machine.update().unwrap();
    }
    machine
}
