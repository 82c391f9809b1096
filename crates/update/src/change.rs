//! What is to be done to a machine, as a value: steps in stages. Everything before a stage is on the disk before it begins; whatever
//! is interrupted in it, the same command, run again, goes on from there.

use cairn_boot::{Record, Step as BootStep, Update};
use cairn_disk::CodeUpdate;
use cairn_layout::human;
use cairn_make::{Passphrases, Passwords};
use cairn_observe::words::numbers;
use cairn_store::gc::Garbage;
use cairn_store::{PathInfo, StorePath};
use cairn_system::debian::Leftover;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::bios;
use crate::firmware::FirmwarePlan;

/// A change of a machine.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Change {
    /// What is done, in this order.
    pub stages: Vec<Stage>,
}

/// Steps that belong together.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    /// What it is about.
    pub name: StageName,
    /// The steps.
    pub steps: Vec<Step>,
    /// What is left when it ends early and something was changed, and what to do about it.
    #[serde(skip)]
    pub left: String,
}

/// What a stage is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// The store and its database, and what a generation needs besides.
    Store,
    /// The links that make systems generations.
    Generations,
    /// The machine's record and its boot partitions.
    Boot,
    /// The firmware's variables.
    Firmware,
    /// What a BIOS starts.
    Bios,
    /// What nothing refers to.
    Garbage,
    /// What makes the next change quicker, or possible.
    Afterwards,
}

/// One step.
#[derive(Debug, Clone)]
pub enum Step {
    /// All that was added to the store is on the disk.
    SyncStore,
    /// Paths become valid for Nix.
    Register {
        /// The paths.
        paths: Vec<PathInfo>,
        /// When, in seconds since 1970.
        time: i64,
    },
    /// Passphrases of wireless networks go into the machine's own state.
    Passphrases(Passphrases),
    /// Hashes of first passwords go into the machine's own state.
    Passwords(Passwords),
    /// A system becomes a generation.
    Link {
        /// The number.
        number: u64,
        /// The system.
        system: StorePath,
        /// When, in seconds since 1970.
        time: i64,
    },
    /// A generation becomes the current one.
    Switch(u64),
    /// A generation's link goes.
    Unlink(u64),
    /// The machine's record says this from now on.
    Record(Box<Record>),
    /// A boot partition becomes what it should be.
    Boot {
        /// Where it is mounted.
        at: String,
        /// The mirror that it is, counted from 0; nothing for the first partition, and the second with it.
        mirror: Option<usize>,
        /// The steps.
        update: Update,
    },
    /// systemd-boot is told to boot a generation at the next start only.
    Once(u64),
    /// The firmware's variables.
    Firmware(FirmwarePlan),
    /// What a BIOS starts.
    BootCode(Box<CodeUpdate>),
    /// Store paths that nothing refers to go; which, is known when somebody has looked.
    Collect(Option<Garbage>),
    /// Downloaded packages that no generation was made from go.
    RemovePackages(Vec<Leftover>),
    /// What each generation holds alone is written down.
    RememberSizes,
    /// Room is set aside for the next collection.
    Reserve,
    /// What is said at every login about generations that did not boot well.
    Notice {
        /// The generation that runs.
        booted: u64,
        /// The newer ones, which did not boot well.
        failed: Vec<u64>,
        /// The machine's record.
        record: Box<Record>,
    },
    /// Something that somebody should know is said.
    Tell(Vec<String>),
}

impl Step {
    /// Whether it changes what the machine is or boots. What is not yet named by anything, and what only makes things quicker, does
    /// not.
    pub fn touches(&self) -> bool {
        match self {
            Step::SyncStore
            | Step::Register { .. }
            | Step::Passwords(_)
            | Step::Passphrases(_)
            | Step::RememberSizes
            | Step::Reserve
            | Step::Notice { .. }
            | Step::Tell(_) => false,
            Step::Link { .. }
            | Step::Switch(_)
            | Step::Unlink(_)
            | Step::Record(_)
            | Step::Boot { .. }
            | Step::Once(_)
            | Step::Firmware(_)
            | Step::BootCode(_)
            | Step::Collect(_)
            | Step::RemovePackages(_) => true,
        }
    }

