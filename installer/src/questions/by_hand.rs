//! A disk by hand: of one partition after the other, and of the free space, somebody says what becomes of it, until they are done.
//!
//! What was said is the machine's partitions and a wish of what of the disk they use, as machine files have them; whether that can be done
//! the planner says, at once. The last word counts: where a partition becomes the root, what was to be the root before is left alone.

mod asked;
mod outcome;
mod roles;

use std::collections::BTreeMap;

use cairn_layout::onto::{DiskThere, PartitionThere};
use cairn_machine::model::{Partition, PartitionKind};
use cairn_machine::size::Size;

use self::roles::Role;
use super::{SeenDisk, Topic};

/// What is said when nothing more is to be changed, and of a size that is whatever is left.
const DONE: &str = "done";
pub const REST: &str = "rest";

/// A piece of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// A partition that is there, by its number.
    There(u32),
    /// One that is made in the free space.
    New(u32),
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq)]
enum Becomes {
    /// It is removed.
    Removed,
    /// The machine uses it as it is.
    Kept(Partition),
    /// It is made anew for the machine.
    Made(Partition),
}

/// What is being said of a piece.
#[derive(Debug, Clone, PartialEq)]
struct Open {
    piece: Piece,
    /// What it becomes, once that is said.
    becomes: Option<Becomes>,
    /// Whether its size was said.
    sized: bool,
}

/// What was said so far.
#[derive(Debug)]
pub struct ByHand<'s> {
    disk: &'s SeenDisk,
    there: &'s DiskThere,
    uefi: bool,
    chosen: BTreeMap<Piece, Becomes>,
    open: Option<Open>,
    made: u32,
    done: bool,
}

impl<'s> ByHand<'s> {
    /// From what was answered, in its order.
    pub fn of(disk: &'s SeenDisk, there: &'s DiskThere, uefi: bool, given: &[(Topic, String)]) -> ByHand<'s> {
        let mut hand = ByHand { disk, there, uefi, chosen: BTreeMap::new(), open: None, made: 0, done: false };
        for (topic, value) in given {
            match topic {
                Topic::Part => hand.part(value),
                Topic::Becomes => hand.becomes(value),
                Topic::MountPoint => hand.mount_point(value),
                Topic::Size => hand.size(value),
                _ => {}
            }
        }
        hand
    }

    fn part(&mut self, value: &str) {
        let number = |prefix: &str| value.strip_prefix(prefix).and_then(|number| number.parse().ok());
        let piece = match value {
            DONE => {
                self.done = true;
                return;
            }
            asked::FREE => {
                self.made += 1;
                Piece::New(self.made)
            }
            _ => match (number(asked::PART), number(asked::NEW)) {
                (Some(number), _) => Piece::There(number),
                (_, Some(number)) => Piece::New(number),
                _ => return,
            },
        };
        self.open = Some(Open { piece, becomes: None, sized: false });
    }

    fn becomes(&mut self, value: &str) {
        let Some(piece) = self.open.as_ref().map(|open| open.piece) else { return };
        let Some(role) = Role::of(value) else { return };
        let becomes = match role {
            Role::Leave => {
                self.chosen.remove(&piece);
                self.open = None;
                return;
            }
            Role::Remove => Becomes::Removed,
            Role::Keep(kind) => {
                let mut partition = Partition::of_kind(kind);
                // Only data may have one of several.
                partition.format =
                    self.partition(piece).and_then(roles::format).filter(|_| kind == PartitionKind::Data);
                Becomes::Kept(partition)
            }
            Role::Make(kind) => Becomes::Made(Partition::of_kind(kind)),
        };
        if let Some(open) = &mut self.open {
            open.becomes = Some(becomes);
        }
        self.close();
    }

    fn mount_point(&mut self, value: &str) {
        if let Some(partition) = self.open_partition() {
            partition.mount_point = Some(value.into());
        }
        self.close();
    }

    fn size(&mut self, value: &str) {
        if let Some(partition) = self.open_partition() {
            partition.size = value.parse().ok();
        }
        if let Some(open) = &mut self.open {
            open.sized = true;
        }
        self.close();
    }

    fn open_partition(&mut self) -> Option<&mut Partition> {
        match self.open.as_mut()?.becomes.as_mut()? {
            Becomes::Kept(partition) | Becomes::Made(partition) => Some(partition),
            Becomes::Removed => None,
        }
    }

    /// What is still to be said of the piece that is open.
    fn next(&self) -> Option<Topic> {
        let open = self.open.as_ref()?;
        let Some(becomes) = &open.becomes else { return Some(Topic::Becomes) };
        let (Becomes::Kept(partition) | Becomes::Made(partition)) = becomes else { return None };
        if partition.kind == PartitionKind::Data && partition.mount_point.is_none() {
            return Some(Topic::MountPoint);
        }
        // GRUB's own partition is always as small as it can be.
        let is_new = matches!(open.piece, Piece::New(_));
        (is_new && !open.sized && partition.kind != PartitionKind::BiosBoot).then_some(Topic::Size)
    }

    /// Takes what was said of a piece, when all of it was.
    fn close(&mut self) {
        if self.next().is_some() {
            return;
        }
        let Some(Open { piece, becomes: Some(mut becomes), .. }) = self.open.take() else { return };
        // Machine files want a size of all swap, also where it has the one that it has.
        if let (Some(there), Becomes::Kept(one) | Becomes::Made(one)) = (self.partition(piece), &mut becomes)
            && one.kind == PartitionKind::Swap
        {
            one.size = Some(Size::from_mib(there.sectors.bytes(self.there.sector) >> 20));
        }
        if let Some(kind) = becomes.kind().filter(|kind| *kind != PartitionKind::Data) {
            self.chosen.retain(|_, other| other.kind() != Some(kind));
        }
        self.chosen.insert(piece, becomes);
    }

    /// What is asked now; nothing: all was said.
    pub fn topic(&self) -> Option<Topic> {
        (!self.done).then(|| self.next().unwrap_or(Topic::Part))
    }

    fn partition(&self, piece: Piece) -> Option<&'s PartitionThere> {
        let Piece::There(number) = piece else { return None };
        self.there.partitions.iter().find(|one| one.number == number)
    }
}

impl Becomes {
    fn partition(&self) -> Option<&Partition> {
        match self {
            Becomes::Kept(partition) | Becomes::Made(partition) => Some(partition),
            Becomes::Removed => None,
        }
    }

    fn kind(&self) -> Option<PartitionKind> {
        self.partition().map(|partition| partition.kind)
    }
}
