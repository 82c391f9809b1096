//! What a partition can become.

use cairn_layout::onto::PartitionThere;
use cairn_machine::model::{FileSystem, PartitionKind};
use uuid::{Uuid, uuid};

const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// In front of the kind of what is kept.
const KEEP: &str = "keep-";

/// What a partition becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The machine has nothing to do with it.
    Leave,
    /// It goes, and its room is free.
    Remove,
    /// The machine's one of a kind, with what is in it.
    Keep(PartitionKind),
    /// The machine's one of a kind, anew.
    Make(PartitionKind),
}

/// All kinds that can be chosen, the most wanted first.
const KINDS: [PartitionKind; 7] = [
    PartitionKind::Root,
    PartitionKind::Home,
    PartitionKind::Esp,
    PartitionKind::Xbootldr,
    PartitionKind::BiosBoot,
    PartitionKind::Swap,
    PartitionKind::Data,
];

impl Role {
    /// From the value of an answer.
    pub fn of(value: &str) -> Option<Role> {
        let kind = |name: &str| KINDS.into_iter().find(|kind| kind.name() == name);
        match value {
            "leave" => Some(Role::Leave),
            "remove" => Some(Role::Remove),
            _ => match value.strip_prefix(KEEP) {
                Some(name) => kind(name).map(Role::Keep),
                None => kind(value).map(Role::Make),
            },
        }
    }

    /// The value of the answer.
    pub fn value(self) -> String {
        match self {
            Role::Leave => "leave".into(),
            Role::Remove => "remove".into(),
            Role::Keep(kind) => format!("{KEEP}{}", kind.name()),
            Role::Make(kind) => kind.name().into(),
        }
    }

    /// What a partition that is there can become, by what is in it.
    pub fn of_partition(one: &PartitionThere, uefi: bool) -> Vec<Role> {
        let keeps = |kind: &PartitionKind| match (kind, one.format.as_deref()) {
            (PartitionKind::Home, Some("ext4")) | (PartitionKind::Swap, Some("swap")) => true,
            (PartitionKind::Esp, Some("vfat")) => uefi && one.type_guid == Some(ESP),
            // What firmware starts from is nobody's data.
            (PartitionKind::Data, _) => format(one).is_some() && one.type_guid != Some(ESP),
            _ => false,
        };
        let kept = KINDS.into_iter().filter(keeps).map(Role::Keep);
        [Role::Leave].into_iter().chain(kept).chain(made(uefi)).chain([Role::Remove]).collect()
    }

    /// What can be made in free space; `again`: of one that is to be made already, something else is said.
    pub fn of_free(uefi: bool, again: bool) -> Vec<Role> {
        again.then_some(Role::Leave).into_iter().chain(made(uefi)).collect()
    }
}

fn made(uefi: bool) -> impl Iterator<Item = Role> {
    let starts = move |kind: &PartitionKind| match kind {
        PartitionKind::Esp => uefi,
        PartitionKind::Xbootldr | PartitionKind::BiosBoot => !uefi,
        _ => true,
    };
    KINDS.into_iter().filter(starts).map(Role::Make)
}

/// The file system in a partition, if it is one that machines mount as data.
pub fn format(one: &PartitionThere) -> Option<FileSystem> {
    match one.format.as_deref() {
        Some("ext4") => Some(FileSystem::Ext4),
        Some("vfat") => Some(FileSystem::Vfat),
        _ => None,
    }
}

/// A kind for people.
pub fn words(kind: PartitionKind) -> &'static str {
    match kind {
        PartitionKind::Root => "the root (/)",
        PartitionKind::Home => "/home",
        PartitionKind::Esp => "the EFI system partition (/boot)",
        PartitionKind::Xbootldr => "the partition for kernels (/boot)",
        PartitionKind::BiosBoot => "the BIOS boot partition (for GRUB)",
        PartitionKind::Swap => "swap",
        PartitionKind::Data => "data at a place of your own, such as /srv",
    }
}