    /// Whether it is done or not done, whatever ends it: then one that fails has touched nothing.
    pub fn is_atomic(&self) -> bool {
        !matches!(self, Step::BootCode(_) | Step::Collect(_) | Step::RemovePackages(_) | Step::Boot { .. })
    }

    /// What it does, in words; nothing for what is of no interest to a person.
    pub fn words(&self) -> Option<String> {
        Some(match self {
            Step::SyncStore | Step::Record(_) | Step::RememberSizes | Step::Reserve | Step::Notice { .. } => {
                return None;
            }
            Step::Tell(_) => return None,
            Step::Register { paths, .. } => {
                format!("make {} store paths known to Nix", paths.len())
            }
            Step::Passphrases(all) => format!("keep the passphrases of {} wireless networks", all.len()),
            Step::Passwords(users) => {
                format!("set the first passwords of {}", users.keys().cloned().collect::<Vec<_>>().join(", "))
            }
            Step::Link { number, system, .. } => format!("make generation {number} of {system}"),
            Step::Switch(number) => format!("make generation {number} the current one"),
            Step::Unlink(number) => format!("remove generation {number}"),
            Step::Boot { at, update, .. } => boot_words(at, update),
            Step::Once(number) => format!("tell the firmware to boot generation {number} at the next start only"),
            Step::Firmware(plan) => format!("write the firmware's variables: {}", plan.words().join("; ")),
            Step::BootCode(update) => format!("write what a BIOS starts: {}", bios::word(update.problem)),
            Step::Collect(None) => "remove the store paths that nothing refers to".into(),
            Step::Collect(Some(garbage)) => {
                format!("remove {} store paths, {}", garbage.dead.len(), human(garbage.bytes))
            }
            Step::RemovePackages(packages) => format!("remove {} downloaded packages", packages.len()),
        })
    }

    fn json(&self) -> Value {
        match self {
            Step::SyncStore => json!({ "do": "sync-store" }),
            Step::Register { paths, time } => {
                let paths: Vec<String> = paths.iter().map(|info| info.path.to_string()).collect();
                json!({ "do": "register", "paths": paths, "time": time })
            }
            Step::Passphrases(all) => json!({ "do": "passphrases", "networks": all.keys().collect::<Vec<_>>() }),
            // Hashes of passwords are nobody's to see.
            Step::Passwords(users) => json!({ "do": "passwords", "users": users.keys().collect::<Vec<_>>() }),
            Step::Link { number, system, time } => {
                json!({ "do": "link", "generation": number, "system": system.to_string(), "time": time })
            }
            Step::Switch(number) => json!({ "do": "switch", "generation": number }),
            Step::Unlink(number) => json!({ "do": "unlink", "generation": number }),
            Step::Record(record) => json!({ "do": "record", "record": record }),
            Step::Boot { at, update, .. } => json!({
                "do": "boot-partition",
                "at": at,
                "files": update.steps.iter().filter_map(boot_json).collect::<Vec<_>>(),
                "bytes": update.written,
            }),
            Step::Once(number) => json!({ "do": "boot-once", "generation": number }),
            Step::Firmware(plan) => json!({ "do": "firmware", "because": plan.words() }),
            Step::BootCode(update) => json!({ "do": "boot-code", "because": bios::word(update.problem) }),
            Step::Collect(found) => json!({
                "do": "collect",
                "paths": found.as_ref().map(|garbage| {
                    garbage.dead.iter().map(|dead| dead.path.to_string()).collect::<Vec<_>>()
                }),
                "bytes": found.as_ref().map(|garbage| garbage.bytes),
            }),
            Step::RemovePackages(packages) => {
                let names: Vec<&String> = packages.iter().map(|package| &package.name).collect();
                json!({ "do": "remove-packages", "names": names })
            }
            Step::RememberSizes => json!({ "do": "remember-sizes" }),
            Step::Reserve => json!({ "do": "reserve" }),
            Step::Notice { booted, failed, .. } => json!({ "do": "notice", "booted": booted, "failed": failed }),
            Step::Tell(notes) => json!({ "do": "tell", "notes": notes }),
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}

/// `write 4 files on /boot, 31M; remove 2`.
fn boot_words(at: &str, update: &Update) -> String {
    let count = |of: fn(&BootStep) -> bool| update.steps.iter().filter(|step| of(step)).count();
    let written =
        count(|s| matches!(s, BootStep::Create { .. } | BootStep::Replace { .. } | BootStep::Overwrite { .. }));
    let removed = count(|s| matches!(s, BootStep::Remove { .. }));
    let files = |n: usize| format!("{n} file{}", if n == 1 { "" } else { "s" });
    match (written, removed) {
        (0, removed) => format!("remove {} from {at}", files(removed)),
        (written, 0) => format!("write {} on {at}, {}", files(written), human(update.written)),
        (written, removed) => {
            format!("write {} on {at}, {}, and remove {}", files(written), human(update.written), files(removed))
        }
    }
}

fn boot_json(step: &BootStep) -> Option<Value> {
    Some(match step {
        BootStep::Create { path, content, .. } => json!({ "create": path, "bytes": content.len() }),
        BootStep::Overwrite { path, bytes, .. } => json!({ "overwrite": path, "bytes": bytes.len() }),
        BootStep::Keep { path, copy, .. } => json!({ "keep": path, "as": copy }),
        BootStep::Replace { path, content, .. } => json!({ "replace": path, "bytes": content.len() }),
        BootStep::Remove { path, .. } => json!({ "remove": path }),
        BootStep::Barrier => return None,
    })
}

impl Change {
    /// Adds a stage, if there is anything in it.
    pub fn stage(&mut self, name: StageName, left: impl Into<String>, steps: Vec<Step>) {
        if !steps.is_empty() {
            self.stages.push(Stage { name, steps, left: left.into() });
        }
    }

    /// All steps, in their order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }

    /// What it does, a line for each step that is of interest to a person.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let unlinked: Vec<u64> =
            self.steps().filter_map(|step| if let Step::Unlink(n) = step { Some(*n) } else { None }).collect();
        for step in self.steps() {
            match step {
                // Together they are one line.
                Step::Unlink(number) if unlinked.len() > 1 => {
                    if unlinked.first() == Some(number) {
                        words.push(format!("remove {}", numbers(unlinked.iter().copied())));
                    }
                }
                step => words.extend(step.words()),
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use cairn_boot::{Content, Place};

    use super::*;

    #[test]
    fn a_change_is_told_in_words_and_in_json_and_without_secrets() {
        let create = BootStep::Create { place: Place::Esp, path: "a".into(), content: Content::Bytes(vec![0; 3000]) };
        let remove = BootStep::Remove { place: Place::Esp, path: "b".into() };
        let update = Update { steps: vec![create, BootStep::Barrier, remove], written: 3000, healed: Vec::new() };
        let mut change = Change::default();
        change.stage(
            StageName::Store,
            "",
            vec![Step::SyncStore, Step::Passwords([("a".into(), "$6$secret".into())].into())],
        );
        change.stage(StageName::Generations, "", vec![Step::Unlink(1), Step::Unlink(2), Step::Switch(3)]);
        change.stage(StageName::Boot, "", vec![Step::Boot { at: "/boot".into(), mirror: None, update }]);
        change.stage(StageName::Bios, "", Vec::new());
        assert_eq!(
            change.words(),
            [
                "set the first passwords of a",
                "remove generations 1 and 2",
                "make generation 3 the current one",
                "write 1 file on /boot, 3K, and remove 1 file",
            ]
        );
        let json = serde_json::to_value(&change).unwrap();
        assert!(!json.to_string().contains("secret"), "{json}");
        assert_eq!(
            json[0],
            json!({ "name": "store", "steps": [{ "do": "sync-store" }, { "do": "passwords", "users": ["a"] }] })
        );
        assert_eq!(json[2]["steps"][0]["files"], json!([{ "create": "a", "bytes": 3000 }, { "remove": "b" }]));
        assert_eq!(json.as_array().unwrap().len(), 3, "a stage without steps is none");
    }
}
